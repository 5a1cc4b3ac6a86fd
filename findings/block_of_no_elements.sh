#!/usr/bin/env bash
# torch 2.13.0: behind a vector of no elements, torch.block_diag gives each matrix the gradient of the rows above its own.
#
# A vector is a row; one of no elements is a row of zeros, so that the matrix behind it starts in row 1 of the result.  The
# backward does not count that row: the matrix gets the upstream gradient of row 0 on, without a word.  With a matrix of shape
# (1, 0) in place of the vector, which gives the same result, the gradient is right.
#
# Output seen: 2.13.0 vector [[1.0, 2.0], [3.0, 4.0]] matrix [[3.0, 4.0], [5.0, 6.0]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch

upstream = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
found = {}
for name, empty in (("vector", torch.zeros(0)), ("matrix", torch.zeros(1, 0))):
    block = torch.ones(2, 2, requires_grad=True)
    value = torch.block_diag(empty, block)
    assert value.tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
    found[name] = torch.autograd.grad(value, block, upstream)[0].tolist()
print(torch.__version__.partition("+")[0], "vector", found["vector"], "matrix", found["matrix"])
assert found["matrix"] == upstream[1:].tolist()
assert found["vector"] == upstream[:2].tolist(), "the behaviour changed"
PYTHON
