"""Forwards whose own backward torch runs in a way of its own: weight norms, reentrant checkpoints, reversible blocks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import derivcheck as dc
from derivcheck.errors import UnsupportedOperation


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, W = randn(4, 6), randn(6, 3, seed=1)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda m: parametrizations.spectral_norm(m).eval(),
        lambda m: nn.utils.spectral_norm(m).eval(),
        parametrizations.weight_norm,
        nn.utils.weight_norm,
    ],
)
def test_norms_of_weights(wrapped: Callable[..., nn.Module]) -> None:
    with warnings.catch_warnings(action="ignore"):
        module = wrapped(nn.Linear(6, 3))
    assert dc.check(module, {"input": X}).passed


def test_a_module_that_keeps_what_it_computed_is_copied() -> None:
    class Keeps(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            self.last = super().forward(input)
            return self.last.sin()

    module = Keeps(6, 3, dtype=torch.float64)
    module(X)
    assert dc.check(module, {"input": X}).passed


def reentrant(x: Tensor, w: Tensor) -> Any:
    return checkpoint(lambda a, b: torch.tanh(a @ b), x, w, use_reentrant=True)  # type: ignore[no-untyped-call]


def around(x: Tensor, w: Tensor) -> Any:
    """``w`` is no input of the checkpoint: its gradient is left in ``.grad`` by the backward itself."""
    return checkpoint(lambda a: torch.tanh(a @ w), x, use_reentrant=True)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("forward", [reentrant, around])
def test_a_reentrant_checkpoint(forward: Any) -> None:
    report = dc.check(forward, {"x": X, "w": W})
    assert report.passed and any("come through .backward() alone" in n for n in report.notes), str(report)


class Coupling(torch.autograd.Function):
    """A reversible block: its backward computes its inputs from its outputs, and runs autograd for the parts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: nn.Module, g: nn.Module, factor: float) -> Tensor:
        first, second = x.chunk(2, -1)
        with torch.no_grad():
            y = first + f(second)
            out = torch.cat([y, second + g(y)], -1)
        ctx.f, ctx.g, ctx.factor = f, g, factor
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        (out,) = ctx.saved_tensors
        (one, two), (d1, d2) = out.chunk(2, -1), grad.chunk(2, -1)
        with torch.enable_grad():
            y = one.detach().requires_grad_()
            through = ctx.g(y)
            through.backward(d2)
        assert y.grad is not None
        d1 = d1 + y.grad
        with torch.enable_grad():
            second = (two - through).detach().requires_grad_()
            ctx.f(second).backward(ctx.factor * d1)
        assert second.grad is not None
        return torch.cat([d1, d2 + second.grad], -1), None, None, None


class Reversible(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.f, self.g, self.factor = nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 3), factor

    def forward(self, x: Tensor) -> Any:
        return Coupling.apply(x, self.f, self.g, self.factor)  # type: ignore[no-untyped-call]


def test_a_reversible_block_and_a_wrong_one() -> None:
    report = dc.check(Reversible(1.0), {"x": X})
    assert report.passed and len(report) == 5, str(report)
    wrong = dc.check(Reversible(1.01), {"x": X})
    assert {r.name for r in wrong.failures} == {"x", "f_0_weight", "f_0_bias"}


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: torch.complex(x, x).abs(),
        lambda x: torch.polar(x, x).real,
        lambda x: torch.fft.rfft(x).abs(),
        lambda x: torch.view_as_complex(x.reshape(-1, 2)).abs(),
    ],
)
def test_complex_numbers_inside_are_refused_as_such(forward: Any) -> None:
    with pytest.raises(UnsupportedOperation, match="computes with complex numbers, and derivcheck derives over the reals"):
        dc.check(forward, {"x": X})
