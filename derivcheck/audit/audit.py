"""``dc.audit``: the hand-written backwards of a model on one batch, for a notebook or a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from derivcheck.audit.judging import judged
from derivcheck.audit.observer import Observer
from derivcheck.audit.outcome import Audit, allowing
from derivcheck.audit.states import kept_states
from derivcheck.errors import InputError


def audit(
    model: torch.nn.Module,
    batch: Any,
    loss: Callable[..., torch.Tensor] | None = None,
    *,
    allow: Iterable[str] = (),
    seed: int = 0,
) -> Audit:
    """Run a model forward and backward once, and check every hand-written backward that runs at the tensors that reach it.

    Seen are each ``autograd.Function``, each custom operator with a backward and each hook that changes a gradient.  The model
    is afterwards as it was: its gradients, its buffers, its mode and the random states.

    Args:
        model: the module; it runs as it is, in its own mode.
        batch: ``(input, target)``; a tensor, which is the input alone; or a dict, of keyword arguments.  An input that is a
            tuple or a dict is the model's arguments.
        loss: called as ``loss(output, target)``, or ``loss(output)`` where there is no target; None where the model returns
            its loss.
        allow: names (``Grad*`` fits ``GradientReversal``) of what is meant not to be the gradient.
        seed: of everything random in the checks.

    Returns:
        An :class:`~derivcheck.audit.outcome.Audit`, true where all hold; its ``str`` is the table.

    Raises:
        InputError: not a module, or what comes out is no loss that a gradient flows through.

    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         return grad_output
    >>> class Model(torch.nn.Linear):
    ...     def forward(self, x):
    ...         return Double.apply(super().forward(x))
    >>> found = audit(Model(3, 2), (torch.randn(4, 3), torch.randn(4, 2)), torch.nn.functional.mse_loss)
    >>> found["Double"].verdict, found.passed
    ('wrong', False)
    """
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    observer = Observer()
    with kept_states(), _as_it_was(model), torch.enable_grad():
        with observer, observer.hooks.there(model):
            _loss(model, batch, loss).backward()  # type: ignore[no-untyped-call]
        rows = tuple(judged(observer, seed))
    return Audit(type(model).__name__, observer.passes, allowing(rows, allow))


def _loss(model: torch.nn.Module, batch: Any, loss: Callable[..., torch.Tensor] | None) -> torch.Tensor:
    """The model's loss on a batch.

    Raises:
        InputError: it is no number, or no gradient flows through it.
    """
    pair = isinstance(batch, (tuple, list)) and len(batch) == 2 and loss is not None
    given, target = (batch[0], tuple(batch[1:])) if pair else (batch, ())
    if isinstance(given, Mapping):
        out = model(**given)
    else:
        out = model(*given) if isinstance(given, (tuple, list)) else model(given)
    found = out if loss is None else loss(out, *target)
    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        what = f"of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise InputError(f"the loss is {what}; expected one number: give loss=, called with the model's output and the target")
    if not found.requires_grad:
        raise InputError("no gradient flows through the loss: no parameter of the model that it depends on requires one")
    return found


@contextmanager
def _as_it_was(model: torch.nn.Module) -> Iterator[None]:
    """Gradients and buffers are put back."""
    grads = [(p, p.grad) for p in model.parameters()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    for p, _ in grads:
        p.grad = None
    try:
        yield
    finally:
        for p, g in grads:
            p.grad = g
        with torch.no_grad():
            for b, kept in buffers:
                b.copy_(kept)
