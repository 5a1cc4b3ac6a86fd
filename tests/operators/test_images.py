"""Images: at a mirror and at a border the gradient is torch's, and sizes that are symbols may be a single pixel."""

from __future__ import annotations

from collections.abc import Callable

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


Forward = Callable[[torch.Tensor], torch.Tensor]
POINTS = torch.tensor([[-1, 0.3], [2, -0.6], [0.1, 0.2]], dtype=torch.float64).reshape(1, 1, 3, 2)
SINGLE: dict[str, Forward] = {
    "reflection": lambda x: F.grid_sample(x, POINTS, padding_mode="reflection", align_corners=True),
    "bicubic reflection": lambda x: F.grid_sample(x, POINTS, mode="bicubic", padding_mode="reflection", align_corners=True),
    "bilinear": lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=True),
    "bicubic": lambda x: F.interpolate(x, scale_factor=0.5, mode="bicubic", align_corners=True),
    "affine": lambda x: x * F.affine_grid(x.sum() * torch.ones(1, 2, 3).to(x), list(x.shape), align_corners=True).sum(3),
}


@pytest.mark.parametrize("f", SINGLE.values(), ids=SINGLE)
def test_derived_for_many_pixels_it_holds_for_one(f: Forward) -> None:
    torch.manual_seed(0)
    d = dc.derive(f, x=torch.randn(1, 1, 6, 8, dtype=torch.float64))
    x = torch.randn(1, 1, 2, 5, dtype=torch.float64)
    for one in (x, x[..., 1:3], x[:, :, :1].repeat(1, 1, 3, 1), x[..., :1].repeat(1, 1, 1, 2), x[..., :1].repeat(1, 1, 3, 3)):
        leaf = one.clone().requires_grad_()
        value = f(leaf)
        up = torch.randn_like(value)
        found, grads = d.compile()(x=one, grad_output=up)
        torch.testing.assert_close((found, grads["x"]), (value, *torch.autograd.grad(value, leaf, up)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_sizes_that_a_scale_factor_leaves_as_they_are_are_left_out(mode: str) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=1.25, mode=mode)

    d = dc.derive(f, x=torch.randn(1, 1, 6, 8))
    assert "K >= 4" in str(d) and "P >= 4" in str(d)
    with pytest.raises(ValueError, match="found .* = 3"):
        d.compile()(x=torch.randn(1, 1, 3, 3), grad_output=torch.randn(1, 1, 3, 3))
    with pytest.raises(dc.UnsupportedOperation, match="a scale factor of 1.25 leaves 3 pixels as they are"):
        dc.derive(f, dims={"x": "N C 3 3"})
