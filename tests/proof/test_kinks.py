"""Kinks are left out of a proof, and said; masks are not kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc


def whole(grad_output: Tensor, x: Tensor, **rest: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output}


@pytest.mark.parametrize("mask", ["bool: N", "int<2: N", "N"])
def test_a_backward_that_ignores_a_mask_is_refuted(mask: str) -> None:
    def forward(x: Tensor, m: Tensor) -> Tensor:
        return torch.where(m != 0, x, 0.0)

    proof = dc.prove(forward, lambda grad_output, x, m: {"x": grad_output}, dims={"x": "N", "m": mask}, wrt=["x"])
    assert proof.status == "refuted"
    right = dc.prove(
        forward, lambda grad_output, x, m: {"x": torch.where(m == 0, 0.0, grad_output)}, dims={"x": "N", "m": mask}, wrt=["x"]
    )
    assert right.status == "proved" and not any("kink" in c for c in right.conditions)


@pytest.mark.parametrize("claim", ["grad_output[n]", "[m[n] >= 0]*grad_output[n]", "[m[n] != 0]*grad_output[n]"])
def test_a_mask_of_numbers_is_no_kink(claim: str) -> None:
    proof = dc.prove("y[n] := [m[n] > 0]*x[n]", f"x_bar[n] := {claim}", dims={"x": "N", "m": "N"}, wrt=["x"])
    assert proof.status == "refuted"


def test_an_equality_that_no_order_goes_with_is_no_kink() -> None:
    forward = "k := sum(n: [x[n] != 0]); y := sum(n: x[n])/k"
    proof = dc.prove(forward, "x_bar[n] := grad_output/size(n)", dims={"x": "N"})
    assert proof.status != "proved"


@pytest.mark.parametrize(
    ("f", "slope", "kinks"),
    [
        (F.relu, lambda x: (x >= 0).to(x.dtype), {"x[n] ≠ 0 (a kink)"}),
        (F.relu6, lambda x: ((x >= 0) & (x <= 6)).float(), {"x[n] ≠ 0 (a kink)", "x[n] - 6 ≠ 0 (a kink)"}),
        (F.hardtanh, lambda x: (x.abs() < 1).to(x.dtype), set()),
        (
            F.hardswish,
            lambda x: torch.where(x < -3, 0.0, torch.where(x <= 3, x / 3 + 0.5, 1.0)),
            {"x[n] + 3 ≠ 0 (a kink)", "x[n] - 3 ≠ 0 (a kink)"},
        ),
    ],
)
def test_another_subgradient_is_proved_away_from_the_kinks(f: Any, slope: Callable[[Tensor], Tensor], kinks: set[str]) -> None:
    proof = dc.prove(f, lambda grad_output, input: {"input": grad_output * slope(input)}, dims={"input": "N"})
    assert proof.status == "proved"
    assert {c.replace("input", "x") for c in proof.conditions if "kink" in c} == kinks


def test_a_mistake_far_from_zero_is_reached() -> None:
    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * torch.where(x < -3, 0.0, torch.where(x <= 3, x / 3 + 0.5, 1.1))}

    proof = dc.prove(lambda x: F.hardswish(x), backward, dims={"x": "N"})
    assert proof.status == "refuted" and proof.counterexample is not None
    (x,) = proof.counterexample.inputs["x"][list(proof.counterexample.index)]
    assert x > 3


@pytest.mark.parametrize(
    ("of", "bound"),
    [
        (lambda x, m: torch.relu(x).sum(), 0),
        (lambda x, m: x * m, 0),
        (lambda x, m: torch.floor(x), 0),
        (lambda x, m: x.amax() - x, 0),
        (lambda x, m: (x * x).sqrt() - x, 0),
        (lambda x, m: torch.sin(torch.relu(x)), 0),
        (lambda x, m: torch.nn.functional.pad(x, (1, 0))[1:] * m, 0),
    ],
)
def test_what_may_be_zero_in_a_whole_region_is_no_kink(of: Any, bound: float) -> None:
    def forward(x: Tensor, m: Tensor) -> Tensor:
        return torch.where(of(x, m) > bound, x, 0.0)

    def backward(grad_output: Tensor, x: Tensor, m: Tensor) -> dict[str, Tensor]:
        return {"x": torch.where(of(x, m) >= bound, grad_output, 0.0)}

    assert dc.prove(forward, backward, dims={"x": "N", "m": "N"}, wrt=["x"]).status == "refuted"


def test_a_mask_whose_gradient_is_claimed_too_is_no_kink_of_another() -> None:
    text = "x_bar[n] := [m[n] >= 0]*grad_output[n]; m_bar[n] := 0*m[n]*grad_output[n]"
    assert dc.prove("y[n] := [m[n] > 0]*x[n]", text, dims={"x": "N", "m": "N"})["x"].status != "proved"


def test_the_kink_of_a_layer_is_one() -> None:
    def forward(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.relu(x @ w + b)

    def backward(grad_output: Tensor, x: Tensor, w: Tensor, b: Tensor) -> dict[str, Tensor]:
        g = torch.where(x @ w + b >= 0, grad_output, 0.0)
        return {"x": g @ w.T, "w": x.T @ g, "b": g.sum(0)}

    proof = dc.prove(forward, backward, dims={"x": "N I", "w": "I O", "b": "O"})
    assert proof.status == "proved" and any("kink" in c for c in proof.conditions)


@pytest.mark.parametrize(
    "backward",
    [
        lambda grad_output, x: {"x": grad_output * (x > 0) / (x > 0).to(x.dtype)},
        lambda grad_output, x: {"x": torch.where(x > 0, grad_output, 0.0) * torch.sqrt(x) / torch.sqrt(x)},
    ],
)
def test_a_claim_that_is_not_defined_in_a_whole_region_is_not_proved(backward: Any) -> None:
    proof = dc.prove(lambda x: torch.relu(x), backward, dims={"x": "N"})
    assert proof.status == "undecided" and "the gradient alone is" in proof.explanation


def test_a_claim_that_is_defined_nowhere_is_not_proved() -> None:
    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        none = torch.log(-1 - x * x)
        return {"x": 2 * x * grad_output * torch.exp(none + torch.log(x * x + 2)) / torch.exp(none) / (x * x + 2)}

    proof = dc.prove(lambda x: x * x, backward, dims={"x": "N"})
    assert proof.status == "undecided" and "defined nowhere" in proof.explanation


def test_a_claim_that_is_undefined_at_single_points_is_proved() -> None:
    proof = dc.prove(lambda x: torch.relu(x), lambda grad_output, x: {"x": grad_output * torch.relu(x) / x}, dims={"x": "N"})
    assert proof.status == "proved" and "x[n] ≠ 0" in proof.conditions


@pytest.mark.parametrize(
    ("forward", "claim"),
    [
        ("y[n] := x[n]", "sum(k: grad_output[k]/[k == n])"),  # defined at N = 1 alone
        ("y[n] := [n >= 1]*x[n]", "grad_output[n]/[n >= 1]"),
        ("y[n] := [x[n] > 0]*x[n]", "grad_output[n]*[x[n] > 0]/[x[n] > 0]"),  # cancels as it is read
    ],
)
def test_a_claim_that_divides_by_a_bracket_is_not_proved(forward: str, claim: str) -> None:
    proof = dc.prove(forward, f"x_bar[n] := {claim}", dims={"x": "N"})
    assert proof.status != "proved"
