"""Copies: of a tensor as it lies in memory, of a module with what it keeps."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from derivcheck.errors import InputError

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


def module_copy(module: nn.Module, shared: bool = False) -> nn.Module:
    """A copy of a module; what it computed and keeps (the ``weight`` of the old ``weight_norm``) is a constant there.

    Args:
        shared: the copy has the module's own parameters and buffers.

    Raises:
        InputError: a module that cannot be copied.
    """
    memo: dict[int, Any] = {id(t): t for t in (*module.parameters(), *module.buffers())} if shared else {}
    kept = (t for part in module.modules() for t in _tensors(list(vars(part).values())))
    memo |= {id(t): t.detach().clone() for t in kept if not t.is_leaf}  # deepcopy refuses what has a graph behind it
    try:
        return copy.deepcopy(module, memo)
    except Exception as e:
        raise InputError(f"the module {type(module).__name__} cannot be copied: {e}") from None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for v in value.values() if isinstance(value, dict) else value:
            yield from _tensors(v)
