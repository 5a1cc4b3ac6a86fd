"""Subgradients: at a kink, any value between the one-sided derivatives is as good as another."""

from __future__ import annotations

import torch

from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import JudgedRun, derived

TRIES = 12  # of so many random points all lie on one side of a kink once in two thousand
NUDGE = 1e-4  # of the largest element: small beside an error that is told, large beside rounding
NARROW = 1e-14  # a regime that is narrower than NUDGE is no kink: so short a step stays in it


def between(s: Subject, run: JudgedRun, bar: str, g: torch.Tensor, dtype: torch.dtype, nudge: float = NUDGE) -> bool:
    """Whether ``g`` lies, element by element, between derived gradients at points a little off the kinks.

    Away from kinks these all agree to the nudge, so a gradient that is wrong there stays wrong.  So do its sums: what a tie
    shares out between the tied is the same on every side, however it is shared.
    """
    right, sides = run.right, [run.right.value(bar)]
    generator = torch.Generator().manual_seed(1)
    for _ in range(TRIES):
        moved = {}
        for n, x in run.tensors.items():
            if x.is_floating_point():
                noise = torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.device)
                moved[n] = x.double() + nudge * max(float(x.abs().max()), 1e-3) * noise
            else:
                moved[n] = x
        sides.append(derived(s, moved, run.upstream, dtype).value(bar))
    value = g.detach().double().cpu()
    # away from kinks a gradient moves by its own slope times the nudge: 20 is room for a steep one
    slack = right.tolerance(bar) + 20 * nudge * float(torch.nan_to_num(right.value(bar)).abs().max())
    slack = torch.where(torch.isfinite(slack), slack, torch.inf)
    low, high = torch.stack(sides).aminmax(dim=0)
    if not bool(((value >= low - slack) & (value <= high + slack)).all()):  # NaN is between nothing
        return False
    for dims in [(k,) for k in range(value.ndim)] + [tuple(range(value.ndim))]:
        low, high = torch.stack([side.sum(dims) for side in sides]).aminmax(dim=0)
        room, total = slack.sum(dims), value.sum(dims)
        if bool(((high - low <= room) & ((total < low - room) | (total > high + room))).any()):
            return False
    return True
