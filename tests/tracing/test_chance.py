"""Sizes that are equal in the example, or related by chance in the traces, are told apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import derivcheck as dc


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_of_a_square_image_holds_for_others(groups: int) -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(4, 8, 3, groups=groups).double()
    run = dc.derive(module, torch.randn(2, 4, 8, 8).double()).compile()
    x = torch.randn(3, 4, 5, 9).double().requires_grad_()
    out = module(x)
    up = torch.randn_like(out)
    value, grads = run(input=x.detach(), grad_output=up)
    torch.testing.assert_close(value.detach(), out.detach())
    for name, want in zip(("input", "weight", "bias"), torch.autograd.grad(out, [x, *module.parameters()], up), strict=True):
        torch.testing.assert_close(grads[name].detach(), want, rtol=1e-10, atol=1e-11)
