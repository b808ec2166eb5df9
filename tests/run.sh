#!/bin/sh
# run.sh - installs what is missing, builds every preset and runs every test: `sh tests/run.sh`.
#
# usage: tests/run.sh [--only LABEL] [--list] [--full] [--step PATTERN] [--no-install] [--jobs N]
#   --only LABEL    only tests of that label: spine border postgres email sms context support social
#   --list          prints the steps that would run, and ends
#   --full          release counts for fault tests, longer fuzzing
#   --step PATTERN  only steps whose name matches (shell pattern), and the builds they need
#   --no-install    doesn't call contrib/bootstrap.sh
#   --jobs N        how many steps run at a time (default: the number of cores, 2 at least)
# Each test prints one line (ok, not ok, skip with its reason); the last line is the sum: N passed, N failed, N skipped.
# What touches the store runs on SQLite and, as steps of its own, on a PostgreSQL server made for the run.
# The exit code is 0 only when nothing failed. With CI=true a missing peer is a failure. Logs: build/test-logs.
set -eu
cd "$(dirname -- "$0")/.."

install=yes
for word in "$@"; do
  case $word in --list | --no-install | -h | --help) install= ;; esac
done
if [ -n "$install" ]; then
  mkdir -p build/test-logs
  if ! sh contrib/bootstrap.sh build test >build/test-logs/bootstrap.log 2>&1; then
    tail -n 20 build/test-logs/bootstrap.log
    echo "not ok - contrib/bootstrap.sh (build/test-logs/bootstrap.log)"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
  fi
fi
exec /usr/bin/python3 tests/runner.py "$@"
