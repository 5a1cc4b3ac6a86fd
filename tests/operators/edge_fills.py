"""Rows over whole tensors at edge data: all equal, ties, saturated, tiny, huge, an infinity, sizes 0 and 1."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.source import source
from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.operators.language.row import Dtype, Like, OperatorRow, Sample, rows
from tests.operators.edge_points import FAMILIES, LOSSES
from tests.operators.rows_on_numbers import case, draw, fits, overload

INF, NAN = float("inf"), float("nan")


def _picked(values: Sequence[float]) -> Callable[[tuple[int, ...], torch.Generator], torch.Tensor]:
    def fill(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)[torch.randint(len(values), shape, generator=generator)]

    return fill


def _scaled(size: float) -> Callable[[tuple[int, ...], torch.Generator], torch.Tensor]:
    return lambda shape, generator: size * torch.randn(shape, generator=generator, dtype=torch.float64)


def _with(value: float) -> Callable[[tuple[int, ...], torch.Generator], torch.Tensor]:
    def fill(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        found = torch.randn(shape, generator=generator, dtype=torch.float64)
        if found.numel():
            found.view(-1)[0] = value
        return found

    return fill


FINITE = {
    "zeros": _picked([0.0]),
    "ones": _picked([1.0]),
    "ties": _picked([0.0, 1.0, -1.0]),
    "saturated": _picked([0.0, 1.0]),
    "large": _picked([50.0, -50.0, 3.0, 1000.0]),
    "tiny": _scaled(1e-30),
    "huge": _scaled(1e30),
}
#: Sizes in place of those of the sample, where an operator takes any.
SIZES: dict[str, Callable[[int], int]] = {"size 1": lambda n: min(n, 1), "size 0": lambda n: 0}
ANY_SIZE = (
    "reductions",
    "softmaxes",
    "contractions",
    "pointwise_losses",
    "class_losses",
    "distances",
    "scans",
    "normalisations",
    "pooling",
)
INFINITE = {"inf": _with(INF), "-inf": _with(-INF), "nan": _with(NAN), "all -inf": _picked([-INF])}


@dataclass(frozen=True)
class Whole:
    """A sample of a row with its generated code."""

    row: OperatorRow
    overload: str
    sample: Sample
    likes: tuple[Like, ...]
    names: tuple[str, ...]
    wrt: tuple[str, ...]
    single: bool
    run: Any


@dataclass(frozen=True)
class Off:
    """A number that is not torch's: the row, the sample, the fill, what, ours and torch's."""

    operator: str
    sample: int
    fill: str
    what: str
    ours: float
    torch: float


def _likes(a: Any) -> Iterator[Like]:
    if isinstance(a, Like):
        yield a
    elif isinstance(a, (list, tuple)):
        for v in a:
            yield from _likes(v)


def _real(a: Any, tensors: Iterator[torch.Tensor]) -> Any:
    if isinstance(a, Like):
        return next(tensors)
    if isinstance(a, Dtype):
        return getattr(torch, a.name)
    if isinstance(a, Poly):
        return a.at({s: int(s[1:]) for s in a.sizes()})
    return type(a)(_real(v, tensors) for v in a) if isinstance(a, (list, tuple)) else a


def built(name: str, row: OperatorRow, sample: Sample) -> Whole | None:
    """The generated code of a sample; None where there is no floating-point input or no code."""
    likes = tuple(v for a in (*sample.args, *sample.kwargs.values()) for v in _likes(a))
    if not any(v.kind == "float" for v in likes):
        return None
    c = case(row, name, sample)
    wrt = tuple(n for n, v in c.inputs.items() if v.requires_grad)
    back = adjoint(c.program, wrt) if wrt and any(o.is_floating_point() for o in c.outputs) else None
    try:
        run = load(source(c.program, back, wrt=list(wrt)))
    except UnsupportedOperation:
        return None
    single = len(c.outputs) == 1 and c.program.structure == "auto"
    return Whole(row, name, sample, likes, tuple(c.inputs), wrt if back is not None else (), single, run)


def wholes(every: bool) -> Iterator[tuple[int, Whole]]:
    """Rows that are not element by element: the first sample of each meaning, or every sample of every overload."""
    seen = set()
    for name, row in rows().items():
        if not name.startswith("aten.") or row.refused or row.family in FAMILIES and row.family not in LOSSES:
            continue
        for k, s in enumerate(s for s in row.samples if fits(name, s)):
            if not every and (k or (row.means, row.name) in seen):
                continue
            seen.add((row.means, row.name))
            made = built(name, row, s)
            if made is not None:
                yield k, made


def filled(w: Whole, fill: str, which: int | None = None, sizes: Callable[[int], int] = int) -> list[torch.Tensor]:
    """The tensors of a sample, the floating ones (or the ``which``-th alone) filled with edge data."""
    generator = torch.Generator().manual_seed(zlib.crc32(repr((w.overload, fill, which)).encode()))
    out = []
    for k, v in enumerate(w.likes):
        shape = tuple(sizes(n) for n in v.shape)
        if v.kind == "float" and v.values != "fixed" and which in (None, k):
            out.append({**FINITE, **INFINITE}[fill](shape, generator))
        else:
            out.append(draw(replace(v, shape=shape), generator))
    return out


def off(k: int, w: Whole, fill: str, tensors: Sequence[torch.Tensor], infinite: bool) -> list[Off]:
    """Numbers that are not torch's; none where torch itself raises.

    Values are compared everywhere, at infinities and NaN where torch's are finite: nothing leaks.  Gradients are compared
    where the value and torch's gradient are finite.
    """
    leaves = [t.clone().requires_grad_(n in w.wrt) for n, t in zip(w.names, tensors, strict=True)]
    it = iter(leaves)
    args, kwargs = _real(w.sample.args, it), {n: _real(v, it) for n, v in w.sample.kwargs.items()}
    try:
        out = overload(w.overload)(*args, **kwargs)
    except (RuntimeError, IndexError, ValueError):
        return []
    outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    floating = [o for o in outs if o.is_floating_point()]
    ups = [torch.linspace(0.5, 1.5, o.numel(), dtype=o.dtype).reshape(o.shape) for o in floating]
    given: dict[str, Any] = dict(zip(w.names, tensors, strict=True))
    if w.wrt:
        given |= {"grad_output" if len(ups) == 1 else f"grad_output_{i}": u for i, u in enumerate(ups)}
    result = w.run(**given)
    value, grads = result if w.wrt else (result, {})
    found: list[Off] = []
    for a, b in zip((value,) if w.single else value, outs, strict=False):
        found += _apart(k, w, fill, "value", a, b.detach(), infinite)
    if infinite or not all(bool(o.isfinite().all()) for o in floating):
        return found
    live = [(o, u) for o, u in zip(floating, ups, strict=True) if o.requires_grad]
    asked = [t for t in leaves if t.requires_grad]
    try:
        want = torch.autograd.grad([o for o, _ in live], asked, [u for _, u in live], allow_unused=True) if live else ()
    except RuntimeError as e:
        if "is not implemented" not in str(e):
            raise
        return found
    for n, g in zip([n for n in w.names if n in w.wrt], want, strict=False):
        found += _apart(
            k, w, fill, f"gradient {w.names.index(n)}", grads[n], torch.zeros_like(given[n]) if g is None else g, True
        )
    return found


def _apart(k: int, w: Whole, fill: str, what: str, a: torch.Tensor, b: torch.Tensor, finite: bool) -> list[Off]:
    if a.shape != b.shape:
        return [Off(w.row.name, k, fill, what + " shape", a.numel(), b.numel())]
    a, b = a.double(), b.double()
    asked = b.isfinite() if finite else torch.ones_like(b, dtype=torch.bool)
    scale = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 0.0
    bad = (asked & ~torch.isclose(a, b, rtol=max(1e-7, w.sample.rtol), atol=1e-9 * scale, equal_nan=True)).nonzero()
    if not len(bad):
        return []
    at = tuple(bad[0].tolist())
    return [Off(w.row.name, k, fill, what, a[at].item(), b[at].item())]


def swept(samples: Iterable[tuple[int, Whole]], alone_too: bool) -> Iterator[Off]:
    """All numbers that are not torch's; ``alone_too``: each tensor filled alone, besides all at once."""
    for k, w in samples:
        alone = [None, *(range(len(w.likes)) if alone_too and len(w.likes) > 1 else ())]
        wild = {} if "grid_sampler" in w.overload else INFINITE  # torch reads beyond its memory at coordinates of infinity
        for which in alone:
            for fill in (*FINITE, *wild):
                yield from _one(k, w, fill, filled(w, fill, which), fill in INFINITE)
        if w.row.family in ANY_SIZE and not k:
            for label, sizes in SIZES.items():
                yield from _one(k, w, label, filled(w, "ones", None, sizes), False)


def _one(k: int, w: Whole, fill: str, tensors: Sequence[torch.Tensor], infinite: bool) -> list[Off]:
    try:
        return off(k, w, fill, tensors, infinite)
    except (RuntimeError, IndexError, ValueError) as e:
        return [Off(w.row.name, k, fill, f"raises {type(e).__name__}", 0.0, 0.0)]
