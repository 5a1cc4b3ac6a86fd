"""Views that torch composes in C++ of others, at numbers that it computes there: composed here, where those are watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.utils._mode_utils import no_dispatch

from derivcheck.tracing.watching.made_of_sizes import bare

aten = torch.ops.aten
Dims = list[Any]
Made = tuple[Any, tuple[Any, ...]] | None  # the operator to call instead and its arguments; None: as it is


def in_order(x: Any) -> Any:
    """A copy that lies in the order of its indices."""
    return aten.clone.default(x, memory_format=torch.contiguous_format)


def copied(x: Any, shape: Any) -> Any:
    """A copy in another shape."""
    return aten._unsafe_view.default(in_order(x), shape)


def _shaped(dims: Dims, shape: Sequence[Any]) -> list[Any] | None:
    """A shape with the size that is left open (−1) found; None where torch has to complain."""
    at = [k for k, n in enumerate(shape) if bare(n) == -1]
    rest = prod(n for n in shape if bare(n) != -1)
    if len(at) != 1 or bare(rest) == 0 and not rest > 0:  # noted: torch looks for no size where there is no element
        return None if at else list(shape)
    found = list(shape)
    found[at[0]] = prod(dims) // rest
    return found


def _reshape(dims: Dims, x: Any, shape: Any, permuted: bool = False) -> Made:
    """A view, or a copy of what lies in another order.

    torch decides by strides, which a size of 1 makes right by chance; what was permuted is copied here at every size.
    """
    found = _shaped(dims, shape)
    if found is None:
        return None
    return (copied if permuted or not viewable(x, list(map(bare, found))) else aten.view.default), (x, found)


def viewable(x: Any, shape: Sequence[int]) -> bool:
    """Whether torch gives a view of this shape."""
    with no_dispatch(), torch._C.DisableTorchFunction():
        inner = torch._from_functional_tensor(x.elem) if isinstance(x, FunctionalTensor) else x
        try:
            torch.empty_strided(inner.shape, inner.stride(), device="meta").view(shape)
        except (RuntimeError, ValueError):
            return False
    return True


def _flatten(dims: Dims, x: Any, start: int = 0, end: int = -1) -> Made:
    if not dims:
        return None
    first, last = start % len(dims), end % len(dims)
    if first >= last:
        return None
    return aten.reshape.default, (x, [*dims[:first], prod(dims[first : last + 1]), *dims[last + 1 :]])


def _ravel(dims: Dims, x: Any) -> Made:
    return aten.reshape.default, (x, [prod(dims)])


def _unflatten(dims: Dims, x: Any, dim: int, sizes: Any) -> Made:
    axis = dim % len(dims) if dims else 0
    found = _shaped(dims[axis : axis + 1], sizes)
    return None if found is None else (aten.view.default, (x, [*dims[:axis], *found, *dims[axis + 1 :]]))


def _chunk(dims: Dims, x: Any, chunks: int, dim: int = 0) -> Made:
    each = (dims[dim] + chunks - 1) // chunks if dims and chunks > 0 else 0
    if bare(each) > 0 or each > 0:  # of nothing torch makes pieces of another way: noted
        return aten.split.Tensor, (x, each, dim)
    return None


def _sections(dims: Dims, x: Any, sections: int, dim: int = 0) -> Made:
    if not dims or sections < 1:
        return None
    return aten.split_with_sizes.default, (x, [(dims[dim] + (sections - 1 - k)) // sections for k in range(sections)], dim)


def _narrow(dims: Dims, x: Any, dim: int, start: Any, length: Any) -> Made:
    if not isinstance(start, int) or not dims:
        return None
    first = start + dims[dim] if bare(start) < 0 else start
    whole = dims[dim] >= first + length and first >= 0 and length >= 0  # noted: torch raises where it does not hold
    return (aten.slice.Tensor, (x, dim, first, first + length)) if whole else None


def _shifted(dims: Dims, x: Any, dim: Any = None, inverse: bool = False) -> Made:
    axes = list(range(len(dims))) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return aten.roll.default, (x, [(dims[a] + inverse) // 2 for a in axes], axes)


def _powers(x: Any, grown: Any, ones: Any) -> Any:
    """The powers of each element side by side: 1, and as many more as the last of the shape ``grown`` says."""
    powers = aten.cumprod.default(aten.expand.default(aten.unsqueeze.default(x, -1), grown), -1)
    return aten.cat.default([aten.new_ones.default(powers, ones), powers], -1)


def _vandermonde(dims: Dims, x: Any, *, N: Any = None) -> Made:
    if not dims:
        return None
    count = dims[-1] if N is None else N
    return (_powers, (x, [*dims, count - 1], [*dims, 1])) if count > 1 else None  # noted: torch raises where it is not


def _solved(x: Any, other: Any, order: Any, square: Any, shape: Any) -> Any:
    """A linear system in several dimensions, solved as one of two."""
    flat = aten.reshape.default(aten.permute.default(x, order), square)
    return aten.reshape.default(aten.linalg_solve.default(flat, aten.reshape.default(other, square[:1])), shape)


def _tensor_solved(dims: Dims, x: Any, other: Any, moved: Any = None) -> Made:
    last = [a % len(dims) for a in moved or ()]
    order = [*(a for a in range(len(dims)) if a not in last), *last]
    shape = [dims[a] for a in order[other.dim() :]]
    return _solved, (x, other, order, [prod(shape)] * 2, shape)


def _resized(into: Any) -> Callable[..., Made]:
    def made(dims: Dims, x: Any, output_size: Any, align_corners: bool, scale_factors: Any) -> Made:
        if scale_factors is None or output_size is not None:
            return None
        lengths = [(n * s).__trunc__() for n, s in zip(dims[2:], scale_factors)]
        return into, (x, lengths, align_corners, *scale_factors)

    return made


COMPOSITES: dict[Any, Callable[..., Made]] = {
    aten.reshape.default: _reshape,
    aten.flatten.using_ints: _flatten,
    aten.ravel.default: _ravel,
    aten.unflatten.int: _unflatten,
    aten.chunk.default: _chunk,
    aten.unsafe_chunk.default: _chunk,
    aten.tensor_split.sections: _sections,
    aten.narrow.default: _narrow,
    aten.fft_fftshift.default: _shifted,
    aten.fft_ifftshift.default: lambda dims, x, dim=None: _shifted(dims, x, dim, inverse=True),
    aten.linalg_vander.default: _vandermonde,
    aten.linalg_tensorsolve.default: _tensor_solved,
    aten._upsample_bilinear2d_aa.vec: _resized(aten._upsample_bilinear2d_aa.default),
    aten._upsample_bicubic2d_aa.vec: _resized(aten._upsample_bicubic2d_aa.default),
}
_ORDERS = (
    "t.default",
    "transpose.int",
    "permute.default",
    "movedim.int",
    "movedim.intlist",
    "moveaxis.int",
    "moveaxis.intlist",
    "swapaxes.default",
    "swapdims.default",
    "mT.default",
    "numpy_T.default",
    "expand.default",
)
PERMUTES = {f"aten.{n}" for n in _ORDERS}
# views that leave elements in the order of their memory
_WITHIN = ("slice.Tensor", "select.int", "unsqueeze.default", "squeeze.dim", "detach.default", "alias.default")
VIEWS = {f"aten.{n}" for n in _WITHIN}
PARTS = {"aten.slice.Tensor", "aten.select.int"}
LIKE: dict[Any, Any] = {
    aten.view_as.default: aten.view.default,
    aten.reshape_as.default: aten.reshape.default,
    aten.expand_as.default: aten.expand.default,
}  # the second argument's shape is asked for
