#!/usr/bin/env bash
# Set up the original OpenMMLab libraries beside ours and run the test suite on them:
# bash dev/upstream_stack.sh [options of pytest]      (all tests: add -m '')
#
# The environment is $VENV, else .venv-upstream at the root of the checkout; Python is $PYTHON,
# else python3.11 or python3.10. The compiled wheel of mmcv (about 9 minutes on 2 cores) is
# kept, by torch and Python version, where tools/setup_env.sh keeps that of onedl-mmcv.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
venv=${VENV:-$PWD/.venv-upstream}
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

# The libraries' last releases, with the newest torch and numpy that they were tried with.
# setuptools 82 drops pkg_resources, which the libraries' set-up and mmengine import.
torch=(torch==2.11.0 torchvision==0.26.0)
base=('setuptools>=77,<82' wheel ninja psutil numpy==2.2.6)
mmcv=mmcv==2.1.0
libraries=(mmengine==0.10.7 mmdet==3.3.0 mmsegmentation==1.2.2 mmpretrain==1.2.0
    ftfy==6.3.1 regex==2026.9.29)

if [ ! -x "$venv/bin/python" ]; then
    python=$(command -v "${PYTHON:-python3.11}" || command -v python3.10) ||
        fail 'Python 3.11 or 3.10 is needed: name one with PYTHON=/path/to/python.'
    say "making $venv with $("$python" --version)"
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

say 'installing PyTorch (its default wheels are the CUDA build: about 3 GB to download, 6 GB on disk)'
pip install "${base[@]}" "${torch[@]}"

say "compiling $mmcv, unless that was done before"
wheel=$("$venv/bin/python" tools/set_up/mmcv_wheel.py wheel "$mmcv") || exit 1

say 'installing the OpenMMLab libraries and mmspanet'
opencv=$(grep '^opencv' requirements.txt)
# numpy is named again, so that nothing lifts it.
pip install "${libraries[@]}" "${base[@]}" "${opencv/-headless/}" -r requirements-dev.txt
pip install --no-deps --force-reinstall "${wheel##*$'\n'}" "$opencv"
pip install --no-deps --no-build-isolation -e .

say 'checking the environment'
"$venv/bin/python" -m mmspanet.check_env
say 'running the test suite'
if [ $# -eq 0 ]; then
    set -- -m 'not slow'
fi
exec "$venv/bin/python" -m pytest "$@"
