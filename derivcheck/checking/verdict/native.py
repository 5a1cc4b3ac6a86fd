"""torch's own kernels: what they round, choose and approximate is said, and blamed only beyond a millionth.

No ``autograd.Function``, no hook and no code under test takes part.  At a kink torch's choice counts.  What is further off is
wrong, and said to be torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import torch

from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.pairs import HALVES, type_name
from derivcheck.checking.backward.found import BackwardRun, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import CAP, Derived, JudgedRun, Trial, derived, doubled
from derivcheck.checking.verdict.kinks import between
from derivcheck.checking.verdict.verdict import Opinion, noted

DIGITS = 1e-6  # of the terms added: what a kernel may be off without being called wrong
NUDGES = {torch.float64: 1e-9, torch.float32: 1e-6}  # how far beside a kink its sides are looked at


def forgiven(t: Trial, rows: Iterable[Row]) -> dict[str, Opinion]:
    """torch's own kernels are said, not blamed, where they accumulate in half precision or round more than they have to."""
    s, right = t.s, t.right
    coarse = derived(s, t.tensors, t.upstream, right.dtype, coarse=True) if right.dtype in HALVES else None

    @cache
    def wide() -> tuple[BackwardRun, Derived]:
        double, ups = doubled(t.tensors), doubled(t.upstream)
        return find(s, t.run, double, ups), derived(s, double, ups, torch.float64)

    found: dict[str, Opinion] = {}
    for row in rows:
        g = t.gradients.get(row.name)
        if row.verdict == "wrong" and row.name in t.bars and g is not None:
            said = _rounds(t, row, g, coarse, wide)
            if said is None and at_kinks(s, JudgedRun(t.tensors, t.upstream, right, t.gradients), row.bar, g):
                said = Opinion(f"{row.wrong} elements at a kink, where torch's choice counts")
            if said is not None:
                found[row.name] = said
    return found


def _rounds(
    t: Trial, row: Row, g: torch.Tensor, coarse: Derived | None, wide: Callable[[], tuple[BackwardRun, Derived]]
) -> Opinion | None:
    """Whether it rounds more than it has to, or approximates: in this type, or in this type alone."""
    right = t.right
    kind = type_name(right.dtype)
    expected, bound = right.value(row.bar), right.tolerance(row.bar)
    if compare(g, expected, CAP * bound).holds:
        return Opinion("torch's own kernel rounds more than the derived way")
    if coarse is not None and compare(g, expected, coarse.tolerance(row.bar)).holds:
        return Opinion(f"torch's own kernel accumulates in {kind}: {row.max_error:.1e} off")
    if coarse is None and (off := share(g, right, row.bar)) <= DIGITS:
        t.s.met.digits[row.name] = max(off, t.s.met.digits.get(row.name, 0.0))
        return Opinion(f"torch's own: {off:.1e} of the terms added off")
    if right.dtype is not torch.float64:
        found, exact = wide()
        again = found.gradients.get(row.name)
        if again is not None and compare(again, exact.value(row.bar), CAP * exact.tolerance(row.bar)).holds:
            return Opinion(f"torch's own kernel loses its digits in {kind}; it is right in float64", ill=True)
    return None


def at_kinks(s: Subject, run: JudgedRun, bar: str, g: torch.Tensor) -> bool:
    """Whether it is as good a gradient as the derived one, and differs at kinks alone."""
    nudge = NUDGES.get(run.right.dtype)
    return nudge is not None and between(s, run, bar, g, run.right.dtype, nudge)


def blamed(rows: Iterable[Row]) -> list[Row]:
    """What is still wrong, with whose it is."""
    own = "torch's own kernel, as no code under test takes part"
    return [noted(r, own) if r.verdict == "wrong" else r for r in rows]


def share(g: torch.Tensor, right: Derived, bar: str) -> float:
    """The largest error of an element, as a part of the terms that it adds up."""
    error = (g.detach().double().cpu() - right.value(bar)).abs()
    scale = right.scale(bar)
    over = error > right.tolerance(bar)
    return float(torch.where(over, error / scale.clamp(min=1e-300), 0.0).nan_to_num(torch.inf).max()) if error.numel() else 0.0
