#!/bin/sh
# rss.sh - memory of process trees: usage: rss.sh PID...
# Prints total RSS and PSS (shared pages split fairly) in MiB and the number of processes.
set -eu

add_tree()
{
  [ -r "/proc/$1/smaps_rollup" ] || return 0
  cat "/proc/$1/smaps_rollup" 2>/dev/null || true
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null || true); do
    add_tree "$child"
  done
}

for pid in "$@"; do
  add_tree "$pid"
done | awk '/^Rss:/ { rss += $2; processes++ } /^Pss:/ { pss += $2 }
  END { printf "rss_mib=%.1f pss_mib=%.1f processes=%d\n", rss / 1024, pss / 1024, processes }'
