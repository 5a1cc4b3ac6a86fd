"""What the context of an ``autograd.Function`` is told inside traced code, where no mode hears of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch.autograd.function import FunctionCtx


class Marks:
    """Outputs that are marked as not differentiable: once the forward has returned, torch cuts them off."""

    def __init__(self) -> None:
        self._marked: dict[int, tuple[torch.Tensor, FrameType]] = {}
        self._cut: dict[int, torch.Tensor] = {}

    def cut(self, value: Any) -> Any:
        """An argument or output with what is cut off detached."""
        if not self._marked:
            return value
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(self.cut(v) for v in value)
        if id(value) not in self._marked or _runs(self._marked[id(value)][1]):
            return value
        if id(value) not in self._cut:
            self._cut[id(value)] = value.detach()
        return self._cut[id(value)]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While code is recorded."""
        kept = {n: getattr(FunctionCtx, n) for n in ("mark_non_differentiable", "mark_dirty")}

        def mark_non_differentiable(ctx: Any, *outputs: Any) -> Any:
            forward = sys._getframe(1)
            self._marked.update({id(t): (t, forward) for t in outputs if _real(t)})
            return kept["mark_non_differentiable"](ctx, *outputs)

        def mark_dirty(ctx: Any, *inputs: Any) -> None:
            """The writes themselves are seen; torch's own note of them would make new tensors, out of sight."""

        _put({"mark_non_differentiable": mark_non_differentiable, "mark_dirty": mark_dirty})
        try:
            yield
        finally:
            _put(kept)
            self._marked.clear()


def _real(t: Any) -> bool:
    return isinstance(t, torch.Tensor) and t.is_floating_point()


def _runs(frame: FrameType) -> bool:
    f: FrameType | None = sys._getframe(1)
    while f is not None and f is not frame:
        f = f.f_back
    return f is not None


def _put(methods: dict[str, Any]) -> None:
    for name, method in methods.items():
        setattr(FunctionCtx, name, method)
