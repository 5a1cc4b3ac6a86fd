"""What a derived Function costs more than one that a person writes with the same torch lines, at a tiny size.

    python -m benchmarks.function_overhead

One thread, this thread's own time, forward and backward of the two in turn; the least of each, the ratio and the median
difference.  Nearly all of it is Python.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import derivcheck as dc


class Tanh(torch.autograd.Function):
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


class LinearMSE(torch.autograd.Function):
    """The mean of (x @ w.mT + b - y)²."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, y: Tensor) -> Tensor:
        p = torch.nn.functional.linear(x, w, b)
        ctx.save_for_backward(x, w, y, p)
        return torch.nn.functional.mse_loss(p, y)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, w, y, p = ctx.saved_tensors
        p_bar = (p - y) * (2 * grad_output / p.numel())
        return p_bar @ w, p_bar.mT @ x, p_bar.sum(0), None


class Case(NamedTuple):
    """A function of its inputs, the same by hand, the inputs' shapes, and how many of them a gradient is wanted in."""

    f: Callable[..., Tensor]
    by_hand: Any
    shapes: dict[str, tuple[int, ...]]
    wanted: int


CASES = {
    "tanh(x @ w)": Case(lambda x, w: torch.tanh(x @ w), Tanh, {"x": (4, 5), "w": (5, 3)}, 2),
    "linear + MSE": Case(
        lambda x, w, b, y: torch.nn.functional.mse_loss(torch.nn.functional.linear(x, w, b), y),
        LinearMSE,
        {"x": (4, 5), "w": (3, 5), "b": (3,), "y": (4, 3)},
        3,
    ),
}


def microseconds(f: Callable[[], object], calls: int = 300) -> float:
    start = time.thread_time()
    for _ in range(calls):
        f()
    return (time.thread_time() - start) / calls * 1e6


def measured(case: Case) -> tuple[float, float, float]:
    """The least time of the derived Function, of the one by hand, and the median difference."""
    given = {n: torch.randn(*s) for n, s in case.shapes.items()}
    derived = dc.derive(case.f, **given).to_function()
    values = [t.requires_grad_(k < case.wanted) for k, t in enumerate(given.values())]
    leaves = values[: case.wanted]
    upstream = torch.ones_like(case.f(*values))
    both = [
        lambda layer=layer: torch.autograd.grad(layer.apply(*values), leaves, upstream)  # type: ignore[misc]
        for layer in (derived, case.by_hand)
    ]
    for a, b in zip(*(f() for f in both), strict=True):
        torch.testing.assert_close(a, b)
    rounds = [(microseconds(both[0]), microseconds(both[1])) for _ in range(12)]
    return min(r[0] for r in rounds), min(r[1] for r in rounds), statistics.median(a - b for a, b in rounds)


def main() -> None:
    torch.set_num_threads(1)
    table = Table("case", "derived, µs", "by hand, µs", "ratio", "difference, µs (to reach: 5)")
    for name, case in CASES.items():
        derived, hand, more = measured(case)
        table.add_row(name, f"{derived:.0f}", f"{hand:.0f}", f"{derived / hand:.2f}", f"{more:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
