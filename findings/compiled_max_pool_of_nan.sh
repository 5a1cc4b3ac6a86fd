#!/usr/bin/env bash
# torch 2.13.0, CPU: of several NaN in a window, max_pool2d takes the last one's place, compiled by inductor the first one's.
#
# The value is NaN either way; the index that is returned, and the element that the gradient goes to, are not the same.
# It needs a C++ compiler.
#
# Output seen: 2.13.0 eager index 2, gradient [[0.0, 0.0], [1.0, 0.0]]; compiled index 1, gradient [[0.0, 1.0], [0.0, 0.0]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
TORCHINDUCTOR_CACHE_DIR="$folder/cache" "$folder/venv/bin/python" - <<'PYTHON'
import torch

image = torch.tensor([[[1.0, float("nan")], [float("nan"), 2.0]]])


def pooled(x):
    return torch.nn.functional.max_pool2d(x, 2, return_indices=True)


seen = {}
for name, run in (("eager", pooled), ("compiled", torch.compile(pooled))):
    x = image.clone().requires_grad_()
    value, index = run(x)
    value.sum().backward()
    assert value.isnan().all()
    seen[name] = index.item(), x.grad[0].tolist()
said = "; ".join(f"{name} index {index}, gradient {grad}" for name, (index, grad) in seen.items())
print(torch.__version__.partition("+")[0], said)
assert seen["eager"] == (2, [[0.0, 0.0], [1.0, 0.0]])
assert seen["compiled"] == (1, [[0.0, 1.0], [0.0, 0.0]]), "the behaviour changed"
PYTHON
