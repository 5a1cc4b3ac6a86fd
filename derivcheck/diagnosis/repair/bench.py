"""Small data to run a backward on, with the gradients that are right there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    @property
    def given(self) -> dict[str, torch.Tensor]:
        """Inputs and upstream gradients by name."""
        return {**self.inputs, **self.upstream}

    def __str__(self) -> str:
        return self.shown or ", ".join(f"{n}={v}" for n, v in self.sizes.items())
