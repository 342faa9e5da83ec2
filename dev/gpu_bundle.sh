#!/usr/bin/env bash
# Collect in a folder what dev/gpu_check.sh needs on a machine without a registry:
# bash dev/gpu_bundle.sh FOLDER [--python 3.12] [--mmcv WHEEL] [--has FREEZE] [--all] [--limit MIB]
#
# The folder gets wheels for --python (default: 3.12) of the OpenMMLab libraries and of what they
# import, and the sources of onedl-mmcv, or WHEEL, which was compiled for that machine's GPU,
# Python and torch. The machine must have torch and torchvision of requirements.txt, numpy, SciPy
# and OpenCV and, unless there is a WHEEL, a CUDA toolkit and g++.
#   --all         SciPy and OpenCV, too: two thirds of the size
#   --has FREEZE  leave out what the machine has by this output of `pip list --format=freeze`
#   --limit MIB   fail if the folder is larger (default: 64)
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
[ $# -ge 1 ] || fail 'name a folder: bash dev/gpu_bundle.sh FOLDER'
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
version=3.12 has=/dev/null limit=64 wheel='' large=()
while [ $# -gt 0 ]; do
    case $1 in --all) large=(scipy opencv-python-headless) && shift && continue ;; esac
    [ $# -ge 2 ] || fail "$1 needs a value."
    case $1 in
        --python) version=$2 ;;
        --mmcv) wheel=$2 ;;
        --has) has=$2 ;;
        --limit) limit=$2 ;;
        *) fail "there is no option $1." ;;
    esac
    shift 2
done
[ -r "$has" ] || fail "there is no file $has."
has=$(realpath "$has")
if [ -n "$wheel" ]; then
    [ -r "$wheel" ] || fail "there is no file $wheel."
    case $(basename "$wheel") in
        onedl_mmcv-*-"cp${version/./}"-*.whl) wheel=$(realpath "$wheel") ;;
        *) fail "$wheel is no onedl-mmcv for Python $version: give --python." ;;
    esac
fi
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ ! -x .venv/bin/python ] || python=.venv/bin/python

# A requirement as the files pin it, or the name alone.
pinned() { grep -hE "^$1==" requirements*.txt | sed 's/[ ;#].*//' || echo "$1"; }
# With the libraries what they import; torchvision brings numpy and pillow.
names=(
    onedl-mmengine onedl-mmdetection onedl-mmsegmentation onedl-mmpretrain
    orjson ftfy regex timm tabulate
    addict yapf platformdirs rich markdown-it-py mdurl pygments termcolor pyyaml packaging
    pycocotools terminaltables shapely prettytable wcwidth modelindex mat4py einops tqdm
    matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil six
    huggingface-hub safetensors setuptools==81.0.0 wheel ninja
    pytest pytest-xdist pytest-timeout hypothesis pluggy iniconfig execnet sortedcontainers
    filelock "${large[@]}"
)
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
target=(--only-binary=:all: --implementation cp --python-version "$version")
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux_2_12; do
    target+=(--platform "${tag}_x86_64")
done
for name in "${names[@]}"; do
    package=$(pinned "$name")
    name=${name%%==*}
    if grep -qiE "^${name//-/[-_]}==" "$has"; then continue; fi
    compgen -G "$folder/${name//-/_}-*.whl" >/dev/null && continue
    pip download --no-deps "${target[@]}" --dest "$folder" "$package" 2>/dev/null ||
        pip wheel --no-deps --wheel-dir "$folder" "$package" ||
        fail "there is no wheel of $package."
done
mmcv=$(pinned onedl-mmcv)
if [ -n "$wheel" ]; then
    rm -f "$folder"/onedl_mmcv-*
    cp "$wheel" "$folder"
elif ! compgen -G "$folder/onedl_mmcv-${mmcv#*==}.tar.gz" >/dev/null; then
    rm -f "$folder"/onedl_mmcv-*
    pip download --no-deps --no-build-isolation --no-binary onedl-mmcv --dest "$folder" "$mmcv"
fi
size=$(du -sm --apparent-size "$folder" | cut -f1)
echo "$(find "$folder" -type f | wc -l) files, $size MiB in $folder"
[ "$size" -le "$limit" ] || {
    (cd "$folder" && du -m --apparent-size -- * | sort -rn | head -5)
    fail "$size MiB are more than $limit: leave out what the machine has, with --has FREEZE."
}
