#!/usr/bin/env bash
# Set up .venv at the root of the checkout with the stack of requirements.txt:
# bash tools/setup_env.sh [--plan] [--cpu | --cuda] [--arch 8.0,9.0]
#
# mmcv is compiled for the GPUs that nvidia-smi lists, else for the CPU.
#   --plan   print what would be done and why, and end
#   --cuda   compile for CUDA without a GPU at hand, too (also FORCE_CUDA=1)
#   --arch   for these compute capabilities (also TORCH_CUDA_ARCH_LIST, with --cuda)
#   --cpu    compile for the CPU, though there is a GPU
#
# Safe to repeat: a finished set-up is used as it is, a half-finished one is completed. Python is
# $PYTHON, else the first of python3.11, 3.12, 3.10 and python3 that fits. The compiled wheel of
# onedl-mmcv (about 9 minutes on 2 cores for CPUs) is kept, by torch, Python and device, under
# ${MMSPANET_WHEELS:-${XDG_CACHE_HOME:-~/.cache}/mmspanet}, so that it is compiled once.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
venv=$PWD/.venv
stamp=$venv/.mmspanet-ready
wanted=$(cat requirements*.txt pyproject.toml setup.py | cksum)
plan=
options=()
for option; do
    if [ "$option" = --plan ]; then plan=yes; else options+=("$option"); fi
done

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }
pinned() { grep -E "^$1==" requirements.txt; }
mmcv_wheel() { # python, command, its arguments
    local python=$1
    shift
    "$python" tools/set_up/mmcv_wheel.py "$@" ${options[@]+"${options[@]}"}
}

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

# The stamp holds what the set-up was made from and in its second line the device of mmcv: none
# for the CPU, --cpu if that was asked for, else cuda- and the architectures.
if [ -f "$stamp" ] && [ "$(head -1 "$stamp")" = "$wanted" ] && [ -z "$plan" ] &&
    "$venv/bin/python" -c 'import mmspanet' 2>/dev/null; then
    target=$(sed -n 2p "$stamp")
    if [ "$target" = --cpu ] && [ ${#options[@]} -eq 0 ] && [ -z "${FORCE_CUDA:-}" ]; then
        exit 0
    fi
    mmcv_wheel "$venv/bin/python" serves "${target:-cpu}" && exit 0 || [ $? -eq 1 ] || exit 1
fi

python=$venv/bin/python
has_venv=yes
if ! { [ -x "$python" ] && fits "$python" && "$python" -m pip --version >/dev/null 2>&1; }; then
    has_venv=
    python=$(find_python) || fail "Python 3.10, 3.11 or 3.12 with its venv module is needed: install one (Debian: apt install python3 python3-venv) or name it with PYTHON=/path/to/python."
fi
mmcv_wheel "$python" plan "$(pinned onedl-mmcv)" "$(pinned torch)" || exit 1
[ -z "$plan" ] || exit 0

if [ -z "$has_venv" ]; then
    say "making .venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

say 'installing PyTorch (its default wheels are the CUDA build: about 3 GB to download, 6 GB on disk)'
# torch 2.11 takes setuptools below 82, building onedl-mmcv at least 77.
pip install 'setuptools>=77,<82' 'packaging>=24.2' wheel ninja "$(pinned torch)" "$(pinned torchvision)" "$(pinned numpy)"

# A wheel serves one torch, one Python and its device: never pip's own cache, which hands out
# wheels that were compiled against another torch.
say "compiling $(pinned onedl-mmcv), unless that was done before"
wheel=$(mmcv_wheel "$venv/bin/python" wheel "$(pinned onedl-mmcv)") || exit 1
wheel=${wheel##*$'\n'}

say 'installing the OpenMMLab libraries and mmspanet'
pip install -r <(grep -v '^onedl-mmcv' requirements.txt) -r requirements-dev.txt addict
pip install --no-deps --force-reinstall "$wheel" "$(pinned opencv-python-headless)"
pip install --no-deps --no-build-isolation -e .

say 'checking that everything imports'
if ! "$venv/bin/python" -c 'import mmcv.ops, mmdet.models, mmpretrain.models, mmseg.models, mmspanet.models'; then
    [ -z "${MMSPANET_REPAIRED:-}" ] ||
        fail 'the libraries do not import together, not even in a new .venv: see the error above.'
    say '.venv is damaged: making it anew'
    rm -rf "$venv"
    MMSPANET_REPAIRED=1 exec bash tools/setup_env.sh ${options[@]+"${options[@]}"}
fi
target=$(basename "$(dirname "$wheel")")
target=${target##*_}
if [ "$target" = cpu ]; then
    target=
    case " ${options[*]-} " in *' --cpu '*) target=--cpu ;; esac
fi
printf '%s\n%s' "$wanted" "$target" > "$stamp"
