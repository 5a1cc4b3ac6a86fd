"""Slices as operators: where one removes nothing at the sizes at hand, torch calls no operator, and at other sizes it would."""

from __future__ import annotations

import sys
from typing import Any

import torch

from derivcheck.tracing.watching.stands import Steps

_FULL = slice(None)
GETITEM, SETITEM = torch.Tensor.__getitem__, torch.Tensor.__setitem__


def sliced(x: torch.Tensor, index: Any, cut: Any) -> tuple[torch.Tensor, Any]:
    """``x`` cut by ``cut(x, axis, start, stop, step)`` for each slice of the index, and the index that is left."""
    parts = [_positions(p) for p in (index if isinstance(index, tuple) else [index])]
    widths = [_width(p) for p in parts]
    known = [w for w in widths if w is not None]
    if len(known) < len(widths) or sum(p is Ellipsis for p in parts) > 1:
        return x, tuple(parts) if isinstance(index, tuple) else parts[0]
    gap = x.dim() - sum(known)
    axis = 0
    for k, part in enumerate(parts):
        if part is Ellipsis:
            axis += gap
            continue
        if isinstance(part, slice) and axis < x.dim() and _plain(part) and not _trivial(part):
            start = 0 if part.start is None else part.start
            stop = sys.maxsize if part.stop is None else part.stop
            x = cut(x, axis, start, stop, 1 if part.step is None else part.step)
            parts[k] = _FULL
        axis += widths[k] or 0
    return x, tuple(parts)


def _positions(part: Any) -> Any:
    """A range of positions that a size ends, as a tensor of them."""
    return torch.arange(part.start, part.stop, part.step) if type(part) is Steps else part


def whole(index: Any) -> bool:
    """Whether the index takes everything as it is."""
    return isinstance(index, tuple) and all(isinstance(p, slice) and _trivial(p) for p in index)


def _width(part: Any) -> int | None:
    """How many dimensions a part of an index takes; None where that is not known without torch."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, (int, slice)):
        return 1
    if isinstance(part, torch.Tensor):
        return part.dim() if part.dtype in (torch.bool, torch.uint8) else 1
    if isinstance(part, (list, range)) and all(isinstance(v, int) for v in part):
        return 1
    return None


def _plain(part: slice) -> bool:
    bounds = (part.start, part.stop, part.step)
    return all(v is None or isinstance(v, int) and not isinstance(v, bool) for v in bounds) and (
        part.step is None or part.step > 0
    )


def _trivial(part: slice) -> bool:
    return part.stop is None and (part.start is None or type(part.start) is int and part.start == 0) and part.step in (None, 1)
