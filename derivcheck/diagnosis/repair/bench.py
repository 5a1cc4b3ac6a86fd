"""Small data to run a backward on, with the gradients that are right there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from derivcheck.diagnosis.scene import Array


@dataclass(frozen=True)
class Bench:
    """Small data, with the derived gradients there.

    Attributes:
        right: the derived gradient of each input.
        values: every definition of the forward and of the adjoint.
        shown: what to call it where sizes do not tell.
    """

    sizes: Mapping[str, int]
    inputs: Mapping[str, torch.Tensor]
    upstream: Mapping[str, torch.Tensor]
    right: Mapping[str, Array]
    values: Mapping[str, Array]
    shown: str = ""

    @cached_property
    def floor(self) -> float:
        """What is so much smaller than the upstream gradients is what rounding leaves of terms that cancel."""
        return 1e-6 * max((float(t.abs().max()) for t in self.upstream.values() if t.numel()), default=0.0)

    @property
    def given(self) -> dict[str, torch.Tensor]:
        """Inputs and upstream gradients by name."""
        return {**self.inputs, **self.upstream}

    def __str__(self) -> str:
        return self.shown or ", ".join(f"{n}={v}" for n, v in self.sizes.items())
