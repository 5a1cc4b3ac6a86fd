"""Inputs and outputs in lists, tuples, dicts and dataclasses."""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import derivcheck as dc
from derivcheck.errors import InputError

X = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Pair = collections.namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Batch:
    a: Tensor
    b: Tensor
    power: int = 2


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 3)

    def forward(self, d: dict[str, Tensor], scale: float = 2.0) -> Any:
        return self.inner(d["a"]) * d["b"].sum() * scale


FORWARDS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    "dict": (lambda d: d["a"] * d["b"], {"d": {"a": X, "b": X + 1}}, {"d_a", "d_b"}),
    "dataclass": (lambda m: (m.a * m.b) ** m.power, {"m": Batch(X, X + 1)}, {"m_a", "m_b"}),
    "namedtuple": (lambda p: p.a * p.b, {"p": Pair(X, X + 1)}, {"p_a", "p_b"}),
    "list": (lambda xs: torch.cat(xs).sin(), {"xs": [X, X[:2]]}, {"xs_0", "xs_1"}),
    "deep": (lambda t: t["q"][0] * t["q"][1]["w"], {"t": {"q": (X, {"w": X + 1}), "n": None}}, {"t_q_0", "t_q_1_w"}),
    "module": (Scaled(), {"d": {"a": X, "b": X[:, 0].clone()}, "scale": 3.0}, {"d_a", "d_b", "inner_weight", "inner_bias"}),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_tensors_inside_an_input_have_names_of_their_own(name: str) -> None:
    forward, inputs, names = FORWARDS[name]
    report = dc.check(forward, inputs)
    assert report.passed, str(report)
    assert {r.name for r in report} == names


def in_the_inputs_shape(grad_output: Tensor, d: dict[str, Tensor]) -> dict[str, Any]:
    return {"d": {"a": grad_output * d["b"], "b": grad_output * d["a"]}}


def by_each_name(grad_output: Tensor, d_a: Tensor, d_b: Tensor) -> dict[str, Tensor]:
    return {"d_a": grad_output * d_b, "d_b": grad_output * d_a}


@pytest.mark.parametrize("backward", [in_the_inputs_shape, by_each_name])
def test_a_backward_takes_them_as_the_forward_does_or_each_by_name(backward: Callable[..., Any]) -> None:
    forward, inputs, _ = FORWARDS["dict"]
    assert dc.check(forward, inputs, backward).passed

    def swapped(grad_output: Tensor, d: dict[str, Tensor]) -> dict[str, Any]:
        return {"d": {"a": grad_output * d["b"], "b": grad_output * d["b"]}}

    report = dc.check(forward, inputs, swapped)
    assert report["d_a"].passed and report["d_b"].verdict == "wrong"
    with pytest.raises(InputError, match="no reproducer can be written: d holds tensors inside"):
        report.reproducer()


def test_outputs_inside_one_another() -> None:
    report = dc.check(lambda a: {"y": [a.sin(), (a.cos(), None)], "b": Batch(a, 2 * a)}, {"a": X})
    assert report.passed and report["a"].passed, str(report)


@pytest.mark.parametrize(
    "forward, inputs, message",
    [
        (lambda d, d_a: d["a"] * d_a, {"d": {"a": X}, "d_a": X}, "two inputs are called 'd_a', one of them inside another"),
        (lambda d: d["a b"], {"d": {"a b": X}}, "a tensor inside an input would be called 'd_a b'; expected keys"),
    ],
)
def test_names_that_clash_or_are_none_are_refused(forward: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dc.check(forward, inputs)


def test_a_function_of_torchs_gets_no_gradient_for_what_stands_inside() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, d: Any) -> Any:
            return 2 * d["a"]

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
            return 2 * g

    with pytest.raises(InputError, match="d holds tensors inside, which torch's engine gives Double no gradient for"):
        dc.check(Double, {"d": {"a": X}})
