#!/usr/bin/env bash
# Do to a training what real life does, and show that nothing is lost: bash dev/fault_injection.sh
#
# Twenty kills on one process and twenty on two, damaged files, a full disk, a launch that restarts
# by itself; thousands of iterations in a row. At most 100 minutes; logs and figures are left in
# ${1:-work_dirs/fault_injection}, which must not exist.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
folder=${1:-work_dirs/fault_injection}
for processes in 1 2; do
    echo "== kills, $processes process(es)"
    timeout 40m .venv/bin/python -m dev.fault_injection \
        --processes "$processes" --work-dir "$folder/$processes"
done
echo '== long runs'
timeout 10m .venv/bin/python -m dev.long_run --out "$folder/long_run.json"
echo '== bad input and foreign code'
timeout 10m .venv/bin/python -m pytest tests/datasets/test_check.py tests/checkpoints/test_safe.py
