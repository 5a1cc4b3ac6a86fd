"""Backward scans of forward scans, by induction; kinks."""

import pytest

import derivcheck as dc

RNN = "h[t] := tanh(x[t] + [t >= 1]*u*h[t-1])"
THROUGH_TIME = """d[t] := (grad_output[t] + [t <= T - 2]*u*d[t+1])*(1 - h[t]^2)
x_bar[t] := d[t]
u_bar := sum(t: [t >= 1]*d[t]*h[t-1])"""


def test_backpropagation_through_time() -> None:
    proof = dc.prove(RNN, THROUGH_TIME, dims={"x": "T", "u": ""})
    assert proof.status == "proved", str(proof)
    assert "an invariant, by induction" in proof.rules


@pytest.mark.parametrize(
    ("old", "new"),
    [("[t >= 1]*d[t]*h[t-1]", "d[t]*h[t]"), ("(1 - h[t]^2)", "(1 - h[t])"), ("u*d[t+1]", "d[t+1]"), ("d[t+1])", "d[t+1])*2")],
)
def test_backpropagation_through_time_with_a_mistake(old: str, new: str) -> None:
    assert old in THROUGH_TIME
    assert dc.prove(RNN, THROUGH_TIME.replace(old, new), dims={"x": "T", "u": ""}).status == "refuted"


def test_kinks_decided_otherwise_are_a_condition() -> None:
    absolute = "y[n] := x[n]*([x[n] > 0] - [x[n] < 0])"
    exact = dc.prove(absolute, "x_bar[n] := grad_output[n]*([x[n] > 0] - [x[n] < 0])", dims={"x": "N"})
    assert exact.status == "proved" and not any("kink" in c for c in exact.conditions)
    other = dc.prove(absolute, "x_bar[n] := grad_output[n]*([x[n] >= 0] - [x[n] < 0])", dims={"x": "N"})
    assert other.status == "proved" and "x[n] ≠ 0 (a kink)" in other.conditions
    assert "away from kinks" in other.explanation


def test_a_product_over_all_others() -> None:
    proof = dc.prove("y := prod(n: x[n])", "x_bar[n] := grad_output*y/x[n]", dims={"x": "N"})
    assert proof.status == "proved" and "x[n] ≠ 0" in proof.conditions
