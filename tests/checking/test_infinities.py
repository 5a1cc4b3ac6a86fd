"""Infinities and NaN in a check: a mask of −∞ hides nothing, and NaN where the gradient is a number is wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.checking.check import check
from derivcheck.errors import InputError


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def test_a_causal_mask_is_judged() -> None:
    torch.manual_seed(0)
    data = {n: torch.randn(2, 5, 4, dtype=torch.float64) for n in "qkv"}
    report = dc.check(attention, data)
    assert report.passed, str(report)
    assert max(row.sensitivity for row in report) < 1e-10


def test_a_wrong_gradient_behind_a_causal_mask_is_seen() -> None:
    torch.manual_seed(0)
    data = {n: torch.randn(2, 5, 4, dtype=torch.float64) for n in "qkv"}

    def backward(grad_output: torch.Tensor, **tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        leaves = {n: t.detach().requires_grad_() for n, t in tensors.items()}
        with torch.enable_grad():
            grads = torch.autograd.grad(attention(**leaves), list(leaves.values()), grad_output)
        return {n: g * (1 + 1e-9 * (n == "q")) for n, g in zip(leaves, grads, strict=True)}

    assert [r.name for r in dc.check(attention, data, backward).failures] == ["q"]


def test_nan_where_the_gradient_is_a_number_is_wrong() -> None:
    x = torch.tensor([0.5, -1.5, 0.0, 2.0], dtype=torch.float64)

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"x": (grad_output * x.cumprod(0)).flip(0).cumsum(0).flip(0) / x}

    report = dc.check(lambda x: x.cumprod(0), {"x": x}, backward)
    assert report["x"].verdict == "wrong"


def attended(q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT + mask, -1)


def test_a_mask_of_minus_infinities_is_an_input_like_any_other_where_no_gradient_is_taken_in_it() -> None:
    data = {"q": torch.randn(2, 4, 3), "k": torch.randn(2, 4, 3), "mask": torch.full((4, 4), -torch.inf).triu(1)}
    assert check(attended, data, wrt=["q", "k"]).passed

    def wrong(grad_output: torch.Tensor, q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        p = torch.softmax(q @ k.mT, -1)
        return {"q": p * (grad_output - (grad_output * p).sum(-1, keepdim=True)) @ k}

    assert not check(attended, data, wrong, wrt=["q"]).passed
    with pytest.raises(InputError, match=r"mask is infinite at \[0, 1\].*a mask may be infinite where wrt="):
        check(attended, data)
