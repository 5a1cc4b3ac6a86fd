"""The small-size theorem: what it decides, what it must not be deceived by, and what a grid one point short would say."""

# ruff: noqa: E501  (a formula stays on its line)
from collections.abc import Callable
from typing import Any

import pytest

import derivcheck as dc
from derivcheck.notation.integers.polynomials import Index, i_poly, size
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from derivcheck.proof.expressions.polynomials import minus
from derivcheck.proof.normal_form.modes import AS_WRITTEN
from derivcheck.proof.normal_form.normal import new_context, of_term
from derivcheck.proof.second_route import small_sizes
from derivcheck.proof.second_route.small_sizes import Grid, agreement
from tests.proof.equality import equal_at_small_sizes, equal_by_second_route, surely_equal
from tests.proof.polynomial_sums import differs, pair
from tests.proof.random_terms import Pair

N = size("N")
INPUTS = {n: parse_input(n, t) for n, t in {"x": "N", "y": "N", "z": "N", "A": "N N", "B": "N M", "c": "", "w": "M"}.items()}
ROW = Index("r", N)


def term(text: str) -> Term:
    return parse_term(text, TextScope(INPUTS, (ROW,)))


def grid(left: str, right: str) -> Grid | None:
    context = new_context(AS_WRITTEN, top=(ROW,))
    return agreement(context, minus(of_term(context, term(left)), of_term(context, term(right))))


# What the normal form tells, too: the factors say which of two indices is which.
TOLD = [
    ("sum(i, j: [i >= j]*A[i,j]) + sum(i, j: [i < j]*A[i,j])", "sum(i, j: A[i,j])", "N = 2"),
    ("sum(i, j: [i > j]*A[i,j]) + sum(i, j: [j > i]*A[i,j])", "sum(i, j: [i != j]*A[i,j])", "N = 2"),
    ("sum(i, j: [i >= j]*tanh(x[i] - y[j])) + sum(i, j: [i < j]*tanh(x[i] - y[j]))", "sum(i, j: tanh(x[i] - y[j]))", "N = 2"),
]

# What the normal form leaves open, or not, and at which sizes the theorem looks.
DECIDED = [
    *TOLD,
    ("sum(i < N, j < N: [i >= j])", "N*(N + 1)/2", "N = 1…3"),
    ("sum(i < N: i^2)", "N*(N - 1)*(2*N - 1)/6", "N = 1…4"),
    ("sum(i < N: [i <= r]*x[r])", "(r + 1)*x[r]", "N = 1…2"),
    ("sum(i: x[i])^2", "sum(i: x[i]^2) + 2*sum(i, j: [i < j]*x[i]*x[j])", "N = 2"),
    ("sum(i: x[i])^3", "sum(i: x[i]^3) + 3*sum(i, j: [i != j]*x[i]^2*x[j]) + 6*sum(i, j, k: [i < j]*[j < k]*x[i]*x[j]*x[k])", "N = 3"),
    ("sum(i, j: [i > j]*(x[i]*y[j] - x[j]*y[i])^2)", "sum(i: x[i]^2)*sum(i: y[i]^2) - sum(i: x[i]*y[i])^2", "N = 2"),
    ("sum(i, j: [i > j]*(x[i] - x[j])^2)/N^2", "sum(i: x[i]^2)/N - (sum(i: x[i])/N)^2", "N = 2…3"),
    ("sum(i, j, m: [i >= j]*B[i,m]*B[j,m])*2 - sum(i, m: B[i,m]^2)", "sum(m: sum(i: B[i,m])^2)", "M = 1, N = 2"),
]  # fmt: skip

# True at small sizes and false beyond, or false from the start.
NEAR = [
    ("sum(i, j: [i < j]*x[i]*y[j])", "0"),  # true at N = 1
    ("sum(i, j, k: [i < j]*[j < k]*x[i]*y[j]*z[k])", "0"),  # true for N ≤ 2
    ("sum(i, j: [i != j]*[i != r]*[j != r]*A[i,j])", "0"),  # true for N ≤ 2
    ("c*(N - 1)*(N - 2)*(N - 3)", "0"),
    ("sum(i < N, j < N: [i >= j]) + (N - 1)*(N - 2)*(N - 3)*(N - 4)", "N*(N + 1)/2"),
    ("sum(i < N, j < N, k < N: [i < j]*[j < k])", "0"),
    ("sum(i < N: i)", "N*(N - 1)/2 + (N - 1)*(N - 2)*c"),
    ("sum(i: x[i])^2", "sum(i: x[i]^2) + sum(i, j: [i < j]*x[i]*x[j])"),
    ("sum(i < N: [i < r]*x[r])", "(r + 1)*x[r]"),
    ("sum(i < N - 1: c)", "sum(i < N: c)"),
    ("sum(i: x[i]/x[i+1]*[i < N - 1])", "sum(i: [i < N - 1])"),
    ("sum(i, j: x[i]/x[j])", "sum(i, j: x[i]^2/x[j]^2)"),  # true at N = 1
    ("N^(1/2)*c", "c"),
    ("sum(m: w[m])", "c"),
]


@pytest.mark.parametrize(("left", "right", "where"), DECIDED)
def test_decided(left: str, right: str, where: str) -> None:
    assert surely_equal(term(left), term(right), None, 10) is ((left, right, where) in TOLD)
    assert equal_at_small_sizes(term(left), term(right), None, 10)
    found = grid(left, right)
    assert found is not None and found.holds and str(found) == where


@pytest.mark.parametrize(("left", "right"), NEAR)
def test_near_misses_are_not_proved(left: str, right: str) -> None:
    assert not equal_at_small_sizes(term(left), term(right), None, 10)


@pytest.mark.parametrize("chunk", range(2))
def test_what_it_proves_holds_exactly_at_larger_sizes(chunk: int) -> None:
    pairs = [p for p in map(pair, range(200 * chunk, 200 * (chunk + 1))) if p.left is not p.right]
    proved = [p for p in pairs if equal_at_small_sizes(p.left, p.right, None, 10)]
    wrong = [p for p in proved if differs(p)]
    assert not wrong, "\n".join(f"seed {p.seed}: {p.left}  |  {p.right}" for p in wrong)
    assert sum(p.equal for p in proved) >= 0.9 * sum(p.equal for p in pairs) > 20
    assert sum(not p.equal for p in pairs) > 50


def test_where_a_side_is_not_defined_nothing_differs() -> None:
    """y[r]/r² is not defined at r = 0, and both sides are 0 elsewhere."""
    r, k = ref("y", ROW), Index("k", N)
    nothing = summation([k], mul(*(bracket(how, i_poly(k) - i_poly(ROW)) for how in ("!=", "=="))))
    assert not differs(Pair(mul(r, nothing), mul(r, nothing, power(size_of(i_poly(ROW)), -2)), True, 0))
    assert differs(Pair(r, mul(r, power(size_of(i_poly(ROW)), -2)), False, 0))


@pytest.mark.parametrize("bound", ["_degree", "_in_entries"])
def test_a_grid_one_point_short_would_prove_false_things(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Callable[..., int] = getattr(small_sizes._Sum, bound)

    def short(self: Any, *args: Any) -> int:
        return max(right(self, *args) - 1, 0)

    monkeypatch.setattr(small_sizes._Sum, bound, short)
    assert any(equal_at_small_sizes(p.left, p.right) and differs(p) for p in map(pair, range(60)) if p.left is not p.right)


def test_it_ends_where_there_is_too_much_to_expand() -> None:
    many = "sum(i: x[i])^6*sum(i, j: [i >= j]*x[i]*y[j])^2"
    found = grid(many, "0")
    assert found is not None and found.holds is None and str(found) == "N = 10"
    assert not equal_at_small_sizes(term(many), term("c"))


PAIRS = "y := c*sum(i, j: [i <= j]*x[i]*x[j])"


def test_a_proof_names_the_theorem_and_its_grid() -> None:
    """Σ_{i≤j} x_i x_j = ((Σ x)² + Σ x²)/2."""
    right = "c_bar := grad_output*(sum(i: x[i])^2 + sum(i: x[i]^2))/2"
    proof = dc.prove(PAIRS, right, dims={"x": "N", "c": ""})
    assert proof.status == "proved", str(proof)
    assert proof["c"].detail == "by exact agreement at N = 2"
    assert "small-size theorem: exact agreement at N = 2 decides" in proof.rules
    assert "small-size theorem: exact agreement at N = 2 decides" in proof.to_latex()
    wrong = f"{right} + sum(i, j, k: [i < j]*[j < k]*x[i]*x[j]*x[k])"  # right for N ≤ 2
    assert dc.prove(PAIRS, wrong, dims={"x": "N", "c": ""}).status == "refuted"


def test_what_was_too_much_to_expand_is_said() -> None:
    sums = "*".join("sum(i, j: [i >= j]*x[i]*x[j])" for _ in range(6))
    other = sums.replace("sum(i, j: [i >= j]*x[i]*x[j])", "(sum(i: x[i])^2 + sum(i: x[i]^2))/2", 1)
    proof = dc.prove(f"y := c*{sums}", f"c_bar := grad_output*{other}", dims={"x": "N", "c": ""})
    assert proof.status == "undecided"
    assert "the small-size theorem would take N = 12: too many steps" in proof.explanation


def test_sums_over_several_sizes_are_taken_together() -> None:
    """Five bound indices of three sizes, in another order on each side."""
    sizes = [size(n) for n in "KNMKN"]
    i, j = ([Index(f"{n}{k}", p) for k, p in enumerate(order)] for n, order in (("i", sizes), ("j", sizes[::-1])))
    back = j[::-1]

    def summand(at: list[Index], denominator: Term) -> Term:
        return mul(ref("T", *at), power(denominator, -1))

    def element(at: list[Index]) -> Term:
        return ref("U", at[0], at[1])

    less, more = ([add(element(at), number(c)) for at in (i, back)] for c in (-1, 1))
    left = sub(summation(i, summand(i, less[0])), summation(j, summand(back, more[1])))
    right = summation(i, mul(number(2), summand(i, sub(power(element(i), 2), number(1)))))
    assert not surely_equal(left, right)
    assert equal_by_second_route(left, right)
    assert not equal_by_second_route(left, mul(number(2), right))
