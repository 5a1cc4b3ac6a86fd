#!/usr/bin/env bash
# triton 3.5.1: in the interpreter a function of the device library is None, and a Python float argument is no tensor.
#
# TRITON_INTERPRET=1 runs a kernel on the CPU, to debug it.  libdevice.rsqrt(x), which a compiled kernel computes, gives None
# there without a word, and the kernel fails at the next operator that uses it.  A float argument, which a compiled kernel
# converts with .to(tl.float32), has no .to in the interpreter (an int has: it is made a tensor).
#
# Output seen: 3.5.1 libdevice.rsqrt gives None; float argument: AttributeError("'float' object has no attribute 'to'")
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 triton==3.5.1 numpy==2.2.6
cat > "$folder/kernels.py" <<'PYTHON'
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

seen = []


@triton.jit
def root(x, y):
    found = libdevice.rsqrt(tl.load(x))
    seen.append(found)
    tl.store(y, 1.0)


@triton.jit
def converted(y, eps):
    tl.store(y, eps.to(tl.float32))


x, y = torch.full((1,), 4.0), torch.zeros(1)
root[(1,)](x, y)
said = "nothing"
try:
    converted[(1,)](y, 1e-5)
except Exception as error:
    said = str(error)
print(triton.__version__, f"libdevice.rsqrt gives {seen[0]}; float argument: {said}")
assert seen == [None] and "'float' object has no attribute 'to'" in said, "the behaviour changed"
PYTHON
TRITON_INTERPRET=1 "$folder/venv/bin/python" "$folder/kernels.py"
