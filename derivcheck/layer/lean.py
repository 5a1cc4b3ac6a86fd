"""Which of two texts of the same code runs: the one that writes into its temporaries, where nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd import forward_ad

Run = Callable[..., Any]
_PLAIN = (torch.Tensor, torch.nn.Parameter)


any_autocast: Callable[[], bool] = getattr(torch._C, "_is_any_autocast_enabled", lambda: True)


def may_write(values: Iterable[Any]) -> bool:
    """Whether what is computed of these may be written into: plain tensors of one type, of which nothing is recorded."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    recorded, dtype = torch.is_grad_enabled(), None
    for t in values:
        if type(t) not in _PLAIN:
            if isinstance(t, torch.Tensor):
                return False
            continue
        if recorded and t.requires_grad:
            return False
        if t.is_floating_point():
            if dtype is None:
                dtype = t.dtype
                if any_autocast() and torch.is_autocast_enabled(t.device.type):
                    return False
            elif t.dtype != dtype:
                return False
    return dtype is not None


def lean_or_plain(lean: Run, plain: Callable[[], Run]) -> Run:
    """The generated function: ``lean`` where that may be, else what ``plain`` gives."""

    def run(**given: Any) -> Any:
        """Called by name, as either is."""
        return lean(**given) if may_write(given.values()) else plain()(**given)

    return run
