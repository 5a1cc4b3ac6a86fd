"""Sampling at a grid: at a mirror and at a border the gradient is what torch makes of these kinks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

AT_KINKS = torch.tensor([-1, 1, 0, -1.25, 1.25, -3, 3, 0.5, -0.8, 0.8, -0.6, 5], dtype=torch.float64)  # of 4 and 5 pixels


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_at_kinks_the_gradient_is_torchs(padding: str, align_corners: bool) -> None:
    def f(x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return F.grid_sample(x, grid, padding_mode=padding, align_corners=align_corners)

    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    grid = torch.cartesian_prod(AT_KINKS, AT_KINKS).reshape(1, 12, 12, 2).requires_grad_()
    up = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    wanted = torch.autograd.grad(f(x, grid), (x, grid), up)
    d = dc.derive(f, dims={"x": "N C H W", "grid": "N P Q 2"})
    _, found = d.compile()(x=x.detach(), grid=grid.detach(), grad_output=up)
    torch.testing.assert_close((found["x"], found["grid"]), wanted, rtol=1e-12, atol=1e-12)


def test_mirrors_of_a_single_pixel_are_refused_where_the_size_is_a_symbol() -> None:
    def f(x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return F.grid_sample(x, grid, padding_mode="reflection", align_corners=True)

    d = dc.derive(f, dims={"x": "N C H W", "grid": "N P Q 2"})
    with pytest.raises(ValueError, match="derived for W >= 2; found W = 1"):
        d.compile()(x=torch.ones(1, 1, 3, 1), grid=torch.zeros(1, 2, 2, 2), grad_output=torch.ones(1, 1, 2, 2))
