"""The gate: the gradient that a run will use is checked at the run's own shapes, dtype and device, or nothing is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch

from derivcheck.checking.check import Asked, examine
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.row import NOT_REPRODUCED
from derivcheck.checking.subject.subject import Subject
from derivcheck.errors import UnverifiedGradientError
from derivcheck.training.gradients import Setting, Tensors

Backward = Callable[..., Mapping[str, torch.Tensor]]


def verify(
    setting: Setting, shapes: Sequence[Mapping[str, torch.Tensor]], backward: Backward | None, seed: int = 0
) -> tuple[Report, ...]:
    """Check a gradient on the tensors of each batch shape that the run will see, and at no other.

    Args:
        shapes: for each batch shape, the tensors of one batch and the parameters, by their names in the Program.
        backward: the gradient under test, called as ``backward(grad_output=..., **tensors)``; None for autograd's.

    Returns:
        A report per shape.

    Raises:
        UnverifiedGradientError: a gradient that does not hold, or a derivation that is not the forward; it carries the
            report.  What cannot be told (vacuous, ill-conditioned, undecided) stops no run; it stands in the report.
    """
    reports = []
    for k, tensors in enumerate(shapes):
        # The witnesses judge the derivation, which is the same for every shape: once is enough.
        report = judged(setting, tensors, backward, seed, witnesses=k == 0)
        if stops(report):
            raise UnverifiedGradientError(_refusal(tensors, setting.derivation.wrt, report), report)
        reports.append(report)
    return tuple(reports)


def verify_used(setting: Setting, tensors: Tensors, used: Tensors, seed: int = 0) -> Report:
    """Check gradients that are there already, at the tensors of the batch that they are of.

    Raises:
        UnverifiedGradientError: they do not hold.
    """

    def backward(grad_output: torch.Tensor, **given: torch.Tensor) -> Tensors:
        return {n: g * grad_output.to(g.dtype) for n, g in used.items()}

    report = judged(setting, tensors, backward, seed, witnesses=False)
    if stops(report):
        raise UnverifiedGradientError(_refusal(tensors, setting.derivation.wrt, report), report)
    return report


def judged(
    setting: Setting, tensors: Mapping[str, torch.Tensor], backward: Backward | None, seed: int, witnesses: bool
) -> Report:
    """The check of a gradient at these very tensors."""
    derivation, held = setting.derivation, frozenset(setting.constants)
    s = Subject(derivation, setting.call, dict(tensors), derivation.wrt, derivation.name, module=setting.module, held=held)
    return examine(s, backward, Asked(tensors[derivation.wrt[0]].dtype, seed, witnesses=witnesses))


def stops(report: Report) -> bool:
    """Whether no run goes on with such a gradient."""
    return report.faulty or any(r.verdict == NOT_REPRODUCED for r in report)


def at_one(gradient: Backward) -> Backward:
    """A user's gradient as a run calls it, at upstream gradient 1, and scaled by another where the check tries one.

    A loss is where the chain rule starts: a gradient that ignores ``grad_output`` is right in a run.
    """

    @functools.wraps(gradient)
    def backward(grad_output: torch.Tensor, **given: torch.Tensor) -> Mapping[str, torch.Tensor]:
        found = gradient(grad_output=torch.ones_like(grad_output), **given)
        return {
            n: g * grad_output.to(g.dtype) if isinstance(g, torch.Tensor) and g.is_floating_point() else g
            for n, g in dict(found).items()
        }

    return backward


def _refusal(tensors: Mapping[str, torch.Tensor], names: Sequence[str], report: Report) -> str:
    """The parameters with their shapes, and what the report says."""
    batch = ", ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items() if n not in names)
    expected = ", ".join(f"{n} {tuple(tensors[n].shape)}" for n in names)
    what = "the gradient does not hold" if report.faulty else "the gradient cannot be verified"
    return f"{what} at {batch}; no step was taken. Expected shapes: {expected}.\n{report}"
