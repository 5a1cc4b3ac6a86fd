"""min, max, clamps and branches in formulas: each case decided by itself; proved where right, never where wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from derivcheck.proof import prover
from derivcheck.proof.expressions.atoms import Expression
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import free_in
from derivcheck.proof.normal_form.assumed import Assumed
from derivcheck.proof.normal_form.modes import CASES
from derivcheck.proof.normal_form.normal import new_context, of_term
from derivcheck.proof.numbers.comparison import NumbersAt
from derivcheck.proof.second_route import cases
from tests.proof.random_programs import apart, proof_of, sides

Backward = Callable[..., dict[str, Tensor]]
where = torch.where


def clamped(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(b, torch.maximum(a, x * x)) * x


def clamped_backward(grad_output: Tensor, x: Tensor, a: Tensor, b: Tensor, low: bool = True) -> dict[str, Tensor]:
    u = x * x
    inside = (u <= b) & (u >= a) if low else u <= b
    return {"x": grad_output * (torch.minimum(b, torch.maximum(a, u)) + where(inside, 2 * u, 0.0 * u))}


def huber(x: Tensor, t: Tensor) -> Tensor:
    d = (x - t).abs()
    return where(d < 1, 0.5 * d * d, d - 0.5).clamp(max=3.0)


def huber_backward(grad_output: Tensor, x: Tensor, t: Tensor, last: float = 3.5) -> dict[str, Tensor]:
    d = x - t
    return {"x": grad_output * (d.abs() < last) * d.clamp(-1, 1)}


def surrogate(r: Tensor, a: Tensor) -> Tensor:
    """The clipped objective of proximal policies."""
    return -torch.minimum(r * a, r.clamp(0.8, 1.2) * a)


def surrogate_backward(grad_output: Tensor, r: Tensor, a: Tensor, sign: float = 1.0) -> dict[str, Tensor]:
    out = ((a > 0) & (sign * (r - 1) > sign * 0.2)) | ((a < 0) & (r < 0.8))
    return {"r": -grad_output * where(out, 0.0 * a, a)}


def largest_backward(grad_output: Tensor, x: Tensor, first: int = 0) -> dict[str, Tensor]:
    a, b, c = x.unbind(-1)
    parts = [a > torch.maximum(b, c), b > torch.maximum(a, c), c > torch.maximum(a, b)]
    parts = parts[first:] + parts[:first]
    return {"x": grad_output[:, None] * torch.stack([p.to(x.dtype) for p in parts], -1)}


def projected(m: Tensor, f: Tensor, lim: Tensor) -> Tensor:
    """An entry of a camera's Jacobian, the place clamped to the field of view."""
    x, z = m[:, 0], m[:, 2]
    rz = 1 / z
    return -f * z * torch.minimum(lim, torch.maximum(-lim, x * rz)) * rz * rz


def projected_backward(grad_output: Tensor, m: Tensor, f: Tensor, lim: Tensor, factor: float = 1.0) -> dict[str, Tensor]:
    x, z = m[:, 0], m[:, 2]
    rz = 1 / z
    tx = z * torch.minimum(lim, torch.maximum(-lim, x * rz))
    inside = (x * rz <= lim) & (x * rz >= -lim)
    g = -f * grad_output
    of_z = where(inside, 0 * g, g * rz**3 * tx) * factor - 2 * g * tx * rz**3
    return {"m": torch.stack([where(inside, g * rz * rz, 0 * g), 0 * g, of_z], -1)}


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of two intervals."""
    i = (torch.minimum(a[:, 1], b[:, 1]) - torch.maximum(a[:, 0], b[:, 0])).clamp(min=0)
    return i / ((a[:, 1] - a[:, 0]) + (b[:, 1] - b[:, 0]) - i)


def overlap_backward(grad_output: Tensor, a: Tensor, b: Tensor, sign: float = 1.0) -> dict[str, Tensor]:
    low, high = torch.maximum(a[:, 0], b[:, 0]), torch.minimum(a[:, 1], b[:, 1])
    i = (high - low).clamp(min=0)
    u = (a[:, 1] - a[:, 0]) + (b[:, 1] - b[:, 0]) - i
    on = (high > low).to(a.dtype)
    by, of = (u + i) / u**2, i / u**2
    first = grad_output * (of - on * (a[:, 0] > b[:, 0]) * by)
    return {"a": torch.stack([first, sign * grad_output * (on * (a[:, 1] < b[:, 1]) * by - of)], -1)}


# name: forward, dimensions, backward, keywords that make it wrong
KINDS: dict[str, tuple[Callable[..., Tensor], dict[str, str], Backward, dict[str, Any]]] = {
    "a clamp inside a product": (clamped, {"x": "N", "a": "N", "b": "N"}, clamped_backward, {"low": False}),
    "a clamp of cases": (huber, {"x": "N", "t": "N"}, huber_backward, {"last": 3.0}),
    "a product that is compared": (surrogate, {"r": "N", "a": "N"}, surrogate_backward, {"sign": -1.0}),
    "the largest of three": (
        lambda x: torch.maximum(torch.maximum(x[:, 0], x[:, 1]), x[:, 2]),
        {"x": "N 3"},
        largest_backward,
        {"first": 1},
    ),
    "an extreme over three": (lambda x: x.amax(-1), {"x": "N 3"}, largest_backward, {"first": 1}),
    "a clamp before a quotient": (projected, {"m": "N 3", "f": "N", "lim": "N"}, projected_backward, {"factor": 0.0}),
    "extremes below the line": (overlap, {"a": "N 2", "b": "N 2"}, overlap_backward, {"sign": -1.0}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_case_is_decided_by_itself(kind: str) -> None:
    forward, dims, backward, wrong = KINDS[kind]
    proof = dc.prove(forward, backward, dims=dims, time_limit=15.0)
    assert proof.status == "proved", str(proof)
    assert dc.prove(forward, partial(backward, **wrong), dims=dims).status == "refuted"


CAPPED = "a[p,k] := [o[k]*exp(-s[p,k]) > 0.99]*0.99 + [o[k]*exp(-s[p,k]) <= 0.99]*o[k]*exp(-s[p,k])\n"
BLEND = CAPPED + "T[p,k] := [k == 0] + [k >= 1]*T[p,k-1]*(1 - a[p,k-1])\nC[p] := sum(k: T[p,k]*a[p,k]*c[k])"
BEHIND = """A[p,k] := [k <= K-2]*(a[p,k+1]*c[k+1] + (1 - a[p,k+1])*A[p,k+1])
g[p,k] := T[p,k]*(c[k] - A[p,k])*grad_output[p]
s_bar[p,k] := -[o[k]*exp(-s[p,k]) < 0.99]*g[p,k]*o[k]*exp(-s[p,k])
o_bar[k] := sum(p: [o[k]*exp(-s[p,k]) < 0.99]*g[p,k]*exp(-s[p,k]))"""


def test_blending_with_a_cap() -> None:
    dims = {"o": "K", "s": "P K", "c": "K"}
    assert dc.prove(BLEND, BEHIND, dims=dims, wrt=["o", "s"], time_limit=15.0).status == "proved"
    uncapped = BEHIND.replace("[o[k]*exp(-s[p,k]) < 0.99]*g[p,k]*exp", "g[p,k]*exp")
    proof = dc.prove(BLEND, uncapped, dims=dims, wrt=["o", "s"])
    assert (proof["s"].status, proof["o"].status) == ("proved", "refuted")


def test_the_boundary_is_a_kink_of_the_forward_or_none() -> None:
    """Where the forward is smooth, a claim that is wrong at a single point is not proved."""
    forward = "y[n] := [x[n] > 1]*[y_[n] > x[n]]*x[n]*y_[n] + x[n]^2"
    dims = {"x": "N", "y_": "N"}
    right = "x_bar[n] := grad_output[n]*([x[n] > 1]*[y_[n] > x[n]]*y_[n] + 2*x[n])"
    assert dc.prove(forward, right, dims=dims, wrt=["x"]).status == "proved"
    assert dc.prove(forward, right.replace("x[n] > 1", "x[n] >= 1"), dims=dims, wrt=["x"]).status == "proved"
    hole = right.replace("2*x[n]", "2*x[n]*([x[n] > 3] + [x[n] < 3])")
    assert dc.prove(forward, hole, dims=dims, wrt=["x"]).status != "proved"


# -- what is assumed at one place says nothing about others ------------------------------
ELSEWHERE = (
    "h[n] := [x[n] > 0]*y[n]; out[n] := sum(m: h[m])*x[n]*y[n]",
    "x_bar[n] := grad_output[n]*y[n]*[x[n] > 0]*sum(m: y[m])",
)


def _proved_by_cases_alone(monkeypatch: pytest.MonkeyPatch, forward: str, claim: str) -> str:
    """The verdict where nothing but cases is tried, and no number is asked."""
    monkeypatch.setattr(prover, "STAGES", (("cases", CASES),))
    monkeypatch.setattr(prover, "LEMMA_STAGES", ())
    monkeypatch.setattr(NumbersAt, "suspicious", lambda self, c: False)
    monkeypatch.setattr(NumbersAt, "those_alike", lambda self, d, fitting: [])
    monkeypatch.setattr(NumbersAt, "ask", lambda self, claims, suspicious: None)
    return dc.prove(forward, claim, dims={"x": "N", "y": "N"}, wrt=["x"]).status


def test_a_comparison_at_one_place_is_none_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _proved_by_cases_alone(monkeypatch, *ELSEWHERE) == "undecided"
    right = ELSEWHERE[1].replace("[x[n] > 0]*sum(m: y[m])", "sum(m: [x[m] > 0]*y[m])")
    assert _proved_by_cases_alone(monkeypatch, ELSEWHERE[0], right) == "proved"


def test_without_a_place_of_its_own_a_case_would_deceive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard: were the case assumed of the definitions' own indices, the wrong claim would pass."""

    def loose(self: cases._Cases, difference: Expression) -> Expression:
        self.place = {i: i for i in free_in(difference)}
        return difference

    monkeypatch.setattr(cases._Cases, "fixed", loose)
    assert _proved_by_cases_alone(monkeypatch, *ELSEWHERE) == "proved"


# -- what follows from facts -------------------------------------------------------------
def _case(context: Context, *facts: tuple[str, bool]) -> Assumed | None:
    case: Assumed | None = Assumed()
    for text, holds in facts:
        assert case is not None
        case = case.plus(context, _expression(context, text), holds)
    return case


def _expression(context: Context, text: str) -> Expression:
    N = size("N")
    scope = TextScope({n: parse_input(n, "N") for n in "xyz"}, (Index("n", N),))
    return of_term(context, parse_term(text, scope))


@pytest.mark.parametrize(
    "facts",
    [
        (("x[n] - y[n]", True), ("y[n] - z[n]", True), ("x[n] - z[n]", False)),
        (("x[n] - 2", True), ("x[n] - 1", False)),
        (("x[n]^2 + 1", False),),
        (("x[n] - y[n]", False), ("y[n] - x[n]", False), ("2*x[n] - 2*y[n]", True)),
        (("exp(x[n])", False),),
    ],
)
def test_facts_that_contradict_each_other_are_no_case(facts: tuple[tuple[str, bool], ...]) -> None:
    context = new_context(CASES)
    *most, last = facts
    case = _case(context, *most)
    assert case is not None and case.plus(context, _expression(context, last[0]), last[1]) is None
    assert case.plus(context, _expression(context, last[0]), not last[1]) is not None


def test_products_of_facts_contradict_each_other() -> None:
    context = new_context(CASES)
    between = (("x[n]", True), ("1 - x[n]", True))
    case, other = _case(context, *between, ("x[n]^2 - 2", True)), _case(context, *between, ("x[n]^2 - 1/2", True))
    assert case is not None and case.contradicts(context)
    assert other is not None and not other.contradicts(context)


def test_random_programs_are_proved_only_where_numbers_agree() -> None:
    proved = refuted = 0
    for s in map(sides, range(60)):
        proof = proof_of(s)
        assert proof.status != "proved" or apart(s) < 1e-6, f"seed {s.seed}: {s.gradient}\n{s.claimed}"
        assert not (s.equal and proof.status == "refuted"), f"seed {s.seed}: {s.gradient}\n{s.claimed}"
        proved += proof.status == "proved" and s.equal
        refuted += proof.status == "refuted"
    assert proved > 15 and refuted > 10
