"""Rows on numbers: a sample as torch tensors and as a Program, for the tests that hold one against the other."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.integers.polynomials import Poly, as_poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.operators.language.build import Builder, KnownResults
from derivcheck.operators.language.row import Dtype, Like, OperatorRow, Sample, apply
from derivcheck.operators.language.values import Value


@dataclass
class Case:
    """A sample made real: torch's arguments, the Program, the inputs by name."""

    program: Program
    inputs: dict[str, torch.Tensor]
    outputs: tuple[torch.Tensor, ...]


def draw(like: Like, generator: torch.Generator) -> torch.Tensor:
    """Numbers for a tensor of a sample."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator, dtype=torch.float64)

    if like.kind == "bool":
        return torch.rand(like.shape, generator=generator) > 0.4
    if like.kind == "int":
        assert like.below is not None
        if like.values == "unique":
            orders = torch.rand((*like.shape[:-1], like.below), generator=generator).argsort(-1)
            return orders[..., : like.shape[-1]].contiguous()
        if like.values in ("starts", "bounds", "shares"):
            inner = torch.randint(like.below, (like.shape[0] - 1,), generator=generator).sort().values
            starts = torch.cat([torch.zeros(1, dtype=torch.int64), inner])
            ends = torch.cat([inner, torch.tensor([like.below - 1])])
            if like.values == "bounds":
                starts[-1] = like.below - 1
            return ends - starts if like.values == "shares" else starts
        return torch.randint(int(like.values == "positive"), like.below, like.shape, generator=generator)
    if like.values in ("positive", "fixed"):
        return uniform(0.5, 2)
    if like.values == "unit":
        return uniform(-0.95, 0.95)
    if like.values == "open":
        return uniform(0.05, 0.95)
    if like.values == "above":
        return uniform(1.1, 3)
    if like.values == "simplex":
        return uniform(0.1, 1).softmax(-1)
    if like.values == "signs":
        return torch.where(uniform(0, 1) > 0.5, 1.0, -1.0).to(torch.float64)
    if like.values == "ties":
        return torch.randint(-2, 3, like.shape, generator=generator).to(torch.float64)
    if like.values in ("lower", "upper"):
        triangle = (uniform(-1, 1) + 2 * torch.eye(like.shape[-1], dtype=torch.float64)).tril()
        return triangle if like.values == "lower" else triangle.mT.contiguous()
    if like.values == "definite":
        root = uniform(-1, 1)
        return root @ root.mT + like.shape[-1] * torch.eye(like.shape[-1], dtype=torch.float64)
    if like.values == "infinite":
        found = uniform(-1, 1).reshape(-1)
        found[:3] = torch.tensor([float("inf"), -float("inf"), float("nan")])[: len(found)]
        return found.reshape(like.shape)
    if like.values == "masked":  # -inf here and there, and in the whole of the first line
        found = torch.where(uniform(0, 1) > 0.6, -float("inf"), uniform(-1, 1))
        found[0] = -float("inf")
        return found
    if like.values == "threes":
        return torch.randint(-4, 5, like.shape, generator=generator).to(torch.float64)
    if like.values == "distinct":
        n = int(np.prod(like.shape))
        return ((torch.randperm(n, generator=generator) - n // 2) * 0.37 + 0.11).to(torch.float64).reshape(like.shape)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64)


def overload(name: str) -> Any:
    """The torch operator of a row's name."""
    space, op, kind = name.split(".")
    return getattr(getattr(getattr(torch.ops, space), op), kind)


def kind(tensor: torch.Tensor) -> str:
    """``float``, ``int`` or ``bool``."""
    return "float" if tensor.is_floating_point() else "bool" if tensor.dtype is torch.bool else "int"


def fits(name: str, sample: Sample) -> bool:
    """Whether a sample is for this overload: tensors stand where its schema has tensors."""
    if sample.only:
        return sample.only == name
    schema = overload(name)._schema.arguments
    given = [*zip((a.name for a in schema), sample.args, strict=False), *sample.kwargs.items()]
    types = {a.name: str(a.type) for a in schema}
    return len(sample.args) <= len(schema) and all(
        ("Tensor" in types[k]) == ("Like(" in repr(v)) or v is None for k, v in given if k in types
    )


def case(row: OperatorRow, name: str, sample: Sample) -> Case:
    """A sample as torch runs it and as the row means it, sizes symbolic (``s5`` for a dimension of 5)."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr((name, sample.args, sample.kwargs)).encode()))
    inputs: dict[str, torch.Tensor] = {}
    arguments: list[Input] = []

    def real(a: Any) -> Any:
        if isinstance(a, Like):
            tensor = draw(a, generator)
            inputs[f"x{len(inputs)}"] = tensor.requires_grad_(tensor.is_floating_point() and a.values != "fixed")
            return tensor
        if isinstance(a, Dtype):
            return getattr(torch, a.name)
        if isinstance(a, Poly):
            return a.at({s: int(s[1:]) for s in a.sizes()})
        if isinstance(a, (list, tuple)):
            return type(a)(real(v) for v in a)
        return a

    def symbolic(a: Any) -> Any:
        if isinstance(a, Like):
            dims = tuple(size(f"s{n}") if n > 1 and not sample.fixed else as_poly(n) for n in a.shape)
            value = Value(f"x{len(arguments)}", dims, a.kind)
            arguments.append(Input(value.name, dims, a.kind, None if a.below is None else as_poly(a.below)))
            return value
        if isinstance(a, (list, tuple)):
            return type(a)(symbolic(v) for v in a)
        return a

    given = real(sample.args), {k: real(v) for k, v in sample.kwargs.items()}
    wanted = overload(name)(*given[0], **given[1])
    outputs = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted,)
    args, kwargs = symbolic(sample.args), {k: symbolic(v) for k, v in sample.kwargs.items()}
    builder = Builder([a.name for a in arguments], [s for a in arguments for d in a.dims for s in d.sizes()])
    found = apply(row, builder, args, kwargs, KnownResults(kinds=tuple(kind(o) for o in outputs)), name)
    results = found if isinstance(found, tuple) else (found,)
    assert len(results) <= len(outputs), f"{len(results)} results where torch gives {len(outputs)}"
    outputs = outputs[: len(results)]
    sizes = sizes_of(program := Program(tuple(arguments), tuple(builder.definitions), tuple(v.name for v in results)))
    for v, o in zip(results, outputs, strict=True):
        shape = tuple(d.at(sizes) for d in v.dims)
        assert shape == tuple(o.shape), f"dimensions {v.dims} = {shape}, torch has {tuple(o.shape)}"
        assert v.kind == kind(o), f"kind {v.kind}, torch has {o.dtype}"
    return Case(program, inputs, outputs)


def sizes_of(program: Program) -> dict[str, int]:
    """The sizes of a sample, by name."""
    return {s: int(s[1:]) for s in program.sizes()}


def arrays(c: Case) -> dict[str, Any]:
    """The inputs as numpy arrays."""
    return {k: v.detach().numpy() for k, v in c.inputs.items()}


def values(c: Case) -> dict[str, Any]:
    """What the Program says."""
    return {**arrays(c), **evaluate(c.program, arrays(c), sizes_of(c.program))}


def gradients(c: Case) -> list[tuple[str, Any, Any]]:
    """``(name, derived, autograd's)`` for each floating input, under random upstream gradients."""
    outs = [(n, o) for n, o in zip(c.program.outputs, c.outputs, strict=True) if o.is_floating_point()]
    wrt = [k for k, v in c.inputs.items() if v.requires_grad]
    if not outs or not wrt:
        return []
    generator = torch.Generator().manual_seed(1)
    ups = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for _, o in outs]
    live = [(o, u) for (_, o), u in zip(outs, ups, strict=True) if o.requires_grad]
    want: tuple[torch.Tensor | None, ...] = tuple(None for _ in wrt)
    if live:
        try:
            want = torch.autograd.grad(
                [o for o, _ in live], [c.inputs[k] for k in wrt], [u for _, u in live], allow_unused=True
            )
        except RuntimeError as e:
            if "is not implemented" not in str(e):  # torch has no derivative: nothing to hold ours against
                raise
            return []
    back = adjoint(c.program, wrt)
    given = arrays(c)
    for k, u in enumerate(ups):
        given["grad_output" if len(ups) == 1 else f"grad_output_{k}"] = u.numpy()
    found = evaluate(back, given, sizes_of(back))
    zeros = [np.zeros(tuple(c.inputs[k].shape)) if w is None else w.numpy(force=True) for k, w in zip(wrt, want, strict=True)]
    return [(k, found[bar], w) for k, bar, w in zip(wrt, back.outputs, zeros, strict=True)]


def function(name: str, sample: Sample) -> tuple[Callable[..., Any], dict[str, torch.Tensor]]:
    """A sample as a function of named tensors that calls torch's operator, and these; fixed ones require no gradient."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr((name, sample.args, sample.kwargs)).encode()))
    inputs: dict[str, torch.Tensor] = {}

    def drawn(a: Any) -> Any:
        if isinstance(a, Like):
            tensor = draw(a, generator)
            inputs[key := f"x{len(inputs)}"] = tensor.requires_grad_(tensor.is_floating_point() and a.values != "fixed")
            return key
        if isinstance(a, Dtype):
            return getattr(torch, a.name)
        if isinstance(a, Poly):
            return a.at({s: int(s[1:]) for s in a.sizes()})
        return type(a)(drawn(v) for v in a) if isinstance(a, (list, tuple)) else a

    args, kwargs = drawn(sample.args), {k: drawn(v) for k, v in sample.kwargs.items()}

    def filled(a: Any, tensors: dict[str, torch.Tensor]) -> Any:
        if isinstance(a, (list, tuple)):
            return type(a)(filled(v, tensors) for v in a)
        return tensors[a] if isinstance(a, str) and a in tensors else a

    def call(**tensors: torch.Tensor) -> Any:
        return overload(name)(*filled(args, tensors), **filled(kwargs, tensors))

    return call, inputs
