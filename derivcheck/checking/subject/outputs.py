"""What code returns, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def dense(g: Any) -> Any:
    """A sparse gradient (of an embedding, say) as the dense one that it means; one without memory as its zeros."""
    if not isinstance(g, torch.Tensor):
        return g
    return g.to_dense() if g.layout is not torch.strided else torch.zeros_like(g) if g._is_zerotensor() else g


def flat(out: Any) -> list[torch.Tensor]:
    """The floating-point tensors of an output, in order."""
    if isinstance(out, torch.Tensor):
        return [out] if out.is_floating_point() else []
    if isinstance(out, Mapping):
        return [t for v in out.values() for t in flat(v)]
    if isinstance(out, (tuple, list)):
        return [t for v in out for t in flat(v)]
    if hasattr(out, "__dataclass_fields__"):
        return [t for n in out.__dataclass_fields__ for t in flat(getattr(out, n))]
    return []
