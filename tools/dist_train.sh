#!/usr/bin/env bash
# Train on several processes: bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]
# Across machines, set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
config=$1 processes=$2
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
