#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The gsocc authors
# SPDX-License-Identifier: Apache-2.0
# Everything that a GPU can tell about this checkout in ten minutes; see docs/gpu.md.
#
#   scripts/gpu_check.sh [--wheels FOLDER] [--out FOLDER] [--minutes N] [--parts tests,splat,...] [--demo-bundle FOLDER]
#
# Takes the python3 that has PyTorch (or $PYTHON) as it is. What it lacks is installed from wheels in FOLDER, without a
# network, beside it; what is lacking even then is said, and the parts that can do without are run.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
arguments=()
while [ $# -gt 0 ]; do
  if [ "$1" = --wheels ] && [ $# -gt 1 ]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    # One by one: a wheel for another Python must not keep the others out.
    for wheel in "$2"/*.whl; do
      "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$wheel" ||
        echo "not installed: $wheel"
    done
    export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
    shift 2
  else
    arguments+=("$1")
    shift
  fi
done
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
"$python" scripts/gpu_check.py ${arguments[@]+"${arguments[@]}"}
