"""Values as tensors over the threads, their own dimensions last."""

from __future__ import annotations

import itertools
import math

import torch

from derivcheck.kernels.cuda.source.types import BOOL, FLOAT
from derivcheck.kernels.cuda.values.memory import leaves
from derivcheck.kernels.cuda.values.values import CNumber, Load, Start, Unset, Value, as_tensor


def stacked(value: Value, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """A value as a tensor over the threads, its own dimensions last."""
    flat = [_whole(v, like) for v in itertools.islice(leaves(value), math.prod(shape))]
    return folded(flat, shape, like.dim())


def folded(parts: list[torch.Tensor], shape: tuple[int, ...], rank: int) -> torch.Tensor:
    """Tensors over the threads, which lie in memory one after the other, as one tensor of a shape."""
    if not shape:
        return parts[0]
    step = len(parts) // shape[0]
    return torch.stack([folded(parts[k * step : (k + 1) * step], shape[1:], rank) for k in range(shape[0])], rank)


def _whole(value: Value, like: torch.Tensor) -> torch.Tensor:
    """A number of the reading as a tensor of the launch's shape; what was never written is 0."""
    if isinstance(value, Load):
        value = value.take()
    if isinstance(value, (Start, Unset)):
        value = CNumber(0.0, FLOAT)
    assert isinstance(value, CNumber)
    if value.known:
        if value.type == BOOL:
            return torch.full_like(like, value.value, dtype=torch.bool)
        return torch.full_like(like, float(value.value))
    t = value.value if value.type == BOOL else as_tensor(value.value, like.dtype)
    return t if t.dim() == like.dim() else t.expand_as(like)
