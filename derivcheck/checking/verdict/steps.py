"""Where rounding decides the steps by which a forward finds its result: differences of the forward itself judge.

A bisection halves its bracket fifty times, and its last comparisons fall by rounding; a warped image is read between its
pixels, and at a pixel rounding says between which.  The derivative of what was computed hangs on every one of these: its bound
is wide, or it is that of another function than the one that is found in this way.  Differences of the forward over steps that
are long beside rounding see that function.  Only where a derived gradient depends on a side that rounding cannot tell is this
asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from derivcheck.checking.arithmetic.function_errors import STEPS
from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT
from derivcheck.checking.arithmetic.slopes import slope_along
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.verdict.derived import Trial
from derivcheck.checking.verdict.verdict import settled
from derivcheck.notation.terms.nodes import Func
from derivcheck.notation.terms.walk import subterms

LINES = 6  # directions, in each of which every element is moved
FIRST = (9, 15)  # short steps meet few kinks, shorter ones fewer
ENOUGH, SURE = 1e-8, 1e-6  # of the terms: an error that needs no shorter step, and one beyond which nothing is judged
NOTHING = 1e-3  # a gradient that is so much smaller than the output over the input is held against that
DIGITS = {torch.float64: 64 * FLOAT64_UNIT, torch.float32: 1e-5}  # of the terms, that the gradient itself may have lost
STEPS_DECIDED = (
    f"rounding decides steps by which the forward is computed here: judged by differences of the forward along {LINES} lines"
)


def by_differences(t: Trial, rows: Sequence[Row]) -> list[Row]:
    """The rows, those of gradients at such steps held by differences of the forward where these agree."""
    return [settled(r, STEPS_DECIDED, SURE) if r.verdict in ("wrong", "vacuous") and _agrees(t, r) else r for r in rows]


def _agrees(t: Trial, row: Row) -> bool:
    """Whether this gradient, at a side that rounding cannot tell, is the slope of the forward along every line."""
    g, call = t.gradients.get(row.name), t.s.meaning or t.s.call
    if g is None or call is None or row.name not in t.tensors or not bool(torch.isfinite(g).all()):
        return False
    if t.right.dtype not in DIGITS or list(t.upstream) != list(t.s.derivation.upstream) or not _at_steps(t, row):
        return False
    generator = torch.Generator().manual_seed(row.count)
    t = replace(t, tensors=_doubled(t.tensors), upstream=_doubled(t.upstream))
    return all(_along(t, row.name, g.detach().double(), generator) for _ in range(LINES))


def _at_steps(t: Trial, row: Row) -> bool:
    """Whether the derived gradient hangs on a side that rounding cannot tell, or reads at places that were rounded."""
    if t.right.open and row.bar in t.right.pairs and t.right.kinks([row.bar]):
        return True
    program = t.s.derivation.program
    return row.verdict == "vacuous" and any(
        isinstance(f, Func) and f.name in STEPS for d in program.definitions for f in subterms(d.term)
    )


def _doubled(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}


def _along(t: Trial, name: str, g: torch.Tensor, generator: torch.Generator) -> bool:
    call, x = t.s.meaning or t.s.call, t.tensors[name].detach()
    assert call is not None
    signs = torch.randint(0, 2, x.shape, generator=generator, dtype=torch.float64) * 2 - 1
    v = ((0.5 + torch.rand(x.shape, generator=generator, dtype=torch.float64)) * signs).to(x.device)
    expected, terms = float((g * v).sum()), float((g * v).abs().sum())

    def at(h: float) -> list[torch.Tensor]:
        with torch.no_grad():
            return flat(call({n: (x + h * v if n == name else other.clone()) for n, other in t.tensors.items()}))

    scale = float(x.abs().max()) or 1.0
    sizes = sum(float((g_out * out).abs().sum()) for g_out, out in zip(t.upstream.values(), at(0.0))) / scale
    for first in FIRST:
        found = slope_along(at, list(t.upstream.values()), scale, (1, -1), first, ENOUGH * terms)
        if found is None:
            return False
        slope, doubt = found
        most = max(terms, abs(slope), NOTHING * sizes)
        if doubt <= SURE * most and abs(slope - expected) <= 8 * doubt + DIGITS[t.right.dtype] * most:
            return True
    return False
