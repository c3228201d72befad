#!/bin/bash
# Runs a command with the settings of a file.
set -a
source $1
shift
$*
