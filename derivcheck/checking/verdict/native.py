"""torch's own kernels: what they round, choose and approximate is said, and blamed only beyond a millionth.

No ``autograd.Function``, no hook and no code under test takes part.  At a kink torch's choice counts.  What is further off is
wrong, and said to be torch's.
"""

from __future__ import annotations

import torch

from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.pairs import HALVES
from derivcheck.checking.backward.found import Found, Run, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import CAP, Derived, derived, doubled
from derivcheck.checking.verdict.kinks import between

DIGITS = 1e-6  # of the terms added: what a kernel may be off without being called wrong
NUDGES = {torch.float64: 1e-9, torch.float32: 1e-6}  # how far beside a kink its sides are looked at


def forgive(s: Subject, run: Run, rows: list[Row], found: Found, tensors: Tensors, upstream: Upstream, right: Derived) -> None:
    """torch's own kernels are said, not blamed, where they accumulate in half precision or round more than they have to."""
    coarse = derived(s, tensors, upstream, right.dtype, coarse=True) if right.dtype in HALVES else None
    bars = dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
    wide: tuple[Found, Derived] | None = None
    for row in rows:
        g = found.gradients.get(row.name)
        if row.verdict != "wrong" or row.name not in bars or g is None:
            continue
        expected, bound = right.value(row.bar), right.tolerance(row.bar)
        if compare(g, expected, CAP * bound).holds:
            _passed(row, "torch's own kernel rounds more than the derived way")
        elif coarse is not None and compare(g, expected, coarse.tolerance(row.bar)).holds:
            _passed(row, f"torch's own kernel accumulates in {_type(right.dtype)}: {row.max_error:.1e} off")
        elif right.dtype is not torch.float64 and coarse is None and _digits(s, row, g, right):
            continue
        elif right.dtype is not torch.float64:
            if wide is None:
                double, ups = doubled(tensors), doubled(upstream)
                wide = find(s, run, double, ups), derived(s, double, ups, torch.float64)
            again, exact = wide[0].gradients.get(row.name), wide[1]
            if again is not None and compare(again, exact.value(row.bar), CAP * exact.tolerance(row.bar)).holds:
                row.verdict = "right but ill-conditioned"
                row.note = f"torch's own kernel loses its digits in {_type(right.dtype)}; it is right in float64"
        else:
            _digits(s, row, g, right)
        if row.verdict == "wrong" and at_kinks(s, g, row.bar, tensors, upstream, right):
            _passed(row, f"{row.wrong} elements at a kink, where torch's choice counts")


def at_kinks(s: Subject, g: torch.Tensor, bar: str, tensors: Tensors, upstream: Upstream, right: Derived) -> bool:
    """Whether it is as good a gradient as the derived one, and differs at kinks alone."""
    nudge = NUDGES.get(right.dtype)
    return nudge is not None and between(s, bar, g, tensors, upstream, right, right.dtype, nudge)


def blame(rows: list[Row]) -> None:
    """Say of what is still wrong whose it is."""
    for row in rows:
        if row.verdict == "wrong":
            row.note = f"{row.note}; " * bool(row.note) + "torch's own kernel, as no code under test takes part"


def share(g: torch.Tensor, right: Derived, bar: str, s: Subject) -> float:
    """The largest error of an element, as a part of the terms that it adds up."""
    error = (g.detach().double().cpu() - right.value(bar)).abs()
    scale = right.scale(bar, s.derivation.adjoint)
    over = error > right.tolerance(bar)
    return float(torch.where(over, error / scale.clamp(min=1e-300), 0.0).nan_to_num(torch.inf).max()) if error.numel() else 0.0


def _digits(s: Subject, row: Row, g: torch.Tensor, right: Derived) -> bool:
    off = share(g, right, row.bar, s)
    if off > DIGITS:
        return False
    s.digits[row.name] = max(off, s.digits.get(row.name, 0.0))
    _passed(row, f"torch's own: {off:.1e} of the terms added off")
    return True


def _passed(row: Row, note: str) -> None:
    row.verdict, row.note, row.wrong = "passed", note, 0


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
