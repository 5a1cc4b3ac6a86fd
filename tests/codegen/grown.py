"""A row's samples with one size grown, and the largest tensor that generated code makes there, beside autograd's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.operators.language.row import Dtype, Like, OperatorRow, Sample
from tests.operators.rows_on_numbers import case, draw, overload

MOST = 50_000  # elements: where one size stands in many dimensions, growing it says nothing of the others


class Largest(TorchDispatchMode):
    """The bytes of the largest storage that any operator returned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = f(*args, **(kwargs or {}))
        mine = (t.untyped_storage().nbytes() for t in tree_leaves(found) if isinstance(t, torch.Tensor))
        self.bytes = max([self.bytes, *mine])
        return found


def likes(a: Any) -> Iterator[Like]:
    """The tensors of a sample."""
    if isinstance(a, Like):
        yield a
    elif isinstance(a, (list, tuple)):
        for x in a:
            yield from likes(x)


def real(a: Any, old: int, new: int, generator: torch.Generator, inputs: dict[str, torch.Tensor]) -> Any:
    """An argument of a sample as torch takes it, with each size ``old`` grown to ``new``."""
    if isinstance(a, Like):
        shape = tuple(new if s == old else s for s in a.shape)
        tensor = draw(replace(a, shape=shape, below=new if a.below == old else a.below), generator)
        inputs[f"x{len(inputs)}"] = tensor.requires_grad_(tensor.is_floating_point() and a.values != "fixed")
        return tensor
    if isinstance(a, Dtype):
        return getattr(torch, a.name)
    if isinstance(a, Poly):
        return a.at({s: new if int(s[1:]) == old else int(s[1:]) for s in a.sizes()})
    if isinstance(a, (list, tuple)):
        return type(a)(real(x, old, new, generator, inputs) for x in a)
    return a


def ratios(row: OperatorRow, name: str, sample: Sample, new: int) -> Iterator[tuple[int, float]]:
    """``(size, largest tensor over autograd's)`` for each size of the sample, grown; where torch or the code refuses, none."""
    c = case(row, name, sample)
    floats = [o for o in c.outputs if o.is_floating_point()]
    wrt = [n for n, v in c.inputs.items() if v.requires_grad]
    if not floats or not wrt:
        return
    program = replace(c.program, arguments=tuple(replace(a, below=None) for a in c.program.arguments))  # it grows with its size
    run = load(source(program, adjoint(program, wrt), wrt=wrt))
    given = [*sample.args, *sample.kwargs.values()]
    for old in sorted({s for a in likes(given) for s in a.shape if s > 1}):
        if any(math.prod(new if s == old else s for s in a.shape) > MOST for a in likes(given)):
            continue
        inputs: dict[str, torch.Tensor] = {}
        generator = torch.Generator().manual_seed(0)
        args = real(list(sample.args), old, new, generator, inputs)
        kwargs = {k: real(v, old, new, generator, inputs) for k, v in sample.kwargs.items()}
        plain = {k: v.detach() for k, v in inputs.items()}
        try:
            with Largest() as theirs:
                found = overload(name)(*args, **kwargs)
                outs = list(found) if isinstance(found, (tuple, list)) else [found]
                outs = [o for o in outs[: len(c.outputs)] if o.is_floating_point()]
                live = [o for o in outs if o.requires_grad]
                torch.autograd.grad(live, [inputs[n] for n in wrt], [torch.ones_like(o) for o in live], allow_unused=True)
            ups = {"grad_output" if len(outs) == 1 else f"grad_output_{k}": torch.ones_like(o) for k, o in enumerate(outs)}
            with Largest() as ours:
                run(**plain, **ups)
        except (RuntimeError, ValueError, IndexError):
            continue
        base = max(theirs.bytes, *(v.untyped_storage().nbytes() for v in plain.values()))
        yield old, ours.bytes / base
