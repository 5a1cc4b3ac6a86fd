"""Whole numbers made of floats: positions below, weights beside them; and what a step's own number is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import derivcheck as dc

Tensors = dict[str, torch.Tensor]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def between(img: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Linear interpolation at positions from -1 to 1."""
    u = (x + 1) * 0.5 * (img.shape[1] - 1)
    lo = u.floor().long().clamp(0, img.shape[1] - 2)
    w = u - lo
    return img[:, lo] * (1 - w) + img[:, lo + 1] * w


def between_backward(grad_output: Any, img: Any, x: Any, turned: bool = False, step: int = 1, factor: float = 1.0) -> Tensors:
    width = img.shape[1]
    u = (x + 1) * 0.5 * (width - 1)
    lo = u.floor().long().clamp(0, width - 2)
    w = 1 - u + lo if turned else u - lo
    below = torch.zeros_like(img).index_add(1, lo, grad_output * (1 - w))
    above = below.index_add(1, (lo + step).clamp(max=width - 1), grad_output * w)
    slope = (grad_output * (img[:, lo + 1] - img[:, lo])).sum(0)
    return {"img": above, "x": factor * slope * 0.5 * (width - 1)}


GRIDS = {"between": torch.linspace(-0.93, 0.9, 5), "at whole numbers": torch.tensor([-1, -2 / 3, -1 / 3, 0, 1 / 3])}


@pytest.mark.parametrize("where", GRIDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_interpolation(where: str, dtype: torch.dtype) -> None:
    data = {"img": normal(3, 7), "x": GRIDS[where]}
    assert dc.check(between, data, between_backward, dtype=dtype, where="M > 1").passed  # a single place has no neighbour
    assert dc.check(between, data, dtype=dtype).passed


@pytest.mark.parametrize("how", [{"turned": True}, {"step": 2}, {"factor": 1.0001}])
def test_wrong_interpolation(how: dict[str, Any]) -> None:
    data = {"img": normal(3, 7), "x": GRIDS["between"]}
    report = dc.check(between, data, lambda **given: between_backward(**given, **how))
    assert [r.verdict for r in report if not r.passed] == ["wrong"]


def table(t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A hash grid's look-up."""
    return t[((x * 8).floor().long() * 31) % t.shape[0]] * x[:, None]


def test_a_table_looked_up_by_hash() -> None:
    data = {"t": normal(7, 2), "x": torch.rand(5, generator=torch.Generator().manual_seed(0))}

    def backward(grad_output: torch.Tensor, t: torch.Tensor, x: torch.Tensor, prime: int = 31) -> Tensors:
        at = ((x * 8).floor().long() * prime) % t.shape[0]
        return {"t": torch.zeros_like(t).index_add(0, at, grad_output * x[:, None]), "x": (grad_output * t[at]).sum(1)}

    assert dc.check(table, data, backward).passed
    assert not dc.check(table, data, lambda **given: backward(**given, prime=29)).passed


RIGHT: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "fraction": (lambda x: x - x.floor(), lambda g, x: g),
    "rounded times itself": (lambda x: x.round() * x, lambda g, x: g * x.round()),
    "square of the fraction": (lambda x: (x.floor().long() - x) ** 2, lambda g, x: 2 * g * (x - x.floor())),
    "sign": (lambda x: x * x.sign(), lambda g, x: g * x.sign()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_number_at_a_jump(name: str) -> None:
    """Nine times the gradient at whole numbers is wrong, and no conditioning."""
    f, right = RIGHT[name]
    data = {"x": torch.tensor([1.5, 2.0, -2.3, 7.1, -4.0])}
    assert dc.check(lambda x: f(x), data, lambda grad_output, x: {"x": right(grad_output, x)}).passed

    def nine(grad_output: torch.Tensor, x: torch.Tensor) -> Tensors:
        return {"x": right(grad_output, x) * torch.where(x == x.floor(), 9.0, 1.0) + (x == 2.0) * 1e-9}

    assert dc.check(lambda x: f(x), data, nine)["x"].verdict == "wrong"
