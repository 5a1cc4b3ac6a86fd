"""What the code writes as a decimal stays that decimal: torch rounds it to the type of the tensor that it makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils._mode_utils import no_dispatch

from derivcheck.tracing.watching.made_of_sizes import bare


class Decimals:
    """The numbers that the call of torch which is running was given."""

    def __init__(self) -> None:
        self._written: list[Any] = []

    @contextmanager
    def of_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        """While a call of torch runs with these arguments."""
        before, self._written = self._written, [v for v in (*args, *kwargs.values()) if _decimal(v)]
        try:
            yield
        finally:
            self._written = before

    def kept(self, t: torch.Tensor) -> torch.Tensor:
        """A tensor that the call made of its numbers, in float64 with their own digits; any other tensor as it is.

        It is one of theirs only where every element is such a number, rounded to the tensor's type.
        """
        if not self._written or type(t) is not torch.Tensor or not t.is_floating_point() or t.device.type == "meta":
            return t
        with no_dispatch():
            for value in self._written:
                try:
                    whole = torch.from_numpy(np.array(_bare(value), dtype=np.float64))
                except (TypeError, ValueError):  # ragged, or tensors among the numbers
                    continue
                if whole.shape == t.shape and torch.equal(whole.to(t.dtype), t.detach()):
                    return whole
        return t


def _bare(value: Any) -> Any:
    return [_bare(v) for v in value] if isinstance(value, (list, tuple)) else bare(value)


def _decimal(value: Any) -> bool:
    """Whether an argument is a float, or numbers with a float among them."""
    if isinstance(value, np.ndarray):
        return bool(value.dtype == np.float64)
    if isinstance(value, (list, tuple)):
        return any(_decimal(v) for v in value)
    return isinstance(value, float)


def rounded(t: torch.Tensor) -> float | None:
    """A decimal of few digits that a tensor of a narrow type does not hold exactly, if it has one: 0.1 in float32."""
    if not t.is_floating_point() or t.dtype is torch.float64:
        return None
    short = torch.tensor([float(f"{v:.4g}") for v in t.detach().flatten()[:64].tolist()], dtype=torch.float64)
    held = t.detach().flatten()[:64].cpu()
    found = short[(short.to(t.dtype) == held) & (short != held.double())]
    return float(found[0]) if found.numel() else None
