"""The gate: the gradient that a run will use is checked at the run's own shapes, dtype and device, or nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from derivcheck.checking.check import check
from derivcheck.checking.report import Report
from derivcheck.derived import Derivation
from derivcheck.errors import UnverifiedGradientError

Backward = Callable[..., Mapping[str, torch.Tensor]]


def verify(derivation: Derivation, shapes: Sequence[Mapping[str, torch.Tensor]], backward: Backward | None,
           seed: int = 0) -> tuple[Report, ...]:
    """Check a gradient on the tensors of each batch shape that the run will see.

    Args:
        derivation: of the loss in the parameters (its ``wrt``).
        shapes: for each batch shape, the tensors of one batch and the parameters, by input name.
        backward: the gradient under test, called as ``backward(grad_output=..., **tensors)``; None for the derived one.

    Returns:
        A report per shape.

    Raises:
        UnverifiedGradientError: one that does not hold, or cannot be called; it carries the report.
    """
    reports = []
    for tensors in shapes:
        some = tensors[derivation.wrt[0]]
        report = check(derivation, dict(tensors), backward=backward, wrt=derivation.wrt, dtype=some.dtype, device=some.device,
                       seed=seed)
        if not report.passed:
            sizes = ", ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items())
            raise UnverifiedGradientError(
                f"the gradient does not hold at this run's shapes ({sizes}); no step was taken.\n{report}", report)
        reports.append(report)
    return tuple(reports)
