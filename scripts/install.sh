#!/usr/bin/env sh
# Install codemoe into the virtual environment of the given interpreter, torch first.
# Without a GPU the CPU build of torch is asked for: the default build brings gigabytes of CUDA.
set -eu
python=$1
torch=$(sed -n 's/^torch==/torch==/p' constraints.txt)
if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then
  "$python" -m pip install -q "$torch"
else
  # A wheel that pip already knows of (its own find-links or index) is taken; else PyTorch's CPU index.
  "$python" -m pip install -q "$torch+cpu" 2>/dev/null ||
    "$python" -m pip install -q "$torch" --index-url https://download.pytorch.org/whl/cpu
fi
"$python" -m pip install -q -c constraints.txt -e '.[dev]'
