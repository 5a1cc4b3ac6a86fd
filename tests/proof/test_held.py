"""Tensors that forward and backward hold themselves: equal names are equal tensors, and their numbers count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import derivcheck as dc

T = torch.tensor
ONE, OTHER = T([1.0, 2.0, 3.0]), T([1.0, 2.0, 5.0])
SAME = ONE.clone()
FIRST, SECOND = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
LARGE = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
LARGER = 2 * LARGE


def times(c: Any) -> Callable[..., Any]:
    return lambda x: x * c


def back(c: Any) -> Callable[..., Any]:
    return lambda grad_output, x: {"x": grad_output * c}


def layer(linear: Any) -> Callable[..., Any]:
    return lambda x: linear(x)


def back_of(linear: Any) -> Callable[..., Any]:
    return lambda grad_output, x: {"x": grad_output @ linear.weight}


def swapped(grad_output: Any, x: Any) -> dict[str, Any]:
    """A local name of the backward's that is the forward's name for a tensor."""
    c = grad_output * 2
    return {"x": c * SAME / 2}


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (times(ONE), back(ONE)),
        (times(ONE), back(SAME)),
        (times(ONE), lambda grad_output, x: {"x": grad_output * SAME}),
        (times(ONE), lambda grad_output, x: {"x": grad_output * T([1.0, 2.0, 3.0])}),
        (times(T([2.0, 2.0, 2.0])), lambda grad_output, x: {"x": 2 * grad_output}),
        (lambda x: x * T([0.1, 0.2, 0.3]), lambda grad_output, x: {"x": grad_output * T([0.1, 0.2, 0.3])}),
        (lambda x: x @ torch.diag(ONE), lambda grad_output, x: {"x": grad_output * ONE}),
        (layer(FIRST), back_of(FIRST)),
        (times(ONE), swapped),
    ],
)
def test_equal_numbers_are_proved(forward: Any, backward: Any) -> None:
    proof = dc.prove(forward, backward, dims={"x": "N 3"})
    assert proof.status == "proved", str(proof)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (times(ONE), back(OTHER)),  # both are called c
        (times(ONE), lambda grad_output, x: {"x": grad_output * OTHER}),
        (lambda x: x * T([1.0, 2.0, 3.0]), lambda grad_output, x: {"x": grad_output * T([1.0, 2.0, 4.0])}),
        (layer(FIRST), back_of(SECOND)),  # both are called linear
        (lambda x: x[:, [1, 2, 0]], lambda grad_output, x: {"x": grad_output[:, [1, 2, 0]]}),
        (lambda x: x * ONE + OTHER, lambda grad_output, x: {"x": grad_output * OTHER}),
    ],
)
def test_other_numbers_are_refuted(forward: Any, backward: Any) -> None:
    proof = dc.prove(forward, backward, dims={"x": "N 3"})
    assert proof.status == "refuted", str(proof)


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (lambda x: x[:, [1, 2, 0]], lambda grad_output, x: {"x": grad_output[:, [2, 0, 1]]}),
        (lambda x: x.masked_fill(T([True, False, True]), 0.0), lambda grad_output, x: {"x": grad_output * T([0.0, 1.0, 0.0])}),
    ],
)
def test_what_is_right_for_these_numbers_is_not_refuted_at_others(forward: Any, backward: Any) -> None:
    assert dc.prove(forward, backward, dims={"x": "N 3"}).status in ("proved", "undecided")


def test_a_large_tensor_is_known_by_its_name_alone() -> None:
    f = times(LARGE)
    assert dc.prove(f, back(LARGE.clone()), dims={"x": "30 20"}).status == "proved"
    proof = dc.prove(f, lambda grad_output, x: {"x": grad_output * LARGE * 2}, dims={"x": "30 20"})
    assert proof.status == "undecided" and "the example has other numbers in c than the code holds" in str(proof)
    with pytest.raises(dc.InputError, match=r"the backward holds c, a tensor of shape \(30, 20\) that the forward does not"):
        dc.prove(f, back(LARGER), dims={"x": "30 20"})


def test_a_derivation_as_a_backward_brings_its_own_tensors() -> None:
    def gradient(c: Any) -> Callable[..., Any]:
        def f(grad_output: Any) -> Any:
            x_bar = grad_output * c
            return x_bar

        return f

    for c, status in ((SAME, "proved"), (OTHER, "refuted")):
        backward = dc.derive(gradient(c), dims={"grad_output": "N 3"})
        assert dc.prove(times(ONE), backward, dims={"x": "N 3"}).status == status
