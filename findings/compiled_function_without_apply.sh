#!/usr/bin/env bash
# torch 2.13.0: torch.compile does not call the `apply` that a subclass of torch.autograd.Function defines.
#
# Eagerly `Scaled.apply(x)` is the method of the class, which scales what the Function gives.  torch.compile takes a Function's
# `forward` and `backward` from the class and goes round its `apply`: the compiled code gives another value and another gradient,
# with fullgraph=True, too, and without a word.
#
# Output seen: 2.13.0 eager 3.0, gradient 3.0; compiled 1.0, gradient 1.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import torch


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g

    @classmethod
    def apply(cls, x):
        return 3 * super().apply(x)


def f(x):
    return Scaled.apply(x)


seen = {}
for name, run in (("eager", f), ("compiled", torch.compile(f, backend="eager", fullgraph=True))):
    x = torch.tensor(1.0, requires_grad=True)
    value = run(x)
    value.backward()
    seen[name] = value.item(), x.grad.item()
eager, compiled = seen["eager"], seen["compiled"]
print(torch.__version__.partition("+")[0], "eager %s, gradient %s; compiled %s, gradient %s" % (*eager, *compiled))
assert eager == (3.0, 3.0)
assert compiled == (1.0, 1.0), "the behaviour changed"
PYTHON
