"""How torch multiplies matrices under its switches: factors that are rounded first, sums in less than the type's own digits.

The switches are ``fp32_precision`` of torch.backends (and their older names, ``allow_tf32``), and the half types'
``allow_fp16_accumulation`` and ``allow_*_reduced_precision_reduction``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.checking.arithmetic.pairs import HALVES, unit

TF32 = 2.0**-11  # unit roundoff of ten stored digits (NVIDIA, A100 whitepaper, 2020)
ROUNDED = {"tf32": TF32, "bf16": unit(torch.bfloat16)}
PART = 256  # terms that a kernel sums at least before it adds parts in the type itself


@dataclass(frozen=True)
class Products:
    """How matrix products round beside what their type tells.

    Attributes:
        factor: unit roundoff of a rounding of each factor before they are multiplied; 0 for none.
        accumulator: unit roundoff of the sums, where it is not the accumulator's usual one.
        parts: unit roundoff of the sum of parts of a long sum, where these are added in less digits; 0 for none.
        words: the switches that say so.
    """

    factor: float = 0.0
    accumulator: float | None = None
    parts: float = 0.0
    words: str = ""

    def rounding(self, n: int) -> float:
        """What a product over ``n`` terms may be off by beside its sum's own roundings, relative to Σ|terms|."""
        added = math.log2(max(1.0, n / PART)) + (n > PART)
        return 2 * self.factor + self.factor**2 + added * self.parts


USUAL = Products()


def products_on(device: torch.device | str, dtype: torch.dtype, templates: Iterable[str] = ()) -> Products:
    """The products of a type on a device, as torch's switches are now.

    Args:
        templates: how the code calls torch; a convolution has switches of its own.

    >>> products_on("cpu", torch.float64) == USUAL
    True
    """
    kind = torch.device(device).type
    if dtype is torch.float32:
        parts = ["matmul", *(["conv"] if any("conv" in t for t in templates) else [])]
        found = {name: precision for p in parts for name, precision in _precisions(kind, p)}
        rounded = {n: ROUNDED[p] for n, p in found.items() if p in ROUNDED}
        words = ", ".join(f"{n} = {found[n]!r}" for n in rounded)
        return Products(max(rounded.values(), default=0.0), words=words)
    if kind == "cuda" and dtype in HALVES:
        short = "fp16" if dtype is torch.float16 else "bf16"
        whole = dtype is torch.float16 and bool(getattr(torch.backends.cuda.matmul, "allow_fp16_accumulation", False))
        split = _allowed(getattr(torch.backends.cuda.matmul, f"allow_{short}_reduced_precision_reduction", False))
        names = ["allow_fp16_accumulation"] * whole + [f"allow_{short}_reduced_precision_reduction"] * split
        words = ", ".join(f"torch.backends.cuda.matmul.{n}" for n in names)
        return Products(0.0, unit(dtype) if whole else None, unit(dtype) if split else 0.0, words)
    return USUAL


def _precisions(kind: str, part: str) -> list[tuple[str, str]]:
    """The switches of a kind of product on a kind of device, by name."""
    backend = {"cuda": "cuda" if part == "matmul" else "cudnn", "cpu": "mkldnn"}.get(kind)
    if backend is None:
        return []
    switch = getattr(getattr(torch.backends, backend), part, None)
    return [(f"torch.backends.{backend}.{part}.fp32_precision", str(getattr(switch, "fp32_precision", "none")))]


def _allowed(switch: Any) -> bool:
    """A switch that is one flag, or a pair of which the first is it."""
    return bool(switch[0] if isinstance(switch, tuple) else switch)
