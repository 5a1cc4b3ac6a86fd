"""Element-by-element rows at edge points: what the generated code gives there, beside torch and numbers of many digits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.derivation.sweep import adjoint
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over
from derivcheck.notation.terms.walk import subterms
from derivcheck.operators.language.row import Like, OperatorRow, Sample, rows
from tests.operators.rows_on_numbers import case, fits, overload

INF, NAN = float("inf"), float("nan")
MIRRORED = (0.0, 1e-30, 1e-8, 1e-3, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 20.0, 40.0, 100.0, 1000.0, 1e30, INF)
ONE = (*MIRRORED, *(-v for v in MIRRORED), NAN)
TWO = (0.0, -0.0, 1e-30, -1e-30, 0.25, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, 100.0, -100.0, 1e30, -1e30, INF, -INF, NAN)
THREE = (0.0, 1.0, -1.0, 2.0, 0.3, INF, NAN)
#: Where an operator takes no others: torch raises beyond.
DOMAINS = {"binary_cross_entropy": lambda point: all(0 <= v <= 1 for v in point)}
LOSSES = ("pointwise_losses", "class_losses")
FAMILIES = ("arithmetic", "elementwise", "bounds", "activations", "comparisons", "special", *LOSSES)
RTOL = {torch.float64: 1e-9, torch.float32: 1e-4}


@dataclass(frozen=True)
class Pointwise:
    """An element-by-element operator with its generated code: ``names`` are its tensors, ``wrt`` those with a gradient."""

    operator: str
    overload: str
    sample: Sample
    names: tuple[str, ...]
    wrt: tuple[str, ...]
    run: Any

    @property
    def options(self) -> bool:
        """Whether the sample sets more than tensors."""
        return any(v != 0 or k != "reduction" for k, v in self.sample.kwargs.items())


@dataclass(frozen=True)
class Difference:
    """A point at which ours and torch's differ: ``what`` is ``value`` or ``gradient k`` of the k-th tensor."""

    operator: str
    point: tuple[float, ...]
    what: str
    dtype: str
    ours: float
    torch: float


def _flat(a: Any) -> Any:
    if isinstance(a, Like):
        return replace(a, shape=(2,)) if a.kind == "float" else a
    return type(a)(_flat(v) for v in a) if isinstance(a, (list, tuple)) else a


def _likes(a: Any) -> Iterator[Like]:
    if isinstance(a, Like):
        yield a
    elif isinstance(a, (list, tuple)):
        for v in a:
            yield from _likes(v)


def _pointwise(program: Program) -> bool:
    shapes = {tuple(i.size for i in d.indices) for d in program.definitions}
    return len(shapes) == 1 and not any(isinstance(t, Over) for d in program.definitions for t in subterms(d.term))


def built(name: str, row: OperatorRow, sample: Sample) -> Pointwise | None:
    """The generated code of a row over tensors of one dimension; None where it is not element by element."""
    flat = replace(sample, args=_flat(sample.args), kwargs={k: _flat(v) for k, v in sample.kwargs.items()})
    likes = [*_likes(flat.args), *_likes(tuple(flat.kwargs.values()))]
    if row.name == "glu" or not likes or len(likes) > 3 or any(v.kind != "float" for v in likes):
        return None
    try:
        c = case(row, name, flat)
    except (RuntimeError, IndexError):  # torch wants another rank
        return None
    if not _pointwise(c.program):
        return None
    wrt = tuple(n for n, v in c.inputs.items() if v.requires_grad) if c.outputs[0].requires_grad else ()
    back = adjoint(c.program, wrt) if wrt else None
    return Pointwise(row.name, name, flat, tuple(c.inputs), wrt, load(source(c.program, back, wrt=list(wrt))))


@lru_cache(maxsize=1)
def pointwise() -> tuple[Pointwise, ...]:
    """Every sample of every element-by-element row, one per overload's form."""
    found, seen = [], set()
    for name, row in rows().items():
        if not name.startswith("aten.") or row.family not in FAMILIES:
            continue
        for s in row.samples:
            flat = repr((_flat(s.args), s.kwargs))
            if fits(name, s) and (row.means, row.name, flat) not in seen:
                seen.add((row.means, row.name, flat))
                made = built(name, row, s)
                if made is not None:
                    found.append(made)
    return tuple(found)


def grid(count: int) -> list[tuple[float, ...]]:
    """The points for an operator of so many tensors."""
    return list(itertools.product({1: ONE, 2: TWO, 3: THREE}[count], repeat=count))


def _real(a: Any, tensors: Iterator[torch.Tensor]) -> Any:
    if isinstance(a, Like):
        return next(tensors)
    return type(a)(_real(v, tensors) for v in a) if isinstance(a, (list, tuple)) else a


def on_torch(p: Pointwise, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """torch's value and gradients, the upstream gradient 1."""
    leaves = [t.clone().requires_grad_(n in p.wrt) for n, t in zip(p.names, inputs, strict=True)]
    it = iter(leaves)
    args, kwargs = _real(p.sample.args, it), {k: _real(v, it) for k, v in p.sample.kwargs.items()}
    out = overload(p.overload)(*args, **kwargs)
    if not out.requires_grad:
        return out.detach(), [None for _ in leaves]
    live = [t for t in leaves if t.requires_grad]
    try:
        grads = torch.autograd.grad(out, live, torch.ones_like(out), allow_unused=True)
    except RuntimeError as e:
        if "is not implemented" not in str(e):
            raise
        return out.detach(), [None for _ in leaves]
    found = dict(zip([id(t) for t in live], grads, strict=True))
    return out.detach(), [found.get(id(t)) for t in leaves]


def on_ours(p: Pointwise, inputs: list[torch.Tensor], like: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """The generated code's value and gradients, the upstream gradient 1."""
    given = dict(zip(p.names, inputs, strict=True))
    if not p.wrt:
        return p.run(**given), [None for _ in inputs]
    value, grads = p.run(**given, grad_output=torch.ones_like(like))
    return value, [grads.get(n) for n in p.names]


def differences(p: Pointwise, dtype: torch.dtype) -> list[Difference]:
    """Where ours and torch's differ on the grid.

    Values are compared everywhere, NaN and infinities included.  Gradients are compared where the function has a value:
    not at a NaN, not where torch's value is infinite or NaN, and not where torch's gradient is NaN (there only the numbers
    of many digits judge).
    """
    points = [q for q in grid(len(p.names)) if DOMAINS.get(p.operator, lambda _: True)(q)]
    inputs = [torch.tensor([q[k] for q in points], dtype=torch.float64).to(dtype) for k in range(len(p.names))]
    want, want_grads = on_torch(p, inputs)
    have, have_grads = on_ours(p, inputs, want)
    found = _where(p, "value", points, have, want, torch.ones(len(points), dtype=torch.bool), dtype)
    good = want.isfinite() & torch.stack([~t.isnan() for t in inputs]).all(0)
    for k, (a, b) in enumerate(zip(have_grads, want_grads, strict=True)):
        if a is not None and b is not None:
            found += _where(p, f"gradient {k}", points, a, b, good & ~b.isnan(), dtype)
    return found


def _where(
    p: Pointwise, what: str, points: list[tuple[float, ...]], a: torch.Tensor, b: torch.Tensor, asked: torch.Tensor, dtype: Any
) -> list[Difference]:
    a, b = a.double().expand(len(points)), b.double()
    tiny = torch.finfo(dtype).smallest_normal
    same = torch.isclose(a, b, rtol=RTOL[dtype], atol=2 * tiny, equal_nan=True)
    bad = (asked & ~same).nonzero().flatten().tolist()
    name = str(dtype).removeprefix("torch.")
    return [Difference(p.operator, points[k], what, name, a[k].item(), b[k].item()) for k in bad]
