"""where= in a proof: nothing is claimed, or refuted, outside of what a layer is made for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.errors import InputError

TOTAL = "L := sum(n: x[n])"


def test_a_claim_that_is_right_at_the_sizes_asked_for_is_not_refuted() -> None:
    odd = "x_bar[n] := grad_output*(1 + N % 2)"
    assert dc.prove(TOTAL, odd, dims={"x": "N"}).status == "refuted"
    assert dc.prove(TOTAL, odd, dims={"x": "N"}, where="N % 2 == 0").status != "refuted"
    wrong = dc.prove(TOTAL, "x_bar[n] := grad_output*(N - 3)", dims={"x": "N"}, where="N >= 4")
    assert wrong.status == "refuted" and wrong.counterexample is not None and wrong.counterexample.sizes["N"] > 4
    right = dc.prove(TOTAL, "x_bar[n] := grad_output", dims={"x": "N"}, where="N % 2 == 0")
    assert right.status == "proved" and "N % 2 == 0" in right.conditions


def test_a_backward_that_branches_on_sizes_is_proved_where_it_is_asked_for() -> None:
    def forward(x: Tensor, s: Tensor) -> Any:
        return (x / s).sum()

    def backward(grad_output: Tensor, x: Tensor, s: Tensor) -> dict[str, Tensor]:
        wrong = 1 if x.shape[0] % 2 == 0 else 2
        return {"x": grad_output / s, "s": -wrong * grad_output * x / s**2}

    dims = {"x": "T", "s": "T"}
    assert dc.prove(forward, backward, dims=dims).status != "proved"
    proof = dc.prove(forward, backward, dims=dims, where="T % 2 == 0, s > 0")
    assert proof.status == "proved" and any("s[i_0] > 0" in c for c in proof.conditions)


def test_a_claim_is_not_refuted_at_values_outside() -> None:
    def same(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output}

    def twice(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": 2 * grad_output}

    dims = {"x": "N"}
    assert dc.prove(lambda x: torch.relu(x), same, dims=dims).status == "refuted"
    for inside in ("x > 0", "0 < x", "x > 0, x != 1", "1/x > 0"):
        assert dc.prove(lambda x: torch.relu(x), same, dims=dims, where=inside).status != "refuted", inside
        assert dc.prove(lambda x: torch.relu(x), twice, dims=dims, where=inside).status == "refuted", inside
    assert dc.prove(lambda x: torch.relu(x), same, dims=dims, where="x < 0").status != "proved"


@pytest.mark.parametrize("where", ["det(x) > 0", "x == 1", "x > y"])
def test_conditions_on_more_than_elements_are_refused(where: str) -> None:
    with pytest.raises(InputError, match="a proof takes inequalities between elements of one shape, or sizes"):
        dc.prove("L := sum(n: x[n])*sum(m, k: y[m,k])", "x_bar[n] := 0", dims={"x": "N", "y": "M K"}, where=where)
