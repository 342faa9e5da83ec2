#!/usr/bin/env bash
# Compile onedl-mmcv's whole CUDA extension without a GPU and import it:
# bash dev/compile_cuda.sh FOLDER [ARCHITECTURES]      (default: 9.0)
#
# The compiler comes from PyPI (way A of docs/install.md), the packages from .venv, which stays as
# it is. FOLDER keeps environment, log and wheel; an interrupted run goes on. One job, about an
# hour of a core; MAX_JOBS=N takes more.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
[ $# -ge 1 ] || { echo 'error: name a folder: bash dev/compile_cuda.sh FOLDER' >&2; exit 1; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
architectures=${2:-9.0}
cd "$(dirname "$0")/.."
unset PYTHONPATH
python=$folder/venv/bin/python
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
base=$(.venv/bin/python -c "$purelib")
if [ ! -x "$python" ]; then
    "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" -m venv "$folder/venv"
    # As a path of the .pth file, the base's packages come after those that are installed here.
    echo "$base" >"$("$python" -c "$purelib")/base.pth"
fi
toolkit=$("$python" -c 'import importlib.metadata as m; print(m.version("cuda-toolkit"))')
"$python" -m pip --disable-pip-version-check install 'setuptools>=77,<82' 'packaging>=24.2' wheel \
    ninja "cuda-toolkit[nvcc,nvvm,crt,cccl]==$toolkit"
# One folder with the compiler, and with the runtime and the headers of the base's wheels.
home=$("$python" -c "$purelib")/nvidia/cu${toolkit%%.*}
cp -rsn "$base/nvidia/cu${toolkit%%.*}/." "$home/"
ln -sfn lib "$home/lib64"
ln -sf "libcudart.so.${toolkit%%.*}" "$home/lib/libcudart.so"

export CUDA_HOME=$home MMSPANET_WHEELS=$folder/wheels MAX_JOBS=${MAX_JOBS:-1}
mmcv=$(grep '^onedl-mmcv==' requirements.txt)
wheel=$("$python" tools/set_up/mmcv_wheel.py wheel "$mmcv" --cuda --arch "$architectures")
wheel=${wheel##*$'\n'}
"$python" -m pip --disable-pip-version-check install --no-deps --force-reinstall "$wheel"
cd "$folder"
"$python" -c '
import mmcv._ext
from mmcv.ops import get_compiling_cuda_version
print(mmcv._ext.__file__, "compiled with CUDA", get_compiling_cuda_version())'
du -h "$("$python" -c 'import mmcv._ext; print(mmcv._ext.__file__)')"
"$home/bin/cuobjdump" --list-elf "$("$python" -c 'import mmcv._ext; print(mmcv._ext.__file__)')" \
    2>/dev/null | grep -o 'sm_[0-9a-z]*' | sort | uniq -c || true
