"""Shapes that torch's kernels refuse and its shape functions let through: without a look here, a trace would hold for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

aten = torch.ops.aten


def refuse_as_the_kernel(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise RuntimeError where the operator's kernel would, on the shapes of its arguments alone."""
    look = _LOOKS.get(func)
    if look is not None:
        look(*args, **kwargs)


def _rows(x: torch.Tensor, dim: int, index: torch.Tensor, source: torch.Tensor, *rest: Any, **options: Any) -> None:
    """A row of the source per index, each of the shape of one of ``x``."""
    if x.dim() and index.dim() == 1:
        expected = list(x.shape)
        expected[dim] = len(index)
        _equal(source.shape, expected, "the source")


def _placed(x: torch.Tensor, indices: Sequence[torch.Tensor | None], values: torch.Tensor, *rest: Any, **options: Any) -> None:
    """Values that broadcast to what the indices select, and masks of the shape that they mask."""
    axis = 0
    for index in indices:
        masks = index is not None and index.dtype in (torch.bool, torch.uint8)
        width = index.dim() if masks and index is not None else 1
        if masks and index is not None:
            _equal(index.shape, x.shape[axis : axis + width], "the mask")
        axis += width
    if not any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices):
        places = [None if i is None else i.to("meta") for i in indices]
        selected = aten.index.Tensor(x.new_empty(x.shape, device="meta"), places)
        torch.broadcast_to(values.to("meta"), selected.shape)


def _diagonal(x: torch.Tensor, source: torch.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> None:
    _equal(source.shape, x.diagonal(offset, dim1, dim2).shape, "the source")


def _equal(found: Sequence[int], expected: Sequence[int], what: str) -> None:
    if list(found) != list(expected):
        raise RuntimeError(f"{what} has shape {list(found)}, expected {list(expected)}")


_LOOKS: dict[Any, Callable[..., None]] = {
    aten.index_add.default: _rows,
    aten.index_copy.default: _rows,
    aten.index_reduce.default: _rows,
    aten.index_put.default: _placed,
    aten._unsafe_index_put.default: _placed,
    aten.diagonal_scatter.default: _diagonal,
}
