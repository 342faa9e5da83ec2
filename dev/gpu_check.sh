#!/usr/bin/env bash
# Prove on a machine with a GPU what no other can show: bash dev/gpu_check.sh [options]
#
# Sets up .venv, or installs from a folder that dev/gpu_bundle.sh made, then runs dev/gpu_check.py:
# the environment check, the suite on the GPU, parity with the CPU, a short training of each task,
# two processes with NCCL, the tables of times and memory. At most 60 minutes.
#   --wheels FOLDER   install from there, on top of the machine's own torch; no registry is asked
#   --out FOLDER      where page, record and logs go (default: work_dirs/gpu_check)
#   --device cpu      the same steps on tiny sizes; its figures say nothing about a GPU
#   --minutes N       end after so many minutes (default: 60)
set -uo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
here=$PWD
cd "$(dirname "$0")/.." || exit 1
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
wheels='' out=work_dirs/gpu_check device=cuda minutes=60
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value."
    case $1 in
        --wheels) wheels=$(cd "$here" && cd "$2" && pwd) || exit 1 ;;
        --out) out=$(cd "$here" && realpath -m "$2") ;;
        --device) device=$2 ;;
        --minutes) minutes=$2 ;;
        *) fail "there is no option $1." ;;
    esac
    shift 2
done
mkdir -p "$out"
start=$SECONDS
log=$out/set_up.log

set_up_from_wheels() {
    export PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheels
    local base=${PYTHON:-python3} python=.venv/bin/python mmcv
    if [ ! -x "$python" ]; then
        "$base" -m venv --system-site-packages .venv || return 1
        # A venv's own torch of the machine, if this Python is itself one of a venv.
        "$base" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
            > "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
    fi
    "$python" -m pip install --no-deps "$wheels"/*.whl || return 1
    "$python" -c 'import cv2, scipy' || {
        echo 'This machine has no OpenCV or no SciPy: make the folder with gpu_bundle.sh --all.'
        return 1
    }
    if ! compgen -G "$wheels/onedl_mmcv-*.whl" > /dev/null; then
        mmcv=$("$python" tools/set_up/mmcv_wheel.py wheel "$(grep '^onedl-mmcv==' requirements.txt)") || return 1
        "$python" -m pip install --no-deps "${mmcv##*$'\n'}" || return 1
    fi
    "$python" -m pip install --no-deps --no-build-isolation -e .
}
if [ -n "$wheels" ]; then
    set_up_from_wheels 2>&1 | tee "$log"
else
    bash tools/setup_env.sh 2>&1 | tee "$log"
fi
status=${PIPESTATUS[0]}
[ -x .venv/bin/python ] || fail "the set-up failed: $log"
exec .venv/bin/python -m dev.gpu_check --device "$device" --out "$out" --minutes "$minutes" \
    --set-up "$status" $((SECONDS - start))
