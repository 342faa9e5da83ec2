#!/usr/bin/env bash
# Set up what is needed and run the test suite: bash tools/run_tests.sh [--all] [options of pytest]
# --all adds the tests marked slow: second processes, trainings, documented commands.
# One process a core, 8 at most; -n 0 runs all tests in one.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
marks=(-m 'not slow')
if [ "${1:-}" = --all ]; then
    marks=()
    shift
fi
exec .venv/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal "${marks[@]}" "$@"
