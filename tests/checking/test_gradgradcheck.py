"""``gradgradcheck``: torch's signature, the gradient's own gradient against the derived one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

import derivcheck as dc


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "layer": (lambda x, w: torch.tanh(x @ w).pow(2).mean(), (tensor(4, 5), tensor(5, 3))),
    "norm": (lambda x, w: F.layer_norm(x, x.shape[-1:], w), (tensor(3, 7), tensor(7))),
    "tuple": (lambda x: (x.sin(), x.argmax(), x.exp().sum()), (tensor(6),)),
    "linear": (lambda x, i: 3 * x[i], (tensor(5), torch.tensor([1, 1, 4]))),
    "one input of two": (lambda x, y: x * y.sin(), (tensor(3), tensor(3).detach())),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_twice(name: str) -> None:
    f, inputs = RIGHT[name]
    assert dc.gradgradcheck(f, inputs) and torch.autograd.gradgradcheck(f, inputs)


def cube(backward: Callable[..., Tensor], wrap: Any = staticmethod) -> Callable[..., Tensor]:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x, 3 * x * x)
            return x**3

    Cube.backward = wrap(backward)  # type: ignore[method-assign, assignment]
    return Cube.apply


def own(ctx: Any, g: Tensor) -> Tensor:
    return g * 3 * ctx.saved_tensors[0] ** 2


def saved(ctx: Any, g: Tensor) -> Tensor:
    return g * ctx.saved_tensors[1]  # computed in forward: a constant to the second derivative


def test_a_function_of_ones_own() -> None:
    x = tensor(4)
    assert dc.gradgradcheck(cube(own), x) and dc.gradcheck(cube(saved), x), "the first order holds in both"
    with pytest.raises(dc.GradientMismatch, match=r"x \(double backward\)"):
        dc.gradgradcheck(cube(saved), x)
    assert dc.gradgradcheck(cube(saved), x, raise_exception=False) is False


def test_a_function_within_other_code() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        return cube(saved)(x * y).sum()

    assert dc.gradcheck(f, (tensor(4), tensor(4, seed=1)))
    with pytest.raises(dc.GradientMismatch):
        dc.gradgradcheck(f, (tensor(4), tensor(4, seed=1)))


def test_a_backward_that_cannot_be_differentiated() -> None:
    f = cube(own, lambda b: staticmethod(once_differentiable(b)))
    assert dc.gradcheck(f, tensor(4))
    with pytest.raises(dc.GradientMismatch, match="autograd cannot differentiate this backward again"):
        dc.gradgradcheck(f, tensor(4))


def test_the_upstream_gradient_that_is_given() -> None:
    assert dc.gradgradcheck(lambda x: (x.sin(), x.exp()), tensor(3), [tensor(3, seed=2), tensor(3, seed=3)])
    assert dc.gradgradcheck(torch.sin, tensor(3), tensor(3, seed=2))


def test_what_cannot_be_derived_is_compared_with_differences() -> None:
    def f(x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x)

    x = tensor(3, 3)
    with pytest.warns(UserWarning, match="second derivatives were not derived"):
        assert dc.gradgradcheck(f, x)
    with pytest.raises(dc.UnsupportedOperation):
        dc.gradgradcheck(lambda x: f(x) * cube(saved)(x[0]), x)
    with pytest.raises(dc.UnsupportedOperation):
        dc.gradgradcheck(f, x, strict=True)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="gradgradcheck expects at least one input tensor to require gradient"):
        dc.gradgradcheck(torch.sin, torch.ones(3))
    with pytest.raises(dc.InputError, match="reverse over reverse"):
        dc.gradgradcheck(torch.sin, tensor(3), check_fwd_over_rev=True)
