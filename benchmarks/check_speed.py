"""How long a check takes beside ``torch.autograd.gradcheck``, in one run.

    python -m benchmarks.check_speed [--large]

One thread.  Ratios compare within the run; ``check`` is with the derivation at hand, all witnesses and probes.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import derivcheck as dc
from derivcheck.checking.check import check

Run = Callable[[], Any]


def seconds(run: Run, times: int = 3) -> float:
    """The median of some runs, in seconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def linear(n: int, i: int, o: int) -> tuple[Run, Run, Run]:
    """Linear + MSE: the check, a failing check, gradcheck in slow mode."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    tensors = {"input": randn(n, i), "weight": randn(o, i), "bias": randn(o), "target": randn(n, o)}
    d = dc.derive(nn.Linear(4, 3), loss=nn.MSELoss())

    def backward(grad_output: Any, input: Any, weight: Any, bias: Any, target: Any) -> dict[str, torch.Tensor]:
        g = grad_output * 2 * (input @ weight.T + bias - target) / target.numel()
        return {"input": g @ weight, "weight": g.T @ input, "bias": g.sum(0), "target": -g}

    def wrong(**tensors: Any) -> dict[str, torch.Tensor]:
        return {n: g * (2 if n == "weight" else 1) for n, g in backward(**tensors).items()}

    def forward(input: Any, weight: Any, bias: Any, target: Any) -> Any:
        return nn.functional.mse_loss(nn.functional.linear(input, weight, bias), target)

    leaves = tuple(t.clone().requires_grad_() for t in tensors.values())

    def good() -> None:
        assert check(d, tensors, backward).passed

    def bad() -> None:
        assert not check(d, tensors, wrong).passed

    return good, bad, lambda: torch.autograd.gradcheck(forward, leaves)


def layer_norm() -> tuple[Run, Run]:
    """LayerNorm at (32, 512)."""
    x, w, b = (torch.randn(s, dtype=torch.float64) for s in ((32, 512), (512,), (512,)))
    d = dc.derive(lambda x, w, b: nn.functional.layer_norm(x, (x.shape[-1],), w, b), x=x, w=w, b=b)
    leaves = tuple(t.clone().requires_grad_() for t in (x, w, b))

    def good() -> None:
        assert check(d, {"x": x, "w": w, "b": b}).passed

    return good, lambda: torch.autograd.gradcheck(lambda x, w, b: nn.functional.layer_norm(x, (512,), w, b), leaves)


def attention() -> tuple[Run, Run]:
    """Attention at (2, 4, 32, 16)."""
    q, k, v = (torch.randn(2, 4, 32, 16, dtype=torch.float64) for _ in range(3))
    d = dc.derive(lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v), q=q, k=k, v=v)
    leaves = tuple(t.clone().requires_grad_() for t in (q, k, v))

    def good() -> None:
        assert check(d, {"q": q, "k": k, "v": v}).passed

    return good, lambda: torch.autograd.gradcheck(nn.functional.scaled_dot_product_attention, leaves)


def main(large: bool) -> None:
    """Print the table.  ``large``: also gradcheck of LayerNorm (its Jacobians take 16 GB) and a weight of 10,000,000 elements.

    gradcheck of the largest Linear is left out: after 4.6 minutes it was ended at the 24 GB of the machine.
    """
    torch.set_num_threads(1)
    print(f"{'case':28} {'check':>9} {'gradcheck slow':>15} {'ratio':>7}")
    good, _, _ = linear(128, 512, 512)  # first: what the process takes for it can be told
    good()
    _line("Linear+MSE (128,512,512)", seconds(good), None, f"peak of the process {peak():.0f} MB")
    if large:
        good, _, _ = linear(64, 4000, 2500)
        _line("Linear+MSE (64,4000,2500)", seconds(good, 1), None, f"peak of the process {peak():.0f} MB")
    good, bad, slow = linear(64, 128, 128)
    good()
    bad()
    mine, failing, theirs = seconds(good, 7), seconds(bad, 7), seconds(slow, 1)
    _line("Linear+MSE (64,128,128)", mine, theirs, f"a failing check {failing / mine:.2f} of a passing one")
    good, slow = attention()
    good()
    _line("attention (2,4,32,16)", seconds(good, 5), seconds(slow, 1), "")
    good, slow = layer_norm()
    good()
    _line("LayerNorm (32,512)", seconds(good, 5), seconds(slow, 1) if large else None, "")


def peak() -> float:
    """The most memory that the process has taken, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _line(name: str, mine: float, theirs: float | None, more: str) -> None:
    beside = f"{theirs:14.2f}s {theirs / mine:6.0f}x" if theirs is not None else f"{'':>15} {'':>7}"
    print(f"{name:28} {mine:8.3f}s {beside}  {more}", flush=True)


if __name__ == "__main__":
    main("--large" in sys.argv[1:])
