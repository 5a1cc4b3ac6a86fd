"""Where rounding decides the steps by which a forward finds its result: differences of the forward itself judge.

A bisection halves its bracket fifty times, and its last comparisons fall by rounding; a warped image is read between its
pixels, and at a pixel rounding says between which.  The derivative of what was computed hangs on every one of these: its bound
is wide, or it is that of another function than the one that is found in this way.  Differences of the forward over steps that
are long beside rounding see that function.  Only where a derived gradient depends on a side that rounding cannot tell is this
asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from derivcheck.checking.arithmetic.function_errors import STEPS
from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT
from derivcheck.checking.arithmetic.slopes import SURE, Slack, is_slope
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.flow import sees_through
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.verdict.derived import Trial, doubled
from derivcheck.checking.verdict.verdict import settled
from derivcheck.notation.terms.nodes import Func
from derivcheck.notation.terms.walk import subterms

LINES = 6  # directions, in each of which every element is moved
NOTHING = 1e-3  # a gradient that is so much smaller than the output over the input is held against that
DIGITS = {torch.float64: 64 * FLOAT64_UNIT, torch.float32: 1e-5}  # of the terms, that the gradient itself may have lost
STEPS_DECIDED = (
    f"rounding decides steps by which the forward is computed here: judged by differences of the forward along {LINES} lines"
)


def by_differences(t: Trial, rows: Sequence[Row]) -> list[Row]:
    """The rows, those of gradients at such steps held by differences of the forward where these agree."""
    seen = max(SURE, DIGITS.get(t.right.dtype, 0.0))
    return [settled(r, STEPS_DECIDED, seen) if r.verdict in ("wrong", "vacuous") and _agrees(t, r) else r for r in rows]


def _agrees(t: Trial, row: Row) -> bool:
    """Whether this gradient, at a side that rounding cannot tell, is the slope of the forward along every line."""
    g, call = t.gradients.get(row.name), t.s.meaning or t.s.call
    if g is None or call is None or row.name not in t.tensors or not bool(torch.isfinite(g).all()):
        return False
    whole = list(t.upstream) == list(t.s.derivation.upstream)
    if not whole or t.right.dtype not in DIGITS or not _at_steps(t, row) or sees_through(t.s):
        return False
    tensors, upstream = doubled(t.tensors), list(doubled(t.upstream).values())
    x = tensors[row.name].detach()

    def outputs(moved: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad():
            return flat(call({n: moved if n == row.name else other.clone() for n, other in tensors.items()}))

    try:
        size = sum(float((g_out * out).abs().sum()) for g_out, out in zip(upstream, outputs(x.clone())))
    except Exception:  # whatever the user's code raises in float64, it judges nothing
        return False
    nothing = NOTHING * size / (float(x.abs().max()) or 1.0)
    gradient, generator = g.detach().double(), torch.Generator().manual_seed(row.count)
    slack = Slack(DIGITS[t.right.dtype], nothing)
    return all(is_slope(outputs, x, gradient, upstream, generator, slack) for _ in range(LINES))


def _at_steps(t: Trial, row: Row) -> bool:
    """Whether the derived gradient hangs on a side that rounding cannot tell, or reads at places that were rounded."""
    if t.right.open and row.bar in t.right.pairs and t.right.kinks([row.bar]):
        return True
    program = t.s.derivation.program
    return row.verdict == "vacuous" and any(
        isinstance(f, Func) and f.name in STEPS for d in program.definitions for f in subterms(d.term)
    )
