#!/usr/bin/env bash
# Set up .venv at the root of the checkout with the stack of requirements.txt: bash tools/setup_env.sh
#
# Safe to repeat: a finished set-up is used as it is, a half-finished one is completed. Python is
# $PYTHON, else the first of python3.11, 3.12, 3.10 and python3 that fits. The compiled wheel of
# onedl-mmcv (about 9 minutes on 2 cores) is kept, by torch and Python version, under
# ${MMSPANET_WHEELS:-${XDG_CACHE_HOME:-~/.cache}/mmspanet}, so that it is compiled once.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
venv=$PWD/.venv
stamp=$venv/.mmspanet-ready
wanted=$(cat requirements*.txt pyproject.toml setup.py | cksum)

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c 'import mmspanet' 2>/dev/null; then
    exit 0
fi

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

fits() { "$1" -c 'import sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3}; do
        if command -v "$candidate" >/dev/null && fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

if ! { [ -x "$venv/bin/python" ] && fits "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    python=$(find_python) || fail "Python 3.10, 3.11 or 3.12 with its venv module is needed: install one (Debian: apt install python3 python3-venv) or name it with PYTHON=/path/to/python."
    say "making .venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pinned() { grep -E "^$1==" requirements.txt; }

say 'installing PyTorch (its default wheels are the CUDA build: about 3 GB to download, 6 GB on disk)'
# torch 2.11 takes setuptools below 82, building onedl-mmcv at least 77.
pip install 'setuptools>=77,<82' 'packaging>=24.2' wheel ninja "$(pinned torch)" "$(pinned torchvision)" "$(pinned numpy)"

# A wheel serves one torch (with or without CUDA) and one Python: never pip's own cache, which
# hands out wheels that were compiled against another torch.
key=$("$venv/bin/python" -c '
import sys, torch
device = "cuda" if torch.cuda.is_available() else "cpu"
print(f"torch-{torch.__version__}_cp{sys.version_info[0]}{sys.version_info[1]}_{device}")')
mmcv=$(pinned onedl-mmcv)
wheels=${MMSPANET_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/mmspanet}/${mmcv/==/-}_$key
if ! compgen -G "$wheels/*.whl" >/dev/null; then
    command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null ||
        fail 'a C++ compiler is needed to build onedl-mmcv: install one (Debian: apt install g++).'
    "$venv/bin/python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
        fail 'the Python headers are needed to build onedl-mmcv: install them (Debian: apt install python3-dev).'
    say "compiling $mmcv (once for this torch and Python; about 9 minutes on 2 cores)"
    partial=$(mktemp -d "${TMPDIR:-/tmp}/mmspanet-mmcv.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} "$venv/bin/python" -m pip \
        --disable-pip-version-check wheel --no-build-isolation --no-cache-dir --no-deps \
        --no-binary onedl-mmcv --wheel-dir "$partial" "$mmcv"
    mkdir -p "$wheels"
    mv "$partial"/*.whl "$wheels/"
fi

say 'installing the OpenMMLab libraries and mmspanet'
pip install -r <(grep -v '^onedl-mmcv' requirements.txt) -r requirements-dev.txt addict
pip install --no-deps --force-reinstall "$wheels"/*.whl "$(pinned opencv-python-headless)"
pip install --no-deps --no-build-isolation -e .

say 'checking that everything imports'
if ! "$venv/bin/python" -c 'import mmcv.ops, mmdet.models, mmpretrain.models, mmseg.models, mmspanet.models'; then
    [ -z "${MMSPANET_REPAIRED:-}" ] ||
        fail 'the libraries do not import together, not even in a new .venv: see the error above.'
    say '.venv is damaged: making it anew'
    rm -rf "$venv"
    MMSPANET_REPAIRED=1 exec bash tools/setup_env.sh
fi
printf '%s' "$wanted" > "$stamp"
