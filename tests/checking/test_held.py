"""What a function holds itself (a closure, a default, a module, a tensor made inside) is no input; it is checked as it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import derivcheck as dc

X = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SINGLE = torch.tensor([1.0, -2.0, 3.0])
DOUBLE = SINGLE.double()
ORDER, MASK = torch.tensor([0, 2, 1]), torch.tensor([True, False, True])
LINEAR, NORM = nn.Linear(3, 2), nn.LayerNorm(3)


@dataclass
class Holder:
    scale: torch.Tensor

    def method(self, x: Any) -> Any:
        return x * self.scale

    def __call__(self, x: Any) -> Any:
        return torch.sin(x) * self.scale


def default(x: Any, c: Any = SINGLE) -> Any:
    return x * c


def keyword_default(x: Any, *, c: Any = DOUBLE) -> Any:
    return x * c


def outer(c: Any) -> Callable[[Any], Any]:
    def inner(x: Any) -> Any:
        def innermost(y: Any) -> Any:
            return y * c

        return innermost(x) + c

    return inner


HOLDER, BAG = Holder(SINGLE), {"c": SINGLE, "more": [DOUBLE]}
HELD: dict[str, Callable[..., Any]] = {
    "a global of float32": lambda x: x * SINGLE,
    "a global of float64": lambda x: x * DOUBLE,
    "a number of float32": lambda x: x * SINGLE[0],
    "a closure": outer(SINGLE),
    "a default": default,
    "a keyword's default": keyword_default,
    "a partial": functools.partial(default, c=DOUBLE),
    "a bound method": HOLDER.method,
    "an object that is called": HOLDER,
    "an attribute": lambda x: x * HOLDER.scale,
    "an entry": lambda x: x * BAG["c"] + BAG["more"][0],
    "a module": lambda x: torch.tanh(LINEAR(x)),
    "a module's method": lambda x: NORM.forward(x),
    "a parameter": lambda x: x @ LINEAR.weight.T,
    "a tensor made inside": lambda x: x * torch.tensor([1.0, 2.0, 3.0]),
    "of the input's type": lambda x: x * torch.tensor([0.1, 0.2, 0.3], dtype=x.dtype),
    "a list of positions": lambda x: x[..., [0, 2, 1]] * 2,
    "positions": lambda x: x[:, ORDER],
    "a mask": lambda x: x.masked_fill(MASK, 0.5),
    "a matrix": lambda x: x @ torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "only positional": lambda x, /: x * SINGLE,
    "any keyword": lambda x, **other: x * SINGLE,
}


def by_autograd(f: Callable[..., Any], factor: float = 1.0) -> Callable[..., Any]:
    """A backward as a user writes one, over the same held tensors; right with factor 1."""

    def backward(grad_output: Any, **inputs: Any) -> dict[str, Any]:
        (x,) = inputs.values()
        leaf = x.detach().clone().requires_grad_()
        with torch.enable_grad():
            y = f(leaf)
        return dict.fromkeys(inputs, factor * torch.autograd.grad(y, leaf, grad_output)[0])

    return backward


@pytest.mark.parametrize("name", HELD)
def test_it_is_checked_as_any_other(name: str) -> None:
    f = HELD[name]
    report = dc.check(f, {"x": X})
    assert report.passed and [r.name for r in report] == ["x"], str(report)
    assert dc.check(f, {"x": X}, by_autograd(f)).passed
    assert dc.check(f, {"x": X}, by_autograd(f, 1.001))["x"].verdict == "wrong"


@pytest.mark.parametrize("name", ["a global of float64", "of the input's type", "a module", "a list of positions"])
def test_in_float32_too(name: str) -> None:
    f = HELD[name]
    assert dc.check(f, {"x": X}, dtype=torch.float32).passed
    assert not dc.check(f, {"x": X}, by_autograd(f, 1.001), dtype=torch.float32).passed


@pytest.mark.parametrize("name", ["a closure", "a module", "a default"])
def test_every_way_of_asking_takes_it(name: str) -> None:
    f = HELD[name]
    wrapped = lambda x: f(x)  # noqa: E731
    assert dc.check(wrapped, {"x": X}, reference=f).passed
    assert not dc.check(lambda x: f(x) * 1.001, {"x": X}, reference=f).passed
    dc.assert_gradients(f, {"x": X})
    assert dc.gradcheck(f, (X.clone().requires_grad_(),))
    with pytest.raises(dc.GradientMismatch):
        dc.assert_gradients(f, {"x": X}, by_autograd(f, 1.001))


def test_a_backward_is_not_called_with_what_it_did_not_ask_for() -> None:
    def every(grad_output: Any, **inputs: Any) -> dict[str, Any]:
        assert list(inputs) == ["x"]
        return {"x": grad_output * SINGLE}

    def asking(grad_output: Any, x: Any, SINGLE: Any) -> dict[str, Any]:
        return {"x": grad_output * SINGLE}

    assert dc.check(lambda x: x * SINGLE, {"x": X}, every).passed
    assert dc.check(lambda x: x * SINGLE, {"x": X}, asking).passed


def test_no_gradient_is_asked_in_what_is_held() -> None:
    notes = dc.check(lambda x: LINEAR(x), {"x": X}).notes
    assert "no gradient was asked in LINEAR_weight, LINEAR_bias: <lambda> holds them itself, and they are no inputs" in notes
    with pytest.raises(dc.InputError, match="wrt names 'LINEAR_weight', a tensor that <lambda> holds itself; make it an input"):
        dc.check(lambda x: LINEAR(x), {"x": X}, wrt=["LINEAR_weight"])


def test_names_of_two_tensors_do_not_meet_in_the_exact_witness() -> None:
    """An element of ``constant_1`` is not one of ``constant``: ``[1, 0]`` of one and ``[0]`` of the other were one symbol."""
    weight, bias = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    report = dc.check(functools.partial(F.linear, weight=weight, bias=bias), {"input": X})
    assert report.passed and "SymPy" in str(report)
