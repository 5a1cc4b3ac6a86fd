"""Half precision: whole gradients over several draws; and data at which rounding hides the gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.probing.whole import Figures

Tensors = dict[str, torch.Tensor]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT / 2, -1) @ v


def by_hand(factor: float = 1.0, row: float = 1.0) -> Callable[..., Tensors]:
    """Flash attention's backward; a factor, or a share of the row term, may be wrong."""

    def backward(grad_output: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Tensors:
        p = torch.softmax(q @ k.mT / 2, -1)
        ds = p * (grad_output @ v.mT - row * (grad_output * (p @ v)).sum(-1, keepdim=True)) * (factor / 2)
        return {"q": ds @ k, "k": ds.mT @ q, "v": p.mT @ grad_output}

    return backward


def data(scale: float, seed: int = 0) -> Tensors:
    shapes = {"q": (2, 5, 4), "k": (2, 6, 4), "v": (2, 6, 4)}
    return {n: scale * normal(*shape, seed=10 * seed + j) for j, (n, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("dtype, scale", [(torch.bfloat16, 1.0), (torch.bfloat16, 4.0), (torch.float16, 1.0)])
def test_attention_in_half_precision(dtype: torch.dtype, scale: float) -> None:
    report = dc.check(attention, data(scale), by_hand(), dtype=dtype)
    assert report.passed, str(report)
    for wrong in (by_hand(factor=1.05), by_hand(factor=0.95), by_hand(row=0.0)):
        report = dc.check(attention, data(scale), wrong, dtype=dtype)
        assert report["q"].verdict == report["k"].verdict == "wrong" and report["v"].passed


def test_in_double_precision_the_check_looks_where_rounding_hides_nothing() -> None:
    """At scores of thousands every weight is 0 or 1, and the gradient is 1e-199 under rounding of 1e-8."""
    report = dc.check(attention, data(50.0), by_hand())
    assert report.passed and "rounding hides it at the data themselves, not at the data times" in report["q"].note
    wrong = dc.check(attention, data(50.0), by_hand(row=1 + 1e-9))
    assert wrong["q"].verdict == "wrong"


def figures(bias: float, noise: float, usual: float, draws: int = 8, n: int = 64) -> Figures:
    found = Figures()
    for k in range(draws):
        e = normal(n, seed=k)
        found.add(e * (1 + bias) + noise * normal(n, seed=100 + k), e + usual * normal(n, seed=200 + k), e)
    return found


def test_the_figures() -> None:
    assert figures(0, 0.1, 0.1).telling and not figures(0, 0.1, 0.1).fault(torch.bfloat16)
    assert not figures(0, 0.2, 0.1).fault(torch.bfloat16)
    assert "1.05 times the gradient" in figures(0.05, 0.04, 0.04).fault(torch.bfloat16)
    assert "of its norm is off" in figures(0, 0.4, 0.1).fault(torch.bfloat16)
    assert not figures(0, 0.5, 0.5).telling, "arithmetic that is half noise tells nothing"


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "passed"), (1.05, "wrong"), (0.9, "wrong")])
def test_what_is_written_to_round_more_is_excused_for_that_alone(factor: float, verdict: str) -> None:
    """``exp(x - logsumexp(x))`` loses 9 % of the norm at such data in bfloat16; a factor is in float64, too."""

    def by_logsumexp(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = torch.exp(x - torch.logsumexp(x, -1, keepdim=True))
        return {"x": factor * y * (grad_output - (grad_output * y).sum(-1, keepdim=True))}

    x = (5 * normal(6, 9, seed=4)).bfloat16()
    report = dc.check(lambda x: torch.softmax(x, -1), {"x": x}, by_logsumexp, dtype=torch.bfloat16, seed=4)
    assert report["x"].verdict == verdict, str(report)
