"""Backward scans of forward scans, by induction; kinks."""

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.errors import InputError
from derivcheck.proof.numbers.comparison import NumbersAt

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


def composite(alpha: Tensor, color: Tensor) -> Tensor:
    through = torch.cumprod(1 - alpha, 0)
    T = torch.cat([torch.ones(1, dtype=alpha.dtype), through[:-1]])
    return ((alpha * T)[:, None] * color).sum(0)


def composite_backward(grad_output: Tensor, alpha: Tensor, color: Tensor) -> dict[str, Tensor]:
    through = torch.cumprod(1 - alpha, 0)
    T = torch.cat([torch.ones(1, dtype=alpha.dtype), through[:-1]])
    d = color @ grad_output
    seen = alpha * T * d
    after = seen.flip(0).cumsum(0).flip(0) - seen
    return {"alpha": T * d - after / (1 - alpha), "color": (alpha * T)[:, None] * grad_output}


def test_alpha_compositing_in_torch() -> None:
    proof = dc.prove(composite, composite_backward, dims={"alpha": "K", "color": "K C"}, time_limit=20)
    assert proof.status == "proved", str(proof)
    assert "1 - alpha[k] ≠ 0" in proof.conditions


def test_alpha_compositing_in_torch_with_the_own_place_counted_in() -> None:
    def wrong(grad_output: Tensor, alpha: Tensor, color: Tensor) -> dict[str, Tensor]:
        found = composite_backward(grad_output, alpha, color)
        return {"alpha": found["alpha"] - alpha, "color": found["color"]}

    assert dc.prove(composite, wrong, dims={"alpha": "K", "color": "K C"}).status == "refuted"


def test_an_invariant_that_divides_by_the_upstream_gradient_needs_no_condition() -> None:
    """Both sides are polynomials in it: what holds where it is not 0 holds everywhere."""
    forward = "T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k-1]); C := sum(k: a[k]*T[k]*c[k])"
    backward = "R[k] := [k <= K - 2]*(a[k+1]*c[k+1] + (1 - a[k+1])*R[k+1]); a_bar[k] := grad_output*T[k]*(c[k] - R[k])"
    assert dc.prove(forward, backward, dims={"a": "K", "c": "K"}).conditions == ("K ≥ 1",)


SCAN = "S[k] := x[k] + [k >= 1]*S[k-1]*d"
FORWARD_MODE = """Q[k] := [k >= 1]*(S[k-1] + d*Q[k-1])
A[k] := grad_output[k]*Q[k] + [k >= 1]*A[k-1]
d_bar := A[K-1]"""
DIMS = {"x": "K", "d": ""}
RIGHT = "A[k] := sum(j: [1 <= j]*[j <= k]*S_bar[j]*S[j-1]) - [k <= K - 2]*d*S_bar[k+1]*Q[k]"


def test_an_invariant_that_is_offered_proves_what_is_else_undecided() -> None:
    """Forward mode, which carries ∂S/∂d along, gives what the sweep gives: by parts, which no rule of the prover finds."""
    assert dc.prove(SCAN, FORWARD_MODE, dims=DIMS).status == "undecided"
    proof = dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant=RIGHT)
    assert proof.status == "proved", str(proof)
    assert "the invariant of A holds, by induction" in proof.explanation
    assert "The invariant of A holds, by induction." in proof.to_latex()
    assert not any("x[0]" in c for c in proof.conditions)
    cancelling = dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant=f"{RIGHT} + 0/(x[0] + 2)")
    assert cancelling.status == "proved" and "x[0] + 2 ≠ 0" in cancelling.conditions
    assert proof.to_dict()["invariants"] == [{"name": "A", "status": "holds", "counterexample": None}]


@pytest.mark.parametrize(
    ("invariant", "status", "where"),
    [
        ("A[k] := sum(j: [1 <= j]*[j <= k]*S_bar[j]*S[j-1])", "fails at step", "K = 3"),  # right where k = K - 1, and at k = 0
        (f"{RIGHT} + [k >= 2]*d", "fails at step", "K = 3"),
        ("A[k] := sum(j: [j <= k]*grad_output[j]*S[j])", "fails at base", "K = 1"),
        (f"{RIGHT} + d", "fails at base", "K = 1"),
        ("Q[k] := sum(j: [j < k]*S[j])", "fails at step", "K = 3"),
    ],
)
def test_a_wrong_invariant_is_said_to_fail_at_its_base_or_its_step(invariant: str, status: str, where: str) -> None:
    proof = dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant=invariant)
    assert proof.status == "undecided"
    (found,) = proof.invariants
    assert found.status == status and found.counterexample is not None and found.counterexample.exact
    place = "its base" if status == "fails at base" else "its step, from the invariant's own earlier elements"
    assert f"the invariant of {found.name} fails at {place}: {found.name}[" in proof.explanation
    assert f"the invariant gives {found.counterexample.claimed} at {where}" in proof.explanation


def test_a_wrong_invariant_does_not_make_a_wrong_claim_right() -> None:
    wrong = FORWARD_MODE.replace("A[K-1]", "2*A[K-1]")
    for invariant in (RIGHT, f"A[k] := {RIGHT.split(':=')[1]}/2", "A[k] := A[k]"):
        assert dc.prove(SCAN, wrong, dims=DIMS, invariant=invariant).status == "refuted"


def test_an_invariant_of_what_is_no_recurrence_is_refused() -> None:
    with pytest.raises(InputError, match="an invariant of 'x', which is not defined by a recurrence; the recurrences here"):
        dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant="x[k] := 1 + 0*d")
    with pytest.raises(InputError, match="an invariant of 'u', which neither side defines; they define x, d, "):
        dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant="u[k] := d")
    with pytest.raises(InputError, match=r"the invariant of A has dimensions \(\), expected \(K\)"):
        dc.prove(SCAN, FORWARD_MODE, dims=DIMS, invariant="A := d")


COLOURS = "T[p,k] := [k == 0] + [k >= 1]*T[p,k-1]*(1 - a[p,k-1])\nC[p,h] := sum(k: T[p,k]*a[p,k]*c[k,h])"
BEHIND = """A[p,k,h] := [k <= K-2]*(a[p,k+1]*c[k+1,h] + (1 - a[p,k+1])*A[p,k+1,h])
a_bar[p,k] := T[p,k]*sum(h: (c[k,h] - A[p,k,h])*grad_output[p,h])
c_bar[k,h] := sum(p: a[p,k]*T[p,k]*grad_output[p,h])"""
BEFORE = """S[p,k,h] := T[p,k]*a[p,k]*c[k,h] + [k >= 1]*S[p,k-1,h]
a_bar[p,k] := sum(h: (T[p,k]*c[k,h] - (C[p,h] - S[p,k,h])/(1 - a[p,k]))*grad_output[p,h])"""


@pytest.mark.parametrize("colours", ["H", "3"])
@pytest.mark.parametrize("backward", [BEHIND, BEFORE])
def test_blending_of_any_number_of_colours(colours: str, backward: str) -> None:
    proof = dc.prove(COLOURS, backward, dims={"a": "P K", "c": f"K {colours}"}, time_limit=15.0)
    assert proof.status == "proved", str(proof)


def test_blending_of_colours_one_by_one() -> None:
    behind = "".join(f"A{h}[p,k] := [k <= K-2]*(a[p,k+1]*c[k+1,{h}] + (1 - a[p,k+1])*A{h}[p,k+1])\n" for h in range(3))
    claim = behind + "a_bar[p,k] := T[p,k]*(" + " + ".join(f"(c[k,{h}] - A{h}[p,k])*grad_output[p,{h}]" for h in range(3)) + ")"
    dims = {"a": "P K", "c": "K 3"}
    assert dc.prove(COLOURS, claim, dims=dims, wrt=["a"], time_limit=15.0).status == "proved"
    other = claim.replace("- A1[p,k])", "- A2[p,k] + A1[p,k]*c[k,0])")
    assert dc.prove(COLOURS, other, dims=dims, wrt=["a"]).status == "refuted"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(1 - a[p,k+1])*A", "A"),
        ("a[p,k+1]*c[k+1,h]", "a[p,k]*c[k+1,h]"),
        ("c[k,h] - A", "c[k,h] + A"),
        ("k <= K-2", "k <= K-3"),
        ("a[p,k+1]*c[k+1,h]", "c[k+1,h]"),
    ],
)
def test_blending_of_colours_with_a_mistake(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    """Numbers refute it; where none is asked, induction does not prove it."""
    dims = {"a": "P K", "c": "K H"}
    wrong = BEHIND.replace(old, new)
    assert wrong != BEHIND and dc.prove(COLOURS, wrong, dims=dims)["a"].status == "refuted"
    monkeypatch.setattr(NumbersAt, "suspicious", lambda self, c: False)
    monkeypatch.setattr(NumbersAt, "ask", lambda self, claims, suspicious: None)
    assert dc.prove(COLOURS, wrong, dims=dims)["a"].status == "undecided"
