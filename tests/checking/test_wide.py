"""Code that casts or makes tensors of its own is checked in float64 all the same, and in float32 and bfloat16 as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import derivcheck as dc


class RMSNorm(nn.Module):
    """As large language models write it: the norm in float32, whatever comes in."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return normed.type_as(x) * self.weight


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_norm_that_computes_in_float32(dtype: torch.dtype) -> None:
    report = dc.check(RMSNorm(5), {"x": torch.randn(3, 5)}, dtype=dtype)
    assert report.passed, str(report)
    assert any("casts to float32 were taken as float64" in n for n in report.notes) == (dtype is torch.float64)


def rotate(x: Tensor) -> Tensor:
    angles = torch.outer(torch.arange(x.shape[0]).float(), 1 / 10000 ** (torch.arange(0, x.shape[1], 2) / x.shape[1]))
    a, b = x[:, ::2], x[:, 1::2]
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], -1)


def counted(x: Tensor, ids: Tensor) -> Tensor:
    total = torch.zeros(3, x.shape[1]).index_add(0, ids, x)
    return total / torch.zeros(3).index_add(0, ids, torch.ones(len(ids))).clamp(min=1)[:, None]


@pytest.mark.parametrize(
    ("f", "tensors"),
    [(rotate, {"x": torch.randn(3, 4)}), (counted, {"x": torch.randn(4, 2), "ids": torch.tensor([0, 2, 2, 0])})],
)
def test_tensors_that_the_code_makes_have_the_type_of_the_check(f: Any, tensors: dict[str, Tensor]) -> None:
    before = torch.get_default_dtype()
    report = dc.check(f, tensors)
    assert report.passed and report.dtype == "float64", str(report)
    assert torch.get_default_dtype() is before


def square(x: Tensor, factor: float = 2.0) -> Tensor:
    return (x.float() ** 2).to(x.dtype)


def test_a_backward_that_upcasts_is_no_mistake_and_a_wrong_one_is_still_wrong() -> None:
    def right(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": (grad_output.float() * 2 * x.to(torch.float32)).to(x.dtype)}

    def wrong(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": right(grad_output, x)["x"] * (1 + 1e-9)}

    assert dc.check(square, {"x": torch.randn(4)}, right).passed
    assert not dc.check(square, {"x": torch.randn(4)}, wrong).passed


class Upcasting(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.float().exp().type_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return (g.float() * x.float().exp()).type_as(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_an_autograd_function_that_upcasts(dtype: torch.dtype) -> None:
    report = dc.check(Upcasting, {"x": torch.randn(4, 3)}, dtype=dtype)
    assert report.passed, str(report)


def test_a_gradient_that_comes_back_narrower_is_said() -> None:
    report = dc.check(square, {"x": torch.randn(4)}, lambda grad_output, x: {"x": grad_output * 2 * x.float()})
    assert report.passed
    report = dc.check(square, {"x": torch.randn(4)}, lambda grad_output, x: {"x": (grad_output * 2 * x).float()})
    assert report["x"].verdict == "dtype" and "found float32, expected float64" in str(report)
