#!/bin/bash
# Keeps old versions of a file.

count=5
if [ "$1" = "-n" ]; then
  count=$2
  shift 2
fi
file=$1

if [ ! -e $file ]; then
  exit 1
fi

for old in `ls $file.* | sort -r`; do
  number=${old##*.}
  if [ $number -ge $count ]; then
    rm $old
  else
    mv $old $file.$((number + 1))
  fi
done
cp $file $file.1
rm $file
