"""Sizes that are equal in the example, or related by chance in the traces, are told apart."""

from __future__ import annotations

from typing import Any

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


@pytest.mark.parametrize("f", [lambda x, i, s: x.scatter_add(0, i, s), lambda x, i, s: x.scatter_reduce(0, i, s, "prod")])
def test_sizes_that_may_be_smaller_are_not_fixed_where_the_example_has_them_equal(f: Any) -> None:
    """An index of scatter is no larger than what it takes; in the example it is as large."""
    i = torch.tensor([[0, 1], [2, 0], [1, 1], [3, 2]])
    d = dc.derive(f, x=torch.rand(5, 2, dtype=torch.float64), i=i, s=torch.rand(4, 2, dtype=torch.float64))
    assert len({str(p) for n in ("x", "i", "s") for p in d.program.dims(n)}) == 6, str(d.program)
    for shape in ((7, 3), (9, 4)):
        x, s = torch.rand(*shape, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64)  # autograd takes no larger
        at = torch.randint(0, shape[0], (5, 2))
        leaves = x.clone().requires_grad_(), s.clone().requires_grad_()
        f(leaves[0], at, leaves[1]).sum().backward()
        value, grads = d.compile()(x=x, i=at, s=s, grad_output=torch.ones(*shape, dtype=torch.float64))
        torch.testing.assert_close(value, f(x, at, s))
        torch.testing.assert_close(grads["x"], leaves[0].grad)
        torch.testing.assert_close(grads["s"], leaves[1].grad)
