#!/usr/bin/env bash
# Train, test and run scripts through MIM, with mmspanet installed from its wheel and as an
# editable one: bash dev/check_mim.sh      (prints the table of docs/compatibility.md)
#
# MIM and mmspanet go into a temporary environment on top of $VENV (else .venv): the one that
# dev/upstream_stack.sh makes gets openmim, the other onedl-mim. Every command runs in a
# folder that is not the checkout, on a few images of Shapes. Ends with 1 if one does something
# else than the table says; the logs are kept in ${1:-work_dirs/check_mim}.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
root=$PWD
stack=$(cd "${VENV:-.venv}" && pwd)
logs=${1:-work_dirs/check_mim}
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
folder=$(mktemp -d "${TMPDIR:-/tmp}/mmspanet-mim.XXXXXX")
trap 'rm -rf "$folder"' EXIT
say() { printf '\n== %s\n' "$*"; }

say 'making an environment on top of the libraries'
"$stack/bin/python" -m venv "$folder/venv"
export PATH=$folder/venv/bin:$PATH
site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$stack/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/stack.pth"
if python -c 'from importlib.metadata import version; version("onedl-mmengine")' 2>/dev/null; then
    mim=onedl-mim==0.5.1 det=onedl-mmdetection seg=onedl-mmsegmentation cls=onedl-mmpretrain
else
    mim=openmim==0.3.9 det=mmdet seg=mmsegmentation cls=mmpretrain
fi
pip() { python -m pip --disable-pip-version-check --quiet "$@"; }
pip install "$mim"
pip install 'setuptools>=77,<82' # what MIM brings along is too old to build with, or too new for torch
mkdir "$folder/sources" "$folder/elsewhere"
cp -r setup.py pyproject.toml README.md LICENSE MANIFEST.in model-index.yml \
    mmspanet configs tools "$folder/sources"
rm -rf "$folder/sources/mmspanet/.mim"

# row EXPECTED PATTERN COMMAND...: run it; it works if its status is 0 and its output has the pattern.
number=0 different=0
row() {
    local expected=$1 pattern=$2 outcome=no
    shift 2
    number=$((number + 1))
    local log=$logs/$way-$number.log
    if "$@" >"$log" 2>&1 </dev/null && grep -qE "$pattern" "$log"; then
        outcome=works
    fi
    if [ $outcome != "$expected" ]; then
        different=1
        printf '%-6s (expected: %s; %s)  ' "$outcome" "$expected" "$log"
    else
        printf '%-6s ' "$outcome"
    fi
    printf '%s\n' "${*:1:4}" | sed "s#$installed/.mim/##"
}

# Options that shorten a training to one or two iterations and load in its own process.
for part in train val test; do
    common+=("${part}_dataloader.num_workers=0" "${part}_dataloader.persistent_workers=False")
done
common+=(train_dataloader.batch_size=4)
epoch=(train_cfg.max_epochs=1 train_cfg.val_interval=1)
iteration=(train_cfg.max_iters=2 train_cfg.val_interval=2 default_hooks.checkpoint.interval=2)

for way in wheel editable; do
    say "mmspanet from its $way"
    cd "$folder/sources"
    if [ $way = wheel ]; then
        pip wheel --no-deps --no-build-isolation --wheel-dir "$folder" .
        pip install --no-deps "$folder"/mmspanet-*.whl
        rm -rf build mmspanet.egg-info
    else
        pip uninstall --yes mmspanet
        pip install --no-deps --no-build-isolation --editable .
    fi
    cd "$folder/elsewhere"
    rm -rf work_dirs
    installed=$(python -c 'import mmspanet; print(mmspanet.__path__[0])')
    case $installed in "$root"*) echo "error: $installed is the checkout." >&2; exit 1 ;; esac
    configs=$installed/.mim/configs
    python "$installed/.mim/tools/make_shapes.py" --train 4 --val 2 >"$logs/shapes.log"

    config=$configs/det/maskrcnn_spanetv2_shapes.py
    row works segm_mAP mim train $det "$config" --work-dir work_dirs/det --cfg-options "${common[@]}" "${epoch[@]}"
    row works segm_mAP mim test $det "$config" -C work_dirs/det/epoch_1.pth --cfg-options "${common[@]}"
    row works . mim run $det browse_dataset "$config" --output-dir work_dirs/browse_det --not-show

    config=$configs/seg/upernet_spanetv2_shapes.py
    row works mIoU mim train $seg "$config" --work-dir work_dirs/seg --cfg-options "${common[@]}" "${iteration[@]}"
    row works mIoU mim train mmseg "$config" --work-dir work_dirs/seg --cfg-options "${common[@]}" "${iteration[@]}"
    row works mIoU mim test $seg "$config" -C work_dirs/seg/iter_2.pth --cfg-options "${common[@]}"
    row works . mim run $seg browse_dataset "$config" --output-dir work_dirs/browse_seg --not-show

    config=$configs/cls/spanetv2_shapes.py
    row works accuracy mim train $cls "$config" --work-dir work_dirs/cls --cfg-options "${common[@]}" "${epoch[@]}"
    row works accuracy mim test $cls "$config" -C work_dirs/cls/epoch_1.pth --cfg-options "${common[@]}"
    row works . mim run $cls confusion_matrix "$config" work_dirs/cls/epoch_1.pth --show-path work_dirs/matrix.png

    ours=works bare=no
    case $mim-$way in # see the table's notes
    onedl*-wheel) ours=no ;;
    openmim*-wheel) bare=works ;;
    openmim*-editable) ours=no ;;
    esac
    row $ours imagenet mim run mmspanet make_shapes imagenet --root more --train 4 --val 2
    row $ours accuracy mim train mmspanet "$config" --work-dir work_dirs/ours --cfg-options "${common[@]}" "${epoch[@]}"
    row $ours accuracy mim test mmspanet "$config" -C work_dirs/cls/epoch_1.pth --cfg-options "${common[@]}"
    row $bare accuracy mim train mmspanet spanetv2_shapes.py --cfg-options "${common[@]}" "${epoch[@]}"
    find work_dirs/browse_det work_dirs/browse_seg work_dirs/matrix.png -type f | wc -l |
        xargs printf '%s pictures\n'
done
exit $different
