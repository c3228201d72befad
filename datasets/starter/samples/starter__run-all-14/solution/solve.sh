#!/bin/bash
# Run in the repository.
set -e
git apply "$(dirname "$0")/gold.patch"
