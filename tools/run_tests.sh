#!/usr/bin/env bash
# Set up what is needed and run the test suite: bash tools/run_tests.sh [--all] [options of pytest]
# --all adds the tests marked slow: second processes, trainings, documented commands.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
if [ "${1:-}" = --all ]; then
    exec .venv/bin/python -m pytest "${@:2}"
fi
exec .venv/bin/python -m pytest -m 'not slow' "$@"
