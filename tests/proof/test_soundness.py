"""What is said to be proved is so in the whole domain that is printed; what is right is not refuted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc

where = torch.where
Backward = Callable[..., dict[str, Tensor]]


def status(forward: Any, backward: Any, **how: Any) -> str:
    """The verdict; its text can be printed."""
    proof = dc.prove(forward, backward, **how)
    shown = str(proof) if proof.status != "refuted" else "refuted"  # its diagnosis takes long
    assert shown and not re.search(r"[#~@]|\bz_\d", " ".join(proof.conditions)), proof.conditions
    return proof.status


# -- kinks ---------------------------------------------------------------------------
def above(f: Callable[[Tensor], Tensor], strict: bool) -> Callable[[Tensor], Tensor]:
    return lambda x: where(f(x) > 0 if strict else f(x) >= 0, x * x, 0.0 * x)


def slope(f: Callable[[Tensor], Tensor], strict: bool) -> Backward:
    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * where(f(x) > 0 if strict else f(x) >= 0, 2 * x, 0.0 * x)}

    return backward


@pytest.mark.parametrize(
    "side",
    [
        lambda x: x - x[7],  # at element 7
        lambda x: x[0] - x,
        lambda x: x - x.flip(0),  # at the middle place
        lambda x: x - x.mean(),  # at size 1
        lambda x: x - x.sum(),
        lambda x: (x.shape[0] - 20) * x,  # at size 20
        lambda x: torch.arange(x.shape[0], dtype=x.dtype) * x,  # at place 0
        lambda x: 2 * x - (x + x),  # everywhere
        lambda x: x * x - x * x[3],
        lambda x: x.exp() - x[2].exp(),
    ],
)
def test_a_comparison_whose_sides_are_the_same_somewhere_is_no_kink_there(side: Any) -> None:
    assert status(above(side, True), slope(side, True), dims={"x": "N"}) == "proved"
    assert status(above(side, True), slope(side, False), dims={"x": "N"}) != "proved"


@pytest.mark.parametrize(
    "side",
    [
        lambda x: x - 1,
        lambda x: x + x.flip(0),
        lambda x: x - x[7] + 1,
        lambda x: x + x.sum(),
        lambda x: x.exp() - 2,
        lambda x: x.tanh(),
    ],
)
def test_one_whose_sides_are_the_same_nowhere_is_a_kink(side: Any) -> None:
    proof = dc.prove(above(side, True), slope(side, False), dims={"x": "N"})
    assert proof.status == "proved" and any("≠ 0 (a kink)" in c for c in proof.conditions)


@pytest.mark.parametrize("masked", ["([x[n] > 0] + [x[n] < 0])", "([x[n] > 1] + [x[n] < 1])"])
def test_where_the_forward_compares_nothing_there_is_no_kink(masked: str) -> None:
    """The claim is wrong at a single point, at which data often lies."""
    claim = f"x_bar[n] := grad_output[n]*(2*x[n] + 1)*{masked}"
    assert status("y[n] := x[n]^2 + x[n]", claim, dims={"x": "N"}) == "undecided"
    assert status("y[n] := [x[n] > 0]*x[n]", f"x_bar[n] := grad_output[n]*[x[n] > 0]*{masked}", dims={"x": "N"}) != "refuted"


PAIRS = "L := sum(i, j: w[i,j]*[x[i] > x[j]]*(x[i] - x[j]))"
AT = {"x": "N", "w": "N N"}


def test_pairs_of_equal_index_are_told_apart_from_other_ties() -> None:
    for tie in (">=", ">"):
        claim = f"x_bar[i] := grad_output*(sum(j: w[i,j]*[x[i] {tie} x[j]]) - sum(j: w[j,i]*[x[j] {tie} x[i]]))"
        proof = dc.prove(PAIRS, claim, dims=AT, wrt=["x"])
        assert proof.status == "proved"
    one = "x_bar[i] := grad_output*(sum(j: w[i,j]*[x[i] >= x[j]]) - sum(j: w[j,i]*[x[j] > x[i]]))"
    assert status(PAIRS, one, dims=AT, wrt=["x"]) == "refuted"
    late = one.replace("[x[i] >= x[j]]", "([j < 9]*[x[i] > x[j]] + [j >= 9]*[x[i] >= x[j]])")
    assert status(PAIRS, late, dims=AT, wrt=["x"]) == "refuted"


def test_the_kink_of_pairs_is_told_once_in_the_users_names() -> None:
    claim = "x_bar[i] := grad_output*(sum(j: w[i,j]*[x[i] >= x[j]]) - sum(j: w[j,i]*[x[j] >= x[i]]))"
    kinks = [c for c in dc.prove(PAIRS, claim, dims=AT, wrt=["x"]).conditions if "kink" in c]
    assert len(kinks) == 1 and re.fullmatch(r"x\[(\w+)\] - x\[(\w+)\] ≠ 0 unless \1 = \2 \(a kink\)", kinks[0])


def test_names_of_one_meaning_are_no_kink() -> None:
    forward = "a[n] := 2*x[n]; b[n] := x[n] + x[n]; y[n] := [a[n] - b[n] > 0]*x[n]"
    assert status(forward, "x_bar[n] := [a[n] - b[n] >= 0]*grad_output[n]", dims={"x": "N"}) == "refuted"


def test_an_element_against_a_gathered_one_is_no_kink_where_they_are_one() -> None:
    def side(x: Tensor, ids: Tensor, strict: bool) -> Tensor:
        return where(x > x[ids] if strict else x >= x[ids], 1.0, 0.0 * x)

    def forward(x: Tensor, ids: Tensor) -> Tensor:
        return side(x, ids, True) * x

    def backward(grad_output: Tensor, x: Tensor, ids: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * side(x, ids, False)}

    assert status(forward, backward, dims={"x": "N", "ids": "int<N: N"}) == "refuted"


@pytest.mark.parametrize("constant", [1, -3])
def test_a_mask_of_numbers_may_be_what_the_code_compares_with(constant: int) -> None:
    def backward(grad_output: Tensor, x: Tensor, m: Tensor) -> dict[str, Tensor]:
        return {"x": where(x * (m - constant) >= 0, grad_output, 0.0)}

    def forward(x: Tensor, m: Tensor) -> Tensor:
        return where(x * (m - constant) > 0, x, 0.0 * x)

    assert status(forward, backward, dims={"x": "N", "m": "N"}, wrt=["x"]) != "proved"


def test_a_right_subgradient_is_not_refuted_at_an_accidental_tie() -> None:
    forward = "L := sum(i, j: [x[i] - x[j] + 1 > 0]*(x[i] - x[j] + 1))"
    claim = "x_bar[i] := grad_output*(sum(j: [x[i] - x[j] + 1 >= 0]) - sum(j: [x[j] - x[i] + 1 >= 0]))"
    assert status(forward, claim, dims={"x": "N"}) == "proved"


# -- numbers -------------------------------------------------------------------------
def test_numbers_are_asked_at_the_smallest_sizes_that_are_admitted() -> None:
    proof = dc.prove(lambda x: x * x[7].detach(), lambda grad_output, x: {"x": 2 * grad_output * x[7]}, dims={"x": "N"})
    assert proof.status == "refuted" and proof.counterexample is not None and proof.counterexample.sizes == {"N": 8}
    proof = dc.prove("y[n] := w[29]*x[n]", "x_bar[n] := 2*grad_output[n]*w[29]", dims={"x": "N", "w": "M"}, wrt=["x"])
    assert proof.status == "refuted" and proof.counterexample is not None and proof.counterexample.sizes == {"N": 1, "M": 30}


def test_numbers_go_past_the_constants_of_the_code() -> None:
    text = "x_bar[n] := 2*x[n]*grad_output[n] + [n >= 40]*x[n]"
    assert status("y[n] := x[n]^2", text, dims={"x": "N"}) == "refuted"


def test_an_audit_that_can_ask_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivcheck.proof.numbers.at_zeros.assignments", lambda program: iter(()))
    proof = dc.prove(lambda x: torch.relu(x), lambda grad_output, x: {"x": grad_output * (x >= 0)}, dims={"x": "N"})
    assert proof.status == "undecided" and "numbers could be asked nowhere" in proof.explanation


# -- what is not defined -----------------------------------------------------------------
NOTHING: list[tuple[str, Callable[[Tensor], Tensor], str, str]] = [
    ("0 log x", lambda x: 0 * x.log(), "x[n] > 0", "undecided"),
    ("root less root", lambda x: x.sqrt() - x.sqrt(), "x[n] ≥ 0", "undecided"),
    ("log less log", lambda x: x.log() - x.log(), "x[n] > 0", "undecided"),
    ("0 x^x", lambda x: 0 * x**x, "x[n] > 0", "undecided"),
    ("0 acosh", lambda x: 0 * x.acosh(), "x[n] ≥ 1", "undecided"),
    ("0 atanh", lambda x: 0 * x.atanh(), "x[n] in (-1, 1)", "undecided"),
    ("0/x", lambda x: torch.zeros_like(x) / x, "x[n] ≠ 0", "proved"),
    ("x/x - 1", lambda x: x / x - 1, "x[n] ≠ 0", "proved"),
    ("0 tan", lambda x: 0 * x.tan(), "cos(x[n]) ≠ 0", "proved"),
    ("0 mod", lambda x: 0 * torch.remainder(x, x - 1), "x[n] - 1 ≠ 0", "proved"),
    ("0 lgamma", lambda x: 0 * x.lgamma(), "x[n] is no whole number below 1", "proved"),
]


@pytest.mark.parametrize(("name", "nothing", "condition", "verdict"), NOTHING, ids=[n[0] for n in NOTHING])
def test_what_is_dropped_leaves_its_condition(name: str, nothing: Any, condition: str, verdict: str) -> None:
    """In whole regions the claim is no number: undecided.  At single points: proved, under a condition."""
    proof = dc.prove(lambda x: x * x, lambda grad_output, x: {"x": grad_output * (2 * x + nothing(x))}, dims={"x": "N"})
    assert proof.status == verdict and condition in proof.conditions, (proof.status, proof.conditions)


@pytest.mark.parametrize(
    ("nothing", "condition"),
    [
        ("0*log(w[n])", "w[n] > 0"),
        ("(x[n] - x[n])/w[n]", "w[n] ≠ 0"),
        ("0/(x[n] - w[n])", "x[n] - w[n] ≠ 0"),
        ("x[n]^w[n]*x[n]^(-w[n]) - 1", "x[n] > 0"),
        ("w[n]^(1/2)*w[n]^(1/2) - w[n]", "w[n] ≥ 0"),
        ("sum(k: 0*log(x[k]))", "x[k] > 0"),
        ("0/x[7]", "N >= 8"),
    ],
)
def test_text_that_drops_something_leaves_its_condition(nothing: str, condition: str) -> None:
    text = f"x_bar[n] := grad_output[n]*(2*x[n] + {nothing})"
    proof = dc.prove("y[n] := x[n]^2 + 0*w[n]", text, dims={"x": "N", "w": "N"}, wrt=["x"])
    assert condition in proof.conditions


@pytest.mark.parametrize("nothing", ["(inf - x[n]) - (inf - x[n])", "0*inf", "inf*x[n] - inf*x[n]", "(inf - inf)*x[n]"])
def test_infinities_do_not_cancel(nothing: str) -> None:
    assert status("y[n] := x[n]^2", f"x_bar[n] := grad_output[n]*(2*x[n] + {nothing})", dims={"x": "N"}) != "proved"


def test_the_domain_of_the_forward_is_assumed_and_said() -> None:
    proof = dc.prove(lambda x: x * x + 0 * x.log(), lambda grad_output, x: {"x": grad_output * 2 * x}, dims={"x": "N"})
    assert proof.status == "proved" and "x[n] > 0" in proof.conditions


# -- real numbers ------------------------------------------------------------------------
def test_logarithms_of_a_square_and_of_a_quotient() -> None:
    def by_square(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * ((x * x).log() + 2)}

    assert status(lambda x: 2 * x * x.log(), by_square, dims={"x": "N"}) == "proved"

    def entropy(p: Tensor, t: Tensor) -> Tensor:
        return -(t * p.log() + (1 - t) * (1 - p).log())

    def backward(grad_output: Tensor, p: Tensor, t: Tensor) -> dict[str, Tensor]:
        return {"p": grad_output * (p - t) / (p * (1 - p)), "t": -grad_output * torch.log(p / (1 - p))}

    assert status(entropy, backward, dims={"p": "N", "t": "N"}) == "proved"

    def divergence(p: Tensor, q: Tensor) -> Tensor:
        return (p * (p.log() - q.log())).sum()

    def by_quotient(grad_output: Tensor, p: Tensor, q: Tensor) -> dict[str, Tensor]:
        return {"p": grad_output * (torch.log(p / q) + 1), "q": -grad_output * p / q}

    assert status(divergence, by_quotient, dims={"p": "N", "q": "N"}) == "proved"


def test_a_logarithm_that_a_mask_leaves_out_tells_nothing() -> None:
    forward = "y[n] := [n >= 1]*log(x[n]) + x[n]^2"
    claim = "x_bar[n] := grad_output[n]*([n >= 1]/x[n] + 2*(x[n]^2)^(1/2))"  # √x² is x at n ≥ 1 alone
    assert status(forward, claim, dims={"x": "N"}) == "refuted"


def test_a_step_that_is_computed_and_left_out_tells_nothing() -> None:
    """log x stands in a step of its own, of which the output takes what a mask or an element leaves."""

    def by_root(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output / (x * x).sqrt()}  # 1/x where x > 0 alone

    assert status(lambda x: where(x > 0, x.log(), 0.0 * x), by_root, dims={"x": "N"}) == "refuted"
    assert status(lambda x: x.log(), by_root, dims={"x": "N"}) == "proved"
    forward = "z[n] := log(x[n]); y[n] := z[0]*x[n]"
    claim = "x_bar[n] := grad_output[n]*log(x[0]) + [n == 0]*sum(k: grad_output[k]*x[k])/x[0] + (x[n]^2)^(1/2) - x[n]"
    assert status(forward, claim, dims={"x": "N"}) == "refuted"


@pytest.mark.parametrize("f", ["log", "log1p", "acosh", "atanh", "asin", "sqrt", "lgamma"])
def test_outside_its_domain_a_function_refutes_nothing(f: str) -> None:
    """The gradient of f(x) twice over, one half written so that the rules do not see it."""

    def forward(x: Tensor) -> Tensor:
        applied: Tensor = getattr(torch, f)(x)
        return x * applied

    d = dc.derive(forward, dims={"x": "N"})
    proof = dc.prove(forward, f"x_bar[n] := ({d.gradients['x'].definition.term})*cos(sin(x[n]) - sin(x[n]))", dims={"x": "N"})
    assert proof.status == "proved"
    hidden = f"x_bar[n] := ({d.gradients['x'].definition.term})*(sin(2*x[n]) - 2*sin(x[n])*cos(x[n]) + 1)"
    assert dc.prove(forward, hidden, dims={"x": "N"}).status == "undecided"


def test_what_is_right_where_the_forward_is_defined_is_not_refuted_elsewhere() -> None:
    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": grad_output * (x.sin() ** 2 + x.cos() ** 2) / (x * x).sqrt()}

    assert status(lambda x: x.log(), backward, dims={"x": "N"}) == "undecided"


# -- reads beyond an end --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("y[n] := x[n+1]*x[n]", "x[n + 1] reads beyond the end of x"),
        ("y[n] := [n >= 1]*x[n-2]", "x[n - 2] reads before the start of x"),
        ("y[n] := sum(k < 3: x[n+k])", "beyond the end"),
        ("T[k] := x[k] + T[k-1]", "T[k - 1] reads before the start of T"),
        ("y[n] := sum(k: [k <= n + 1]*x[k]*x[n+1])", "beyond the end"),
    ],
)
def test_a_read_of_what_is_not_there_is_refused(text: str, found: str) -> None:
    with pytest.raises(dc.NotationError, match=re.escape(found)):
        dc.derive(text, dims={"x": "N"})


@pytest.mark.parametrize(
    "text",
    [
        "y[n] := [n + 1 < N]*x[n+1]*x[n]",
        "y[n < N-1] := x[n+1]*x[n]",
        "y[n] := [n >= 2]*(x[n] + x[n-2])",
        "T[k] := x[k] + [k >= 2]*T[k-2]",
        "y[n] := x[n//2]*x[N-1-n]",
        "y[n] := sum(k < N//2: x[k])*x[n]",
    ],
)
def test_a_read_that_is_inside_is_taken_without_a_condition(text: str) -> None:
    assert dc.derive(text, dims={"x": "N"}).program.conditions == ()


def test_a_read_at_a_fixed_place_requires_a_size_everywhere() -> None:
    d = dc.derive("y[n] := x[7]*x[n]", dims={"x": "N"})
    assert d.program.conditions == ("N >= 8",)
    with pytest.raises(ValueError, match="8"):
        d.compile()(x=torch.ones(5), grad_output=torch.ones(5))
    claim = "x_bar[n] := x[7]*grad_output[n] + [n == 7]*sum(k: x[k]*grad_output[k])"
    assert "N >= 8" in dc.prove("y[n] := x[7]*x[n]", claim, dims={"x": "N"}).conditions


def test_a_whole_division_requires_that_it_is_not_by_zero() -> None:
    d = dc.derive("y[n] := x[n]*(n//(N - 1))", dims={"x": "N"})
    assert d.program.conditions == ("N - 1 != 0",)
    assert dc.derive("y[n] := x[n]*(n//N + n//2)", dims={"x": "N"}).program.conditions == ()


def test_a_place_that_is_computed_and_not_there_refutes_nothing() -> None:
    """floor(u) + 1 is a column wherever torch does not raise."""

    def forward(img: Tensor, u: Tensor) -> Tensor:
        lo = u.floor().long()
        return img[:, lo] * (1 - (u - lo)) + img[:, lo + 1] * (u - lo)

    def backward(grad_output: Tensor, img: Tensor, u: Tensor) -> dict[str, Tensor]:
        lo = u.floor().long()
        below = torch.zeros_like(img).index_add(1, lo, grad_output * (1 - (u - lo)))
        return {"img": below.index_add(1, lo + 1, grad_output * (u - lo))}

    assert status(forward, backward, dims={"img": "M K", "u": "N"}, wrt=["img"]) != "refuted"


def test_a_backward_that_reads_beyond_an_end_is_refused() -> None:
    with pytest.raises(dc.NotationError, match="beyond the end"):
        dc.prove("y[n] := x[n]^2", "x_bar[n] := 2*x[n]*grad_output[n+1]", dims={"x": "N"})


# -- constants and recurrences ----------------------------------------------------------------
@pytest.mark.parametrize(("written", "meant"), [("0.3333333333333333", "1/3"), ("0.14285714285714285", "1/7")])
def test_a_fraction_written_as_a_float_is_read_as_it_is_meant(written: str, meant: str) -> None:
    claim = f"x_bar[n] := x[n]*{written}*grad_output[n]"
    proof = dc.prove(f"y[n] := x[n]^2*{meant}/2", claim, dims={"x": "N"})
    assert proof.status == "proved" and f"{written} is read as {meant}" in proof.conditions
    assert status("y[n] := x[n]^2/2", claim, dims={"x": "N"}) == "refuted"


def test_a_recurrence_two_steps_back_is_decided() -> None:
    forward = "T[k] := a[k] + [k >= 2]*T[k-2]*b[k]; L := sum(k: T[k])"
    claim = "T_bar[k] := grad_output + [k+2 < K]*T_bar[k+2]*b[k+2]; a_bar[k] := T_bar[k]; b_bar[k] := [k >= 2]*T_bar[k]*T[k-2]"
    assert status(forward, claim, dims={"a": "K", "b": "K"}) == "proved"
    assert status(forward, claim.replace("T_bar[k]*T[k-2]", "T_bar[k]*T[k-1]"), dims={"a": "K", "b": "K"}) == "refuted"


@pytest.mark.parametrize("first", [1, 2, 5])
def test_a_product_of_no_factors_is_one(first: int) -> None:
    """Of zeros it is 0, but at sizes that leave none: there the gradient is another."""

    def forward(x: Tensor) -> Tensor:
        return torch.prod(0 * x[first:]) * x[0]

    assert status(forward, lambda grad_output, x: {"x": 0 * x * grad_output}, dims={"x": "N"}) == "refuted"

    def right(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"x": where(torch.arange(x.shape[0]) == 0, grad_output * torch.prod(0 * x[first:]), 0 * x)}

    assert status(forward, right, dims={"x": "N"}) == "proved"
