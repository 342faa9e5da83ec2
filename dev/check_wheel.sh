#!/usr/bin/env bash
# Build the wheel, install it away from the checkout and use all that it carries:
# bash dev/check_wheel.sh
#
# Every tool answers --help; check_data.py, train.py, test.py, demo.py and reproduce.py run to
# their end on a few images of Shapes, with the configs of the wheel.
#
# The environment is made in a temporary folder and removed at the end. By default it gets all
# packages anew (6 GB) and the compiled wheel of onedl-mmcv that tools/setup_env.sh has kept;
# Python is $PYTHON, else python3.11. BASE=.venv takes the packages of that environment instead,
# which lasts a minute: only mmspanet is installed, before them on the path.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
root=$PWD
unset PYTHONPATH
folder=$(mktemp -d "${TMPDIR:-/tmp}/mmspanet-wheel.XXXXXX")
trap 'rm -rf "$folder"' EXIT
say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
# quietly LOG COMMAND...: run it, and show the end of its output only if it fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; fail "failed: $*"; }
}

python=$folder/venv/bin/python
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
if [ -n "${BASE:-}" ]; then
    say "making an environment on top of the packages of $BASE"
    "$BASE/bin/python" -m venv "$folder/venv"
    # As a path of the .pth file, these packages come after the wheel's, and the base's own .pth
    # files, such as the one of an editable mmspanet, are not read.
    "$BASE/bin/python" -c "$purelib" >"$("$python" -c "$purelib")/base.pth"
    pip install 'setuptools>=77,<82' wheel
else
    say 'making a new environment'
    "${PYTHON:-python3.11}" -m venv "$folder/venv"
    pip install 'setuptools>=77,<82' 'packaging>=24.2' wheel ninja
    pip install -r <(grep -v '^onedl-mmcv' requirements.txt) addict
    mmcv=$("$python" tools/set_up/mmcv_wheel.py wheel "$(grep '^onedl-mmcv==' requirements.txt)") ||
        exit 1
    pip install --no-deps --force-reinstall "${mmcv##*$'\n'}" "$(grep '^opencv' requirements.txt)"
fi

say 'building the wheel and installing it'
# From a copy, since a build leaves folders beside what it builds.
mkdir "$folder/sources"
cp -r setup.py pyproject.toml README.md LICENSE MANIFEST.in model-index.yml \
    mmspanet configs tools "$folder/sources"
rm -rf "$folder/sources/mmspanet/.mim"
pip wheel --no-deps --no-build-isolation --wheel-dir "$folder" "$folder/sources"
names=$("$python" -m zipfile --list "$folder"/mmspanet-*.whl | awk 'NR > 1 { print $1 }')
printf '%s files, %s of them for MIM, %s\n' "$(wc -l <<<"$names")" \
    "$(grep -c 'mmspanet/.mim/' <<<"$names")" "$(du -h "$folder"/mmspanet-*.whl | cut -f1)"
if grep -E '__pycache__|set_?up/|setup_env\.sh|run_tests\.sh|quickstart\.sh' <<<"$names"; then
    fail 'these files belong to a checkout.'
fi
grep -q 'mmspanet/py.typed' <<<"$names" || fail 'py.typed is missing.'
if [ -n "${BASE:-}" ]; then
    pip install --no-deps "$folder"/mmspanet-*.whl
else
    pip install "$folder"/mmspanet-*.whl 'matplotlib' 'scipy' 'grad-cam>=1.5.4' onnx onnxscript
    pip install --no-deps --force-reinstall "$(grep '^opencv' requirements.txt)"
fi

mkdir "$folder/elsewhere"
cd "$folder/elsewhere"
mim=$("$python" -c 'import mmspanet; print(mmspanet.__path__[0])')/.mim
case $mim in
"$folder"/*) ;;
*) fail "$mim is not the wheel that was installed." ;;
esac
case $mim in "$root"/*) fail "$mim is the checkout." ;; esac
quietly check_env.log "$python" -m mmspanet.check_env

say 'the help of every tool'
count=0
while read -r tool; do
    quietly help.log "$python" "$tool" --help
    count=$((count + 1))
done < <(find "$mim/tools" -name '*.py')
while read -r tool; do
    quietly help.log bash "$tool" --help
    count=$((count + 1))
done < <(find "$mim/tools" -name '*.sh')
echo "$count tools answer --help"

say 'data, training, testing, demo and reproduction'
config=$mim/configs/cls/spanetv2_shapes.py
few=(train_cfg.max_epochs=1 train_cfg.val_interval=1 default_hooks.logger.interval=1)
for part in train val test; do
    few+=("${part}_dataloader.num_workers=0" "${part}_dataloader.persistent_workers=False")
done
quietly make_shapes.log "$python" "$mim/tools/make_shapes.py" --train 8 --val 4
quietly check_data.log "$python" "$mim/tools/check_data.py" "$config"
quietly train.log "$python" "$mim/tools/train.py" "$config" --cfg-options "${few[@]}"
checkpoint=work_dirs/spanetv2_shapes/epoch_1.pth
test -f "$checkpoint" || fail 'train.py has left no checkpoint.'
quietly test.log "$python" "$mim/tools/test.py" "$config" "$checkpoint" --cfg-options "${few[@]}"
image=$(find data/shapes/imagenet/val -type f | head -1)
quietly demo.log "$python" "$mim/tools/demo.py" "$image" --config spanetv2_shapes \
    --checkpoint "$checkpoint" --out-dir demo
find demo/pictures -type f | grep -q . || fail 'demo.py has drawn nothing.'
# The claim can't come out after one epoch: status 2, and a record of it.
status=0
"$python" "$mim/tools/reproduce.py" "$config" "$checkpoint" --work-dir reproduced \
    --cfg-options "${few[@]}" >reproduce.log 2>&1 || status=$?
case $status in 0 | 2) ;; *) tail -20 reproduce.log >&2; fail 'reproduce.py failed.' ;; esac
record=$(find reproduced -name 'reproduced.yml')
[ -n "$record" ] || fail 'reproduce.py has left no record in its work dir.'
grep -q 'spanetv2_shapes' "$record" || fail 'the record does not name the config.'

config=$mim/configs/det/maskrcnn_spanetv2_shapes.py
quietly check_data.log "$python" "$mim/tools/check_data.py" "$config"
quietly train.log "$python" "$mim/tools/train.py" "$config" --cfg-options "${few[@]}"
grep -E 'mAP_copypaste' train.log | tail -1 | sed 's/.*INFO - //'
say 'the wheel installs, and all that it carries runs'
