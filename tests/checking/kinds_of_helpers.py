"""What :mod:`tests.checking.kinds_of_code` takes from another file; the same name means something else here."""

from __future__ import annotations

from torch import Tensor

SCALE = 0.125


def scaled(x: Tensor) -> Tensor:
    return x * SCALE
