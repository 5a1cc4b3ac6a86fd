"""An ``autograd.Function`` under test: its arguments as torch's ``apply`` takes them, and its forward alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from derivcheck.errors import InputError
from derivcheck.tracing.recording.stack import forward_of


def function_of(forward: Any) -> Any:
    """The ``autograd.Function`` that this is, or whose ``apply`` this is; None for anything else."""
    owner = forward if isinstance(forward, type) else getattr(forward, "__self__", None)
    applied = forward is owner or getattr(forward, "__name__", "") == "apply"
    return owner if applied and isinstance(owner, type) and issubclass(owner, torch.autograd.Function) else None


def arguments(function: Any, inputs: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of what ``apply`` is called with, in order, and the defaults of those that ``inputs`` leaves out.

    As torch does: without ``setup_context`` only what is given reaches the forward, and the backward answers for that; with it
    every default is filled in.

    Raises:
        InputError: a name that forward does not have, or one without a default that is left out.
    """
    parameters = positional(function)
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    every = inspect.signature(function.forward).parameters.values()
    named_only = [p.name for p in every if p.kind is p.KEYWORD_ONLY]
    more = [n for n in inputs if n not in names and n not in named_only] if len(names) < len(parameters) else []
    for n in inputs:
        if n in named_only:
            raise InputError(f"{n!r} is a keyword-only argument of {function.__name__}.forward, which apply does not pass on")
        if n not in names and n not in more:
            raise InputError(f"{n!r} is not an input of {function.__name__}; those are {', '.join(names)}")
    missing = [p.name for p in parameters if p.name in names and p.default is p.empty and p.name not in inputs]
    if missing:
        raise InputError(f"inputs leaves out {', '.join(missing)}, which {function.__name__}.forward takes without a default")
    last = len(names) if separate(function) or more else max((names.index(n) + 1 for n in inputs), default=0)
    used = names[:last]
    defaults = {p.name: p.default for p in parameters if p.name in used and p.name not in inputs}
    return (*used, *more), defaults


def positional(function: Any) -> list[inspect.Parameter]:
    """The parameters of its forward that ``apply`` fills, without the context; a ``*args`` last."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = [p for p in inspect.signature(function.forward).parameters.values() if p.kind in kinds]
    return found if separate(function) or found[:1] and found[0].kind is inspect.Parameter.VAR_POSITIONAL else found[1:]


def argument_names(function: Any, count: int) -> list[str]:
    """Names for so many arguments of ``apply``: its forward's own, then ``input_3`` and so on for what ``*args`` takes."""
    return named(positional(function), count)


def named(parameters: Sequence[inspect.Parameter], count: int) -> list[str]:
    """Names for so many positional arguments."""
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    return [names[k] if k < len(names) else f"input_{k}" for k in range(count)]


def separate(function: Any) -> bool:
    """Whether forward and setup_context are written apart (then forward has no ctx)."""
    return bool(function.setup_context is not torch.autograd.function._SingleLevelFunction.setup_context)


class ForwardContext:
    """Takes what a forward saves, and notes what it says of its outputs."""

    def __init__(self, given: Sequence[Any]) -> None:
        self.needs_input_grad = tuple(isinstance(t, torch.Tensor) and t.is_floating_point() for t in given)
        self.saved_tensors: tuple[Any, ...] = ()
        self.constant: list[Any] = []

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep them, as torch does."""
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """No gradient flows through these outputs."""
        self.constant += tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Inputs that are changed in place: seen where that happens."""

    def set_materialize_grads(self, value: bool) -> None:
        """Of use in a backward alone."""


def plain(function: Any, names: Sequence[str]) -> Callable[..., Any]:
    """The forward as a function of named arguments; outputs that it marks as not differentiable are detached."""
    apart = separate(function)

    def forward(**given: Any) -> Any:
        """One run of the forward with a context that records what it marks as not differentiable."""
        args = [given[n] for n in names]
        ctx = ForwardContext(args)
        out = forward_of(function, *args) if apart else forward_of(function, ctx, *args)
        if apart:
            function.setup_context(ctx, tuple(args), out)
        marked = {id(t) for t in ctx.constant}
        if isinstance(out, tuple):
            return tuple(_held(t, marked) for t in out)
        return _held(out, marked)

    forward.__name__ = function.__name__
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )
    forward.__wrapped__ = function.forward  # type: ignore[attr-defined]
    return forward


def backward_of(function: Any, names: Sequence[str], passed: Mapping[str, Any]) -> Callable[..., Mapping[str, Any]]:
    """Its backward after its forward, without torch's engine, as ``run(tensors, upstream) -> name -> gradient``."""
    apart = separate(function)

    def run(tensors: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
        args = [{**passed, **tensors}[n] for n in names]
        ctx = ForwardContext(args)
        out = forward_of(function, *args) if apart else forward_of(function, ctx, *args)
        if apart:
            function.setup_context(ctx, tuple(args), out)
        found = function.backward(ctx, *upstream.values())
        return dict(zip(names, found if isinstance(found, tuple) else (found,)))

    return run


def _held(t: Any, marked: set[int]) -> Any:
    return t.detach() if id(t) in marked else t
