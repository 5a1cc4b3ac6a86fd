"""One check of a backward as an audit asks it: at the tensors of the run, in their type, then in the domain of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.check import check
from derivcheck.checking.report.report import Report
from derivcheck.errors import DerivcheckError, InputError

Inputs = Mapping[str, Any]
Upstream = tuple["torch.Tensor | None", ...]
Place = tuple[str, int]  # an input, and one of its dimensions


@dataclass(frozen=True)
class Answer:
    """A report, and what else is to be known.

    Attributes:
        apart: it is wrong only where sizes differ that were equal in the run; how that shows.
        settled: that they were equal at several sizes: they belong together.
    """

    report: Report
    remarks: tuple[str, ...] = ()
    apart: str = ""
    settled: bool = False


def answer(forward: Any, inputs: Inputs, upstream: Upstream | None, others: Sequence[Inputs], **how: Any) -> Answer:
    """Ask; where the type of the run cannot tell, in float64; where sizes differ that were equal in the run, with these tied.

    Args:
        upstream: the gradient that came.
        others: the inputs of other calls in the run.
        how: as :func:`~derivcheck.checking.check.check` takes it.
    """
    report, dtype = _asked(forward, inputs, upstream, how), how["dtype"]
    if not report.passed and not report.faulty and dtype is not torch.float64:
        finer = _asked(forward, inputs, upstream, {**how, "dtype": torch.float64})
        if finer.passed or finer.faulty:
            return Answer(finer, (f"{type_name(dtype)} cannot tell; float64 can, at the same numbers",))
    tied = ties(inputs)
    if tied and report.faulty and all(r.where for r in report if r.faulty):
        within = _tied(forward, inputs, upstream, tied, how)
        if within is not None and within.passed:
            shown = next(r.where for r in report if r.faulty)
            return Answer(within, (), f"{_said(tied)}; where these differ it is wrong, shown by {shown}", belong(tied, others))
    return Answer(report)


def _asked(forward: Any, inputs: Inputs, upstream: Upstream | None, how: Mapping[str, Any]) -> Report:
    """The check with the upstream gradient that came; where that says nothing (NaN, all zero, none), with a random one."""
    came = [g for g in upstream or () if g is not None and g.is_floating_point()]
    usable = bool(came) and None not in (upstream or ()) and all(bool(torch.isfinite(g).all()) for g in came)
    if usable and any(bool(g.any()) for g in came):
        try:
            return check(forward, inputs, grad_output=tuple(came), **how)
        except InputError as e:
            if "grad_output" not in str(e):
                raise
    return check(forward, inputs, **how)


def _tied(
    forward: Any, inputs: Inputs, upstream: Upstream | None, tied: Sequence[Sequence[Place]], how: Mapping[str, Any]
) -> Report | None:
    """The check at sizes that are equal where those of the run are; None where it cannot be asked so."""
    names = {place: f"d{k}" for k, group in enumerate(tied) for place in group}
    ranks = {n: t.dim() for n, t in inputs.items() if isinstance(t, torch.Tensor) and t.dim()}
    dims = {n: " ".join(names.get((n, k), f"{n}_{k}") for k in range(rank)) for n, rank in ranks.items()}
    try:
        return _asked(forward, inputs, upstream, {**how, "dims": dims})
    except DerivcheckError:
        return None


def ties(inputs: Inputs) -> list[list[Place]]:
    """Dimensions of different inputs that have one size; one that another of its own input has, too, is not known by its size.

    >>> ties({"logits": torch.ones(6, 9), "target": torch.ones(6)})
    [[('logits', 0), ('target', 0)]]
    >>> ties({"x": torch.ones(8, 8), "w": torch.ones(8)})
    []
    """
    found: dict[int, list[Place]] = {}
    for n, t in inputs.items():
        if isinstance(t, torch.Tensor):
            for k, size in enumerate(t.shape):
                if size > 1 and list(t.shape).count(size) == 1:
                    found.setdefault(size, []).append((n, k))
    return [group for group in found.values() if len(group) > 1]


def belong(tied: Sequence[Sequence[Place]], others: Sequence[Inputs]) -> bool:
    """Whether all of these were equal in every call, and at more than one size."""
    for group in tied:
        sizes = [set(_sizes(group, inputs)) for inputs in others]
        if any(len(s) != 1 for s in sizes) or len(set().union(*sizes)) < 2:
            return False
    return bool(tied)


def _sizes(group: Sequence[Place], inputs: Inputs) -> Iterator[int]:
    for n, k in group:
        t = inputs.get(n)
        yield t.shape[k] if isinstance(t, torch.Tensor) and t.dim() > k else -1


def _said(tied: Sequence[Sequence[Place]]) -> str:
    groups = (" = ".join(f"size {k} of {n}" for n, k in group) for group in tied)
    return f"it holds where {', '.join(groups)}, as in this run"
