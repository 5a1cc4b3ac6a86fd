"""One whole training step with the derived gradient called directly, against autograd, side by side in one run.

    python -m benchmarks.training_step

A step is forward, gradient and update of Linear + MSE.  The two are timed in turn, A B A B …; the table gives the medians and
the median of the ratios pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import derivcheck as dc
from benchmarks.timing import pairs


def steps(n: int, i: int, o: int, lr: float = 1e-3) -> tuple[Callable[[], object], Callable[[], object]]:
    """A whole training step of Linear + MSE: with the derived gradient, and with autograd."""
    torch.manual_seed(0)
    module, loss = nn.Linear(i, o), nn.MSELoss()
    x, y = torch.randn(n, i), torch.randn(n, o)
    weight, bias = module.weight.detach().clone(), module.bias.detach().clone()
    run = dc.derive(module, loss=loss, wrt=["weight", "bias"]).compile()

    def derived() -> object:
        value, grads = run(input=x, weight=weight, bias=bias, target=y)
        weight.sub_(grads["weight"], alpha=lr)
        bias.sub_(grads["bias"], alpha=lr)
        return value

    def autograd() -> object:
        value = loss(module(x), y)
        value.backward()
        with torch.no_grad():
            for p in module.parameters():
                assert p.grad is not None
                p.sub_(p.grad, alpha=lr)
                p.grad = None
        return value

    return derived, autograd


def main() -> None:
    torch.set_num_threads(1)
    table = Table("(N, in, out)", "derived", "autograd", "ratio", "figure to reach")
    for shape, goal in {(64, 64, 64): "0.8", (512, 1024, 1024): "1.05"}.items():
        a, b, ratio = pairs(*steps(*shape))
        table.add_row(str(shape), f"{a:.0f} µs", f"{b:.0f} µs", f"{ratio:.2f}", goal)
    Console().print(table)


if __name__ == "__main__":
    main()
