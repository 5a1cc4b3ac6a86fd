"""Operators tried on shapes alone: whether they take them, and what they give."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._mode_utils import no_dispatch

from derivcheck.tracing.recording.data import Meta
from derivcheck.tracing.recording.kernel_shapes import refuse_as_the_kernel, results_alone


def made_of(value: Any, device: str) -> Any:
    """Tensors of the shapes that stand in arguments."""
    if isinstance(value, Meta):
        return torch.empty(value.shape, dtype=value.dtype, device=device)
    if isinstance(value, (list, tuple)):
        return [made_of(v, device) for v in value]
    if isinstance(value, dict):
        return {k: made_of(v, device) for k, v in value.items()}
    return value


def shaped_as_on_ones(func: Any, args: Any, kwargs: Any) -> Any:
    """Tensors without data, of the shapes that an operator gives for tensors of ones."""
    with torch.no_grad(), no_dispatch():
        ones = [pytree.tree_map_only(torch.Tensor, lambda t: torch.ones(t.shape, dtype=t.dtype), a) for a in (args, kwargs)]
        out = func(*ones[0], **ones[1])
    return pytree.tree_map_only(torch.Tensor, lambda t: torch.empty(t.shape, dtype=t.dtype), out)


def succeeds(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operator takes tensors of these shapes (tensors are given as :class:`Meta`)."""
    key = (func, _frozen(args), _frozen(kwargs))
    try:
        known = _known.get(key)
    except TypeError:  # an argument without a hash
        return _takes(func, args, kwargs)
    if known is None:
        known = _takes(func, args, kwargs)
        if func.namespace == "aten" and len(_known) < 4096:  # kept small, in a process that traces for long
            _known[key] = known
    return known


_known: dict[Any, bool] = {}


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((k, _frozen(v)) for k, v in value.items())
    return type(value), value


def _takes(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operator runs on tensors without data, and its kernel would."""
    try:
        with torch.no_grad(), no_dispatch():
            made = {k: made_of(v, "meta") for k, v in kwargs.items() if k not in ("device", "pin_memory")}
            given = made_of(args, "meta")
            refuse_as_the_kernel(func, given, made)
            if results_alone(func, given) is None:
                func(*given, **made)
    except Exception:
        return False
    return True
