"""A copy of a tensor as it lies in memory."""

from __future__ import annotations

from torch import Tensor

ROOM = 4  # how many times its elements the storage behind a view may hold, to be copied with it


def same_layout(value: Tensor) -> Tensor:
    """A copy with the strides and the offset of the original, expanded dimensions and what lies between included.

    >>> import torch
    >>> view = torch.arange(12.0)[1::2].reshape(2, 3).T
    >>> copy = same_layout(view)
    >>> torch.equal(copy, view), copy.stride() == view.stride(), copy.storage_offset()
    (True, True, 1)
    """
    value = value.detach()
    count = value.untyped_storage().nbytes() // value.element_size()
    if value.is_contiguous() and count == value.numel():
        return value.clone()
    if any(s == 0 and n > 1 for s, n in zip(value.stride(), value.shape)):
        whole = tuple(slice(0, 1) if s == 0 else slice(None) for s in value.stride())
        return value[whole].clone().expand(value.shape)
    if count <= ROOM * value.numel() + 8:
        memory = value.as_strided((count,), (1,), 0).clone()
        return memory.as_strided(value.shape, value.stride(), value.storage_offset())
    copy = value.new_empty(0).new_empty_strided(value.shape, value.stride())
    return copy.copy_(value)
