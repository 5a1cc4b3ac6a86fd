"""What a Function's forward hands on to its backward."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.codegen.file.halves import halves
from derivcheck.codegen.file.load import load


def best(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q, k, v).amax(0)


def test_what_is_held_against_its_own_maximum_is_not_computed_again() -> None:
    """Computed in another way it has other last digits, and nothing would be equal to the maximum any more."""
    d = dc.derive(best, dims={"q": "T D", "k": "S D", "v": "S E"})
    text = halves(d.program, d.adjoint, d.wrt)
    (compared,) = re.findall(r"torch\.where\((\w+) == ", text.gradients)
    assert "P = torch.softmax" in text.gradients, "the probabilities are computed again"
    assert compared in text.saved and f"    {compared} = " not in text.gradients


def squares(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(F.linear(x, w), y)


def squares_beside(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The product is read by itself, too."""
    p = F.linear(x, w)
    return F.mse_loss(p, y) * p.exp().sum()


def shifted(x: torch.Tensor, w: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """What the backward reads twice is a definition, and stands inside another one."""
    left = torch.cumprod(x, 1)
    return (w.sum() * y.sum() * x * torch.cat((torch.ones_like(x[:, :1]), left[:, :-1]), 1)).sum(1)


HANDED: dict[str, tuple[Callable[..., torch.Tensor], bool]] = {
    "a difference": (squares, True),
    "read twice": (squares_beside, False),
    "within a gradient": (shifted, False),
}


@pytest.mark.parametrize("name", HANDED)
@pytest.mark.parametrize("sizes", [(4, 3, 2), (1, 1, 1), (5, 1, 3)])
def test_what_both_compute_is_handed_on(name: str, sizes: tuple[int, int, int]) -> None:
    """In the place of what it is made of; where that is read as well, it is that."""
    f, difference = HANDED[name]
    d = dc.derive(f, dims={"x": "N in", "w": "out in", "y": "N out"})
    text = halves(d.program, d.adjoint, d.wrt, lean=True)
    assert (text.saved == ("held",)) == difference
    assert "torch.where(" not in text.gradients
    torch.manual_seed(0)
    n, i, o = sizes
    xs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((n, i), (o, i), (n, o))]
    layer: Any = d.to_function()
    for wanted in (xs, xs[:1], xs[2:]):
        asked = [x if any(x is v for v in wanted) else x.detach() for x in xs]
        value, want = layer.apply(*asked), f(*xs)
        torch.testing.assert_close(value, want)
        up = torch.randn_like(want)
        for h, g in zip(torch.autograd.grad(value, wanted, up), torch.autograd.grad(want, wanted, up), strict=True):
            torch.testing.assert_close(h, g)


def test_a_gradient_that_is_another_ones_negative() -> None:
    d = dc.derive(squares, dims={"x": "N in", "w": "out in", "y": "N out"})
    assert re.search(r"^    y_bar = -\w+_bar\b", d.source(), re.MULTILINE)
    x, w, y = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 3), (2, 3), (4, 2)))
    run = dc.derive(squares, dims={"x": "N in", "w": "out in", "y": "N out"}, wrt=["y"]).compile()
    _, grads = run(x=x.detach(), w=w.detach(), y=y.detach(), grad_output=torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(grads["y"], torch.autograd.grad(3 * squares(x, w, y), y)[0])


@pytest.mark.parametrize("sizes", [(0, 0), (3, 0), (0, 2), (3, 4)])
def test_products_so_far_go_back_twice(sizes: tuple[int, int]) -> None:
    """What was kept for the backward is not written into, also where it holds nothing: torch counts it all the same."""
    x = torch.randn(sizes, dtype=torch.float64, requires_grad=True)
    value = dc.derive(lambda x: x.cumprod(-1), dims={"x": "N M"}).to_function().apply(x)
    wanted = torch.autograd.grad(x.cumprod(-1).sum(), x)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(value.sum(), x, retain_graph=True), wanted)


def test_a_negative_of_other_dimensions_is_no_gradient() -> None:
    """One number for all of a, its negative for all of b, which has a dimension more; of each there are two."""
    text = "L := s*t*(sum(n: a[n] + c[n]) - sum(n, m: b[n, m] + e[n, m]))"
    d = dc.derive(text, dims={"s": "", "t": "", "a": "N", "c": "N", "b": "N M", "e": "N M"})
    s, t = torch.tensor(2.0), torch.tensor(3.0)
    for run in (d.compile(), load(d.source())):
        _, grads = run(s=s, t=t, a=torch.ones(2), c=torch.ones(2), b=torch.ones(2, 3), e=torch.ones(2, 3))
        for name, shape, g in (("a", (2,), 6.0), ("c", (2,), 6.0), ("b", (2, 3), -6.0), ("e", (2, 3), -6.0)):
            torch.testing.assert_close(grads[name], torch.full(shape, g))
