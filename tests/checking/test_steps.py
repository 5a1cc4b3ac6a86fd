"""Forwards that find their result in steps which rounding decides: differences of the forward judge, and see what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.check import check_at

T = torch.Tensor


def halved(x: T) -> T:
    """The projection onto the simplex, found by halving a bracket."""
    low = x.max(-1, keepdim=True)[0] - 1
    width = 1 - 1 / x.shape[-1]
    for _ in range(45):
        width = width / 2
        middle = low + width
        above = (x - middle).clamp(min=0).sum(-1, keepdim=True) >= 1
        low = torch.where(above, middle, low)
    return (x - low).clamp(min=0)


def bisection(slope: Callable[[T, T], T]) -> Any:
    """The projection; ``slope(g, p)`` is its backward."""

    class Projection(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: T) -> T:
            p = halved(x)
            ctx.save_for_backward(p)
            return p

        @staticmethod
        def backward(ctx: Any, g: T) -> T:
            return slope(g, *ctx.saved_tensors)

    return Projection


def projected(g: T, p: T) -> T:
    kept = (p > 0).to(g.dtype)
    return kept * (g - (g * kept).sum(-1, keepdim=True) / kept.sum(-1, keepdim=True))


WRONG: dict[str, Callable[[T, T], T]] = {
    "a factor": lambda g, p: 1.0001 * projected(g, p),
    "the mean of all": lambda g, p: (p > 0) * (g - g.mean(-1, keepdim=True) / 2),
    "no mean": lambda g, p: (p > 0) * g,
    "the other sign": lambda g, p: -projected(g, p),
    "one element": lambda g, p: projected(g, p) + torch.eye(*g.shape, dtype=g.dtype) * 1e-3,
}


def data() -> T:
    return torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_a_bisection_with_the_gradient_of_what_it_finds_holds() -> None:
    report = check_at(bisection(projected), {"x": data()})
    assert report.passed and "judged by differences of the forward" in report.limits[0]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_gradient_of_a_bisection_does_not_hold(name: str) -> None:
    assert not check_at(bisection(WRONG[name]), {"x": data()}).passed


def test_differences_that_see_through_what_is_detached_judge_nothing() -> None:
    def scaled(x: T) -> T:
        return halved(x) * x.detach().exp().sum()

    def through(grad_output: T, x: T) -> dict[str, T]:
        p, scale = halved(x), x.exp().sum()
        return {"x": projected(grad_output * scale, p) + (grad_output * p).sum() * x.exp()}

    assert not check_at(scaled, {"x": data()}, through).passed


def resampled(image: T, shift: T) -> T:
    """Linear interpolation of rows at places that are pixels but for rounding."""
    at = (torch.arange(image.shape[1], dtype=image.dtype) * 0.1 + shift) / 0.1
    low = at.floor()
    w = at - low
    k = low.long().clamp(0, image.shape[1] - 2)
    return image[:, k] * (1 - w) + image[:, k + 1] * w


def test_an_image_read_at_its_pixels_holds_whichever_pixels_rounding_says() -> None:
    x = {"image": data(), "shift": torch.zeros((), dtype=torch.float64)}
    assert dc.check(resampled, x, wrt=["image"]).passed

    def backward(grad_output: T, image: T, shift: T, factor: float = 1.0) -> dict[str, T]:
        leaf = image.detach().requires_grad_()
        return {"image": factor * torch.autograd.grad(resampled(leaf, shift), leaf, grad_output)[0]}

    assert dc.check(resampled, x, backward, wrt=["image"]).passed
    assert not dc.check(resampled, x, lambda **t: backward(**t, factor=1.001), wrt=["image"]).passed


@pytest.mark.parametrize("seed", [0, 29, 39])
def test_the_direction_knows_what_larger_numbers_lose_on_the_way(seed: int) -> None:
    """A square of a difference is small, and has the rounding of the million that cancelled."""
    generator = torch.Generator().manual_seed(seed)
    x = (1e-3 * torch.randn(6, 4, generator=generator)).double()
    report = dc.check(lambda x: ((x + 1e6) - 1e6) ** 2, {"x": x})
    assert report.passed, str(report)
    assert next(w for w in report["x"].witnesses if w.name == "direction").agrees
