#!/usr/bin/env bash
# Train under Slurm: [GPUS=8] [GPUS_PER_NODE=GPUS, 8 at most] [CPUS_PER_TASK=5] [SRUN_ARGS=...]
# bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# For jobs that end or are preempted: SRUN_ARGS=--signal=USR1@120 and the options --resume and
# --save-on-signal write a checkpoint two minutes before the end, and go on from it at the next start.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
if [ $# -lt 4 ]; then
    bash "$0" --help >&2
    exit 2
fi
gpus=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# SRUN_ARGS holds several words on purpose.
# shellcheck disable=SC2086
srun -p "$1" --job-name="$2" \
    --gres="gpu:$gpus_per_node" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$3" --work-dir="$4" --launcher=slurm "${@:5}"
