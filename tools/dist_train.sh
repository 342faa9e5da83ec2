#!/usr/bin/env bash
# Train on several processes: bash tools/dist_train.sh CONFIG PROCESSES [options of train.py]
# Across machines, set NNODES, NODE_RANK and MASTER_ADDR (and PORT) on each. With MAX_RESTARTS=n
# and --resume, a launch that lost a worker goes on by itself, up to n times.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
if [ $# -lt 2 ]; then
    bash "$0" --help >&2
    exit 2
fi
config=$1 processes=$2
rendezvous=(
    --node_rank="${NODE_RANK:-0}"
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}"
)
if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # Restarted workers need a store of their own: the static rendezvous above, and the one that is
    # shared with the launcher, still hold the addresses of the dead ones (pytorch issue 135712).
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    rendezvous=(
        --max_restarts="$MAX_RESTARTS" --rdzv_backend=c10d --rdzv_id="${PORT:-29500}"
        --rdzv_endpoint="${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}"
    )
fi
exec python -m torch.distributed.run "${rendezvous[@]}" \
    --nnodes="${NNODES:-1}" --nproc_per_node="$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
