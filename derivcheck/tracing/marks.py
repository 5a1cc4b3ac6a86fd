"""What a context of an ``autograd.Function`` is told, and a trace through other code does not see: it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.function import FunctionCtx

from derivcheck.errors import UnsupportedOperation
from derivcheck.tracing.stack import here


@contextmanager
def marks_refused() -> Iterator[None]:
    """While code is recorded: no floating-point output is cut off, and no input written, by an autograd.Function in it.

    torch itself does both when the forward has returned, where no mode is told of it.
    """
    kept = {n: getattr(FunctionCtx, n) for n in ("mark_non_differentiable", "mark_dirty")}

    def mark_non_differentiable(ctx: Any, *outputs: Any) -> Any:
        if any(isinstance(t, torch.Tensor) and t.is_floating_point() for t in outputs):
            raise _refusal(ctx, "marks a floating-point output as not differentiable")
        return kept["mark_non_differentiable"](ctx, *outputs)

    def mark_dirty(ctx: Any, *inputs: Any) -> Any:
        raise _refusal(ctx, "changes an input in place")

    _put({"mark_non_differentiable": mark_non_differentiable, "mark_dirty": mark_dirty})
    try:
        yield
    finally:
        _put(kept)


def _put(methods: dict[str, Any]) -> None:
    for name, method in methods.items():
        setattr(FunctionCtx, name, method)


def _refusal(ctx: Any, what: str) -> UnsupportedOperation:
    name = type(ctx).__name__.removesuffix("Backward")
    reason = f"it {what}, which a trace of the code around it misses"
    return UnsupportedOperation(f"autograd.Function {name}", reason, here(), f"Check it by itself: dc.check({name}, ...).")
