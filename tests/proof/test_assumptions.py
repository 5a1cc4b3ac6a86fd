"""What a backward assumes of the data beyond the forward: a scatter that does not accumulate is no adjoint of a gather."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc


def put(grad_output: Tensor, x: Tensor, t: Tensor, add: bool = False) -> dict[str, Tensor]:
    z = torch.zeros_like(x)
    if add:
        z[t] += grad_output
    else:
        z[t] = grad_output
    return {"x": z}


@pytest.mark.parametrize(
    "backward",
    [
        put,
        lambda grad_output, x, t: put(grad_output, x, t, add=True),  # reads, adds and writes back: no sum over ids that agree
        lambda grad_output, x, t: {"x": torch.zeros_like(x).scatter(0, t, grad_output)},
        lambda grad_output, x, t: {"x": torch.zeros_like(x).index_copy(0, t, grad_output)},
    ],
)
def test_a_backward_that_overwrites_where_ids_agree_is_not_proved(backward: Any) -> None:
    proof = dc.prove(lambda x, t: x[t], backward, dims={"x": "N", "t": "int<N: K"})
    assert proof.status == "undecided" and "no position is written to twice" in proof.explanation


def test_one_that_accumulates_is_proved() -> None:
    def backward(grad_output: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
        return {"x": torch.zeros_like(x).index_add(0, t, grad_output)}

    assert dc.prove(lambda x, t: x[t], backward, dims={"x": "N", "t": "int<N: K"}).status == "proved"


def test_places_that_differ_need_no_assumption() -> None:
    def backward(grad_output: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
        p = x.softmax(1)
        p[torch.arange(x.shape[0]), t] -= 1
        return {"x": p * grad_output / x.shape[0]}

    def by_one_hot(grad_output: Tensor, x: Tensor, t: Tensor) -> dict[str, Tensor]:
        return {"x": (x.softmax(1) - torch.zeros_like(x).scatter(1, t[:, None], 1.0)) * grad_output / x.shape[0]}

    for b in (backward, by_one_hot):
        proof = dc.prove(lambda x, t: F.cross_entropy(x, t), b, dims={"x": "N C", "t": "int<C: N"})
        assert proof.status == "proved" and not any("twice" in c for c in proof.conditions)


def test_what_a_sort_gives_is_written_once() -> None:
    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": torch.zeros_like(x).scatter(0, x.argsort(), grad_output)}

    proof = dc.prove(lambda x: x.sort()[0], backward, dims={"x": "N"})
    assert proof.status == "proved" and "no position is written to twice" in proof.conditions
