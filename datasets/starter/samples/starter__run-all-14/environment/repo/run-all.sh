#!/bin/bash
# Runs the commands of a file, several at a time.
jobs=2
[ "$1" = -j ] && jobs=$2 && shift 2
i=0
while read line; do
  i=$((i + 1))
  bash -c "$line" 2>&1 | sed "s/^/$i: /" &
  if [ $((i % jobs)) = 0 ]; then wait; fi
done < $1
wait
