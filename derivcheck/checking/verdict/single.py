"""A gradient that is off by float32's size in float64: the code computes in float32 somewhere, and may be right there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from derivcheck.checking.backward.found import Run
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Upstream
from derivcheck.checking.verdict.derived import derived
from derivcheck.checking.verdict.judge import judge
from derivcheck.errors import DerivcheckError

SIZES = (1e-9, 1e-5)  # of the largest element, between which an error may be float32's


def hints(s: Subject, run: Run, rows: Iterable[Row], upstream: Upstream, largest: Mapping[str, float]) -> dict[str, str]:
    """What to say of wrong rows that hold in float32.

    Args:
        largest: name -> the size of the gradient's largest element.
    """
    near = [r for r in rows if r.verdict == "wrong" and r.name in largest and not r.where]
    near = [r for r in near if SIZES[0] * largest[r.name] < r.max_error < SIZES[1] * largest[r.name]]
    if not near:
        return {}
    tensors, ups = (
        {n: t.to(torch.float32) if t.is_floating_point() and n not in s.held else t for n, t in given.items()}
        for given in (s.tensors, upstream)
    )
    try:
        found, _ = judge(s, run, tensors, ups, derived(s, tensors, ups, torch.float32))
    except (DerivcheckError, RuntimeError, ValueError):
        return {}
    holds = {r.name for r in found if r.passed}
    said = "its error is of float32's size, and in float32 it holds: dtype=torch.float32 checks it there"
    return {r.name: said for r in near if r.name in holds}
