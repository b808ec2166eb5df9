#!/bin/sh
# cpu.sh - CPU seconds that process trees have used so far: the live ones and their reaped children.
# usage: cpu.sh PID...   Taken before and after a load, the difference by the messages is the CPU a message costs, which
# scatters less than a rate does.
set -eu

ticks=0
add_tree()
{
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  children=$(cat /proc/"$1"/task/*/children 2>/dev/null || true)
  # Behind the name in parentheses: state is field 1; utime, stime, cutime and cstime are 12 to 15.
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  ticks=$((ticks + ${12} + ${13} + ${14} + ${15}))
  for child in $children; do
    add_tree "$child"
  done
}

for pid in "$@"; do
  add_tree "$pid"
done
awk -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f\n", ticks / hz }'
