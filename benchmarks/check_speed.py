"""How long a check takes beside ``torch.autograd.gradcheck`` in slow mode, in one run.

    python -m benchmarks.check_speed [--large]

One thread, and its processor time: what else runs on the machine does not count.  Ratios compare within the run.  A check is
timed in two ways, with all witnesses and probes in both:

- as a user calls it, ``check(function, tensors, backward)``: the function is traced and its gradient derived each time;
- with the derivation at hand, ``check(derivation, tensors, backward)``: derived once, before the clock starts.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

import derivcheck as dc
from derivcheck.checking.check import check
from examples.gallery import LAYERS

Run = Callable[[], Any]
Tensors = Mapping[str, torch.Tensor]


def seconds(run: Run, times: int = 3) -> float:
    """The median of some runs, in seconds of processor time."""
    took = []
    for _ in range(times):
        start = time.process_time()
        run()
        took.append(time.process_time() - start)
    return statistics.median(took)


@dataclass(frozen=True)
class Case:
    """A function with its data; ``backward`` None: torch's own is checked."""

    name: str
    forward: Callable[..., Any]
    tensors: Tensors
    derivation: dc.Derivation
    backward: Callable[..., Tensors] | None = None

    def as_called(self) -> None:
        """The check as a user calls it."""
        assert check(self.forward, self.tensors, self.backward).passed

    def at_hand(self) -> None:
        """The check with the derivation at hand."""
        assert check(self.derivation, self.tensors, self.backward).passed

    def slow(self) -> None:
        """gradcheck in slow mode."""
        leaves = tuple(t.clone().requires_grad_() for t in self.tensors.values())
        assert torch.autograd.gradcheck(lambda *given: self.forward(**dict(zip(self.tensors, given))), leaves)


def randn(*shape: int) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, dtype=torch.float64)


def linear(n: int, i: int, o: int) -> Case:
    """Linear + MSE with a hand-written backward."""
    layer = LAYERS["mse"]
    tensors = {"x": randn(n, i), "w": randn(o, i), "b": randn(o), "y": randn(n, o)}
    return Case(f"Linear+MSE ({n},{i},{o})", layer.forward, tensors, dc.derive(layer.forward, dims=layer.dims), layer.backward)


def layer_norm(n: int, c: int) -> Case:
    """LayerNorm."""
    tensors = {"x": randn(n, c), "w": randn(c), "b": randn(c)}
    forward = LAYERS["layer norm"].forward
    return Case(f"LayerNorm ({n},{c})", forward, tensors, dc.derive(forward, **tensors))


def attention(*shape: int) -> Case:
    """Scaled dot-product attention."""
    tensors = {n: randn(*shape) for n in "qkv"}

    def forward(q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v)

    return Case(f"attention ({','.join(map(str, shape))})", forward, tensors, dc.derive(forward, **tensors))


def failing(case: Case) -> float:
    """What a failing check takes of a passing one, the derivation at hand in both."""
    assert case.backward is not None
    backward = case.backward

    def wrong(**tensors: Any) -> Tensors:
        return {n: g * (2 if n == "w" else 1) for n, g in backward(**tensors).items()}

    def fail() -> None:
        assert not check(case.derivation, case.tensors, wrong).passed

    fail()
    return seconds(fail, 5) / seconds(case.at_hand, 5)


def main(large: bool) -> None:
    """Print the table.  ``large``: also gradcheck of LayerNorm (32,512) (its Jacobians take 16 GB) and 10,000,000 weights.

    gradcheck of the largest Linear is left out: after 4.6 minutes it was ended at the 24 GB of the machine.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'':24} {'check':>8} {'check,':>9} {'gradcheck':>10}")
    print(f"{'case':24} {'called':>8} {'derived':>9} {'slow':>10}  gradcheck / check, both ways")
    big = linear(128, 512, 512)  # first: what the process takes for it can be told
    line(big, False)
    print(f"{'':24} the process's peak is {peak():.0f} MB")
    if large:
        line(linear(64, 4000, 2500), False, 1)
        print(f"{'':24} the process's peak is {peak():.0f} MB")
    small = linear(64, 128, 128)
    line(small, True, 7)
    print(f"{'':24} a failing check takes {failing(small):.2f} of a passing one")
    line(attention(2, 4, 32, 16), True, 5)
    line(layer_norm(32, 128), True, 5)
    line(layer_norm(32, 512), large, 5)


def peak() -> float:
    """The most memory that the process has taken, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(case: Case, beside: bool, times: int = 3) -> None:
    """Time a case and print its line; ``beside``: gradcheck too."""
    if times > 1:
        case.as_called()
        case.at_hand()
    called, derived = seconds(case.as_called, times), seconds(case.at_hand, times)
    slow = seconds(case.slow, 1) if beside else None
    theirs = "" if slow is None else f"{slow:9.2f}s  {slow / called:.0f}x, {slow / derived:.0f}x"
    print(f"{case.name:24} {called:7.3f}s {derived:8.3f}s {theirs}", flush=True)


if __name__ == "__main__":
    main("--large" in sys.argv[1:])
