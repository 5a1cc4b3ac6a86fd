"""What a derived Function costs more than one that a person writes with the same torch lines, at a tiny size.

    python -m benchmarks.function_overhead

One thread, this thread's own time, the two in turn; the least of each and the median difference.  Nearly all of it is Python.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import derivcheck as dc


class ByHand(torch.autograd.Function):
    """tanh(x @ w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        y = torch.tanh(x @ w)
        ctx.save_for_backward(x, w, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor]:
        x, w, y = ctx.saved_tensors
        y_bar = grad_output * (1 - y**2)
        return y_bar @ w.mT, x.mT @ y_bar


def microseconds(f: Callable[[], object], calls: int = 300) -> float:
    start = time.thread_time()
    for _ in range(calls):
        f()
    return (time.thread_time() - start) / calls * 1e6


def main() -> None:
    torch.set_num_threads(1)
    x, w, upstream = torch.randn(4, 5), torch.randn(5, 3), torch.ones(4, 3)
    derived = dc.derive(lambda x, w: torch.tanh(x @ w), x=x, w=w).to_function()
    leaves = x.requires_grad_(), w.requires_grad_()
    both = [
        lambda layer=layer: torch.autograd.grad(layer.apply(*leaves), leaves, upstream)  # type: ignore[misc]
        for layer in (derived, ByHand)
    ]
    for f in both:
        microseconds(f)
    rounds = [(microseconds(both[0]), microseconds(both[1])) for _ in range(12)]
    least = [min(r[k] for r in rounds) for k in (0, 1)]
    more = statistics.median(a - b for a, b in rounds)
    print(f"derived {least[0]:.0f} µs, by hand {least[1]:.0f} µs; median difference {more:.0f} µs (to reach: 5 µs)")


if __name__ == "__main__":
    main()
