#!/usr/bin/env bash
# Build the wheel, install it into a new environment and train one epoch of one iteration there,
# away from the checkout: bash dev/check_wheel.sh
#
# The environment is made in a temporary folder (6 GB) and removed at the end. Python is $PYTHON,
# else python3.11; the compiled wheel of onedl-mmcv is the one that tools/setup_env.sh has kept.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/../.."
root=$PWD
folder=$(mktemp -d "${TMPDIR:-/tmp}/mmspanet-drill.XXXXXX")
trap 'rm -rf "$folder"' EXIT
say() { printf '\n== %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

say 'making a new environment'
"${PYTHON:-python3.11}" -m venv "$folder/venv"
python=$folder/venv/bin/python
pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install 'setuptools>=77,<82' wheel
pip install -r <(grep -v '^onedl-mmcv' requirements.txt) addict
key=$("$python" -c '
import sys, torch
device = "cuda" if torch.cuda.is_available() else "cpu"
print(f"torch-{torch.__version__}_cp{sys.version_info[0]}{sys.version_info[1]}_{device}")')
mmcv=$(grep '^onedl-mmcv==' requirements.txt)
wheels=${MMSPANET_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/mmspanet}/${mmcv/==/-}_$key
compgen -G "$wheels/*.whl" >/dev/null ||
    fail "there is no wheel of onedl-mmcv in $wheels: run tools/setup_env.sh first."
pip install --no-deps --force-reinstall "$wheels"/*.whl "$(grep '^opencv' requirements.txt)"

say 'building the wheel and installing it'
# From a copy, since a build leaves folders beside what it builds.
mkdir "$folder/sources"
cp -r setup.py pyproject.toml README.md LICENSE MANIFEST.in model-index.yml \
    mmspanet configs tools "$folder/sources"
rm -rf "$folder/sources/mmspanet/.mim"
pip wheel --no-deps --no-build-isolation --wheel-dir "$folder" "$folder/sources"
printf '%s files for MIM in the wheel\n' \
    "$("$python" -m zipfile --list "$folder"/mmspanet-*.whl | grep -c 'mmspanet/.mim/')"
pip install "$folder"/mmspanet-*.whl

say 'training one iteration, elsewhere, with what the wheel carries'
mkdir "$folder/elsewhere"
cd "$folder/elsewhere"
"$python" -m mmspanet.check_env
mim=$("$python" -c 'import mmspanet; print(mmspanet.__path__[0])')/.mim
case $mim in "$root"*) fail "$mim is the checkout, not the wheel." ;; esac
"$python" "$mim/tools/make_shapes.py" coco --train 4 --val 2
"$python" "$mim/tools/train.py" "$mim/configs/det/maskrcnn_spanetv2_shapes.py" \
    --cfg-options train_cfg.max_epochs=1 train_cfg.val_interval=1 default_hooks.logger.interval=1 \
    >train.log 2>&1 || { tail -20 train.log >&2; fail 'the training failed.'; }
grep -E 'Epoch\(train\)|mAP_copypaste' train.log
test -f work_dirs/maskrcnn_spanetv2_shapes/epoch_1.pth || fail 'there is no checkpoint.'
say 'the wheel installs, and trains'
