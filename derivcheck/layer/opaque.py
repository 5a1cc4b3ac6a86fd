"""Helpers of generated code as operators of torch, which a compiler calls and does not look into."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from derivcheck.codegen.file.helpers import HELPERS
from derivcheck.codegen.file.load import load

_SCHEMA = "conv_of_batches(Tensor x, Tensor w, SymInt[] sizes, int[] stride, SymInt[] offset, int[] dilation) -> Tensor"
_TEXT = """
import math
import torch

def forward(x, w, sizes, stride, offset, dilation):
    return _conv_of_batches(x, w, sizes, stride, offset, dilation).contiguous()
"""


@cache
def register() -> Any:
    """Make them known to torch, once in a process; without gradients of their own.

    A loop over images would be one of each length to ``torch.compile``, and copies of windows would leave the cache.
    """
    helpers = "\n".join(HELPERS[h] for h in ("_conv_of_batches", "_product", "_conv", "_window"))
    library: Any = torch.library.Library("derivcheck", "FRAGMENT")  # type: ignore[no-untyped-call]
    library.define(_SCHEMA)
    library.impl("conv_of_batches", load(_TEXT + helpers), "CompositeExplicitAutograd")
    torch.library.register_fake("derivcheck::conv_of_batches", _shaped, lib=library)
    return library  # they last as long as it does


def _shaped(x: Tensor, w: Tensor, sizes: list[int], stride: list[int], offset: list[int], dilation: list[int]) -> Tensor:
    """What it returns, without numbers."""
    return x.new_empty((x.shape[0], w.shape[0], *sizes))
