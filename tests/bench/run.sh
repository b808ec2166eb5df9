#!/bin/sh
# run.sh - measures parleyd against calibrators run in the same minute: `sh tests/bench/run.sh`.
#
# usage: tests/bench/run.sh [--quick | --full | --smoke] [--row PATTERN] [--list]
#   nothing   medians of 3; 100,000 known customers and as many queued
#   --quick   one short run of each row, to see where one stands
#   --full    1,000,000 known and queued, 10,000,000 stored
#   --smoke   sees that each driver works and judges no figure; prints ok and not ok
# Needs the release build (cmake --preset release && cmake --build build/release). Each row prints its name, its ratio or
# figure, gate, target and PASS or FAIL; the exit code is 1 when a row marked * misses its gate.
set -eu
cd "$(dirname -- "$0")/../.."
exec /usr/bin/python3 tests/bench/run.py "$@"
