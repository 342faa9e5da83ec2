#!/usr/bin/env bash
# Collect in a folder what dev/gpu_check.sh needs on a machine without a registry:
# bash dev/gpu_bundle.sh FOLDER [--python 3.12] [--has FREEZE] [--limit MIB]
#
# The machine must have torch and torchvision of requirements.txt, with a CUDA toolkit or without.
# The folder gets wheels for --python (default: 3.12) of the OpenMMLab libraries and of what they
# import, and the sources of onedl-mmcv. FREEZE is the output of `pip list --format=freeze` on
# the machine: what it names is left out. It fails if the folder is larger than --limit (64).
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
[ $# -ge 1 ] || fail 'name a folder: bash dev/gpu_bundle.sh FOLDER'
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
version=3.12 has=/dev/null limit=64
while [ $# -gt 0 ]; do
    case $1 in
        --python) version=$2 ;;
        --has) has=$2 ;;
        --limit) limit=$2 ;;
        *) fail "there is no option $1." ;;
    esac
    shift 2
done
[ -r "$has" ] || fail "there is no file $has."
has=$(realpath "$has")
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ ! -x .venv/bin/python ] || python=.venv/bin/python

pinned() { grep -hE "^$1==" requirements*.txt | sed 's/[ ;#].*//'; }
# With the libraries what they import; torch brings numpy, pillow, sympy and so on.
packages=(
    "$(pinned onedl-mmengine)" "$(pinned onedl-mmdetection)" "$(pinned onedl-mmsegmentation)"
    "$(pinned onedl-mmpretrain)" "$(pinned opencv-python-headless)" "$(pinned orjson)"
    "$(pinned ftfy)" "$(pinned regex)" "$(pinned timm)" "$(pinned tabulate)"
    addict yapf platformdirs rich markdown-it-py mdurl pygments termcolor pyyaml packaging
    pycocotools terminaltables shapely prettytable wcwidth modelindex mat4py einops tqdm
    scipy matplotlib contourpy cycler fonttools kiwisolver pyparsing python-dateutil six
    huggingface-hub safetensors setuptools==81.0.0 wheel ninja
    "$(pinned pytest)" "$(pinned pytest-xdist)" "$(pinned pytest-timeout)" "$(pinned hypothesis)"
    pluggy iniconfig execnet sortedcontainers "$(pinned filelock)"
)
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
target=(--only-binary=:all: --implementation cp --python-version "$version")
for tag in manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux_2_17 manylinux2014 manylinux_2_12; do
    target+=(--platform "${tag}_x86_64")
done
for package in "${packages[@]}"; do
    name=${package%%==*}
    if grep -qiE "^${name//-/[-_]}==" "$has"; then continue; fi
    compgen -G "$folder/${name//-/_}-*.whl" >/dev/null && continue
    pip download --no-deps "${target[@]}" --dest "$folder" "$package" 2>/dev/null ||
        pip wheel --no-deps --wheel-dir "$folder" "$package" ||
        fail "there is no wheel of $package."
done
mmcv=$(pinned onedl-mmcv)
[ -e "$folder/onedl_mmcv-${mmcv#*==}.tar.gz" ] ||
    pip download --no-deps --no-build-isolation --no-binary onedl-mmcv --dest "$folder" "$mmcv"
size=$(du -sm "$folder" | cut -f1)
echo "$(find "$folder" -type f | wc -l) files, $size MiB in $folder"
[ "$size" -le "$limit" ] ||
    fail "$size MiB are more than $limit: leave out what the machine has, with --has FREEZE."
