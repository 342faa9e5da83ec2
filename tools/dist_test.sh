#!/usr/bin/env bash
# Test on several processes: bash tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of test.py]
# Across machines, set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
if [ $# -lt 3 ]; then
    bash "$0" --help >&2
    exit 2
fi
config=$1 checkpoint=$2 processes=$3
exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
