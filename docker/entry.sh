#!/bin/sh
# `lab` starts JupyterLab for the browser of the host; any other words are those of `bears`.
set -eu
if [ "${1:-}" = lab ]; then
  shift
  # 0.0.0.0 is inside the container: publish the port for this machine alone, -p 127.0.0.1:8888:8888.
  exec jupyter lab --no-browser --ip=0.0.0.0 --port="${PORT:-8888}" --ServerApp.root_dir=/work \
    --LabApp.default_url=/lab/tree/notebooks/01_fetch.ipynb "$@"
fi
exec bears "$@"
