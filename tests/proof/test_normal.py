"""Identities that the normal form decides, and traps that it must not fall into."""

import pytest

from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.notation.terms.build import mul, ref
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from derivcheck.proof.expressions.context import OutOfTime
from derivcheck.proof.normal_form.normal import new_context, of_term
from tests.proof.equality import surely_equal

N = size("N")
INPUTS = {
    n: parse_input(n, t)
    for n, t in {
        "x": "N",
        "y": "N",
        "A": "N N",
        "B": "N M",
        "c": "",
        "ids": "int<M: N>",
        "z": "h*d",
        "w": "M",
        "u": "2*N",
        "v": "h",
    }.items()
}
ROW = Index("r", N)


def term(text: str) -> Term:
    return parse_term(text, TextScope(INPUTS, (ROW,)))


EQUAL = [
    ("sum(i: exp(x[i])/sum(j: exp(x[j])))", "1"),
    ("sum(i: sum(j: exp(A[i,j])/sum(k: exp(A[i,k])))*y[i])", "sum(i: y[i])"),
    ("log(sum(i: exp(x[i] - c))) + c", "log(sum(i: exp(x[i])))"),
    ("(c^2/N + 1)^(-1/2)", "N^(1/2)*(c^2 + N)^(-1/2)"),
    ("(c^2 + 1)^(1/2)", "(c^2 + 1)/(c^2 + 1)^(1/2)"),
    ("((c^2 + 1)^(-1/2))^2", "1/(1 + c^2)"),
    ("exp(sum(i: x[i]))", "prod(i: exp(x[i]))"),
    ("tanh(c)", "2*sigmoid(2*c) - 1"),
    ("1 - tanh(c)^2", "4/(exp(c) + exp(-c))^2"),
    ("silu(c)", "c/(1 + exp(-c))"),
    ("softplus(c) - softplus(-c)", "c"),
    ("sum(i: sigmoid(x[i])*(1 - sigmoid(x[i])))", "sum(i: sigmoid(x[i])*sigmoid(-x[i]))"),
    ("sum(i, j: A[i,j]*x[j]*y[i])", "sum(i: y[i]*sum(j: x[j]*A[i,j]))"),
    ("sum(i: x[i])^2", "sum(i, j: x[i]*x[j])"),
    ("sum(i: [i == r]*x[i])", "x[r]"),
    ("sum(m: [m == ids[r]]*w[m])", "w[ids[r]]"),
    ("sum(i: [i >= 1]*x[i]*y[i-1])", "sum(i < N - 1: x[i+1]*y[i])"),
    ("sum(i: x[N-1-i]*y[i])", "sum(i: x[i]*y[N-1-i])"),
    ("sum(i: [i <= r]*x[i]) + sum(i: [i > r]*x[i])", "sum(i: x[i])"),
    ("sum(i: [i <= r]*x[i])", "sum(i: [i < r]*x[i]) + x[r]"),
    ("sum(i: [i >= N-1]*x[i])", "x[N-1]"),
    ("sum(i < h, j < d: z[i*d+j]^2)", "sum(a: z[a]^2)"),
    ("[c > 0]*c - [c < 0]*c", "([c > 0] - [c < 0])*c"),
    ("exp([c > 0]*c)", "[c > 0]*exp(c) + [c <= 0]"),
    ("max(i: x[i])", "max(j < N: x[N-1-j])"),
    ("prod(i: exp(x[i])*y[i])", "exp(sum(i: x[i]))*prod(i: y[i])"),
    ("sin(-c) + sin(c)", "0"),
    ("cos(-c)", "cos(c)"),
    ("exp(3*log(x[r]^2 + 1)/2)", "(x[r]^2 + 1)^(3/2)"),
    ("8^(1/2)", "2*2^(1/2)"),
    ("sum(i, j: [i == j]*A[i,j])", "sum(i: A[i,i])"),
    ("1/(x[r]*y[r] + x[r]^2)", "1/(x[r]*(x[r] + y[r]))"),
    ("sum(k < 2*N - 1: u[k+1]*x[(k+1)//2])", "sum(k: [k >= 1]*u[k]*x[k//2])"),
    ("sum(k: u[k]*x[(2*N-1-k)//2])", "sum(k < 2*N: u[2*N-1-k]*x[k//2])"),
    ("sum(k < h*d: z[h*d-1-k]*v[(h*d-1-k)//d])", "sum(i, e < d: z[i*d+e]*v[i])"),
]
NOT_EQUAL = [
    ("(c^2)^(1/2)", "c"),
    ("(c^4)^(1/4)", "c"),
    ("log(c^2)", "2*log(c)"),
    ("sum(i: x[i])^2", "sum(i: x[i]^2)"),
    ("sum(i, j: A[i,j]*A[i,j])", "sum(i, j: A[i,j]*A[j,i])"),
    ("sum(i, j, k: A[i,j]*A[j,k]*A[k,i])", "sum(i, j, k: A[i,j]*A[j,k]*A[i,k])"),
    ("sum(i: [i <= r]*x[i])", "sum(i: [i < r]*x[i])"),
    ("sum(i: [i >= 1]*x[i]*y[i-1])", "sum(i: [i >= 1]*x[i-1]*y[i])"),
    ("[x[r]^2 > 0]", "1"),
    ("[c >= 0]", "[c > 0]"),
    ("[c*x[r] > 0]", "[c > 0]*[x[r] > 0]"),
    ("sum(i < N - 1: x[i])", "sum(i: x[i])"),
    ("sum(i: x[i])/N", "sum(i: x[i])"),
    ("w[ids[r]]", "w[0]"),
    ("sum(n: [ids[n] == ids[r]]*x[n])", "x[r]"),
    ("max(i: x[i])", "max(i: x[i])*2"),
    ("argmax(i: x[i])", "argmax(i: x[N-1-i])"),
    ("exp(c)", "exp(-c)"),
    ("tanh(c)", "c"),
    ("prod(i: 2*x[i])", "2*prod(i: x[i])"),
    ("sum(i < N - 1: [i >= N - 2]*c)", "c"),  # nothing at N = 1
    ("sum(k < 2*N - 1: u[k+1]*x[(k+1)//2])", "sum(k: u[k]*x[k//2])"),
    ("sum(k < 2*N - 1: u[k]*x[(k+1)//2])", "sum(k < 2*N - 1: u[k]*x[k//2])"),
    ("sum(k: u[k]*x[(2*N-1-k)//2])", "sum(k: u[k]*x[k//2])"),
    ("sum(k < 2*N - 1: u[k]*x[(2*N-2-k)//2])", "sum(k < 2*N - 1: u[2*N-2-k]*x[k//2 + 0*k])*2"),
    ("sum(k: u[k]*x[k//2]*x[(2*N-1-k)//2])", "sum(k: u[k]*x[k//2]^2)"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left: str, right: str) -> None:
    assert surely_equal(term(left), term(right), {"ids": size("M")}, 10)


@pytest.mark.parametrize(("left", "right"), NOT_EQUAL)
def test_not_equal(left: str, right: str) -> None:
    assert not surely_equal(term(left), term(right), {"ids": size("M")}, 10)


def _ring(step: int) -> Term:
    i = [Index(f"q{k}", N) for k in range(12)]
    return summation(i, mul(*(ref("A", i[k * step % 12], i[(k + 1) * step % 12]) for k in range(12))))


def _complete(order: list[int], both: bool) -> Term:
    i = [Index(f"q{k}", N) for k in order]
    return summation(i, mul(*(ref("A", i[a], i[b]) for a in range(6) for b in range(6) if (a != b if both else a < b))))


def test_symmetric_contractions_are_labelled_within_the_budget() -> None:
    assert surely_equal(_ring(1), _ring(5))
    assert surely_equal(_complete([0, 1, 2, 3, 4, 5], True), _complete([3, 1, 4, 0, 5, 2], True))
    assert surely_equal(_complete([0, 1, 2, 3, 4, 5], False), _complete([3, 1, 4, 0, 5, 2], False))


def test_a_strongly_regular_contraction_is_bounded() -> None:
    """Vertices that refinement cannot tell apart: the search stops at its budget, and may then say nothing."""
    context = new_context()
    edges = [(i, (i + s) % 13) for i in range(13) for s in (1, 3, 4)]
    i = [Index(f"q{k}", N) for k in range(13)]
    of_term(context, summation(i, mul(*(ref("A", i[a], i[b]) for a, b in edges))))
    assert context.steps < 20_000


def test_the_time_limit_ends_an_expansion() -> None:
    long = mul(*(term(f"(c + x[r] + {k})^9") for k in range(9)))
    with pytest.raises(OutOfTime):
        of_term(new_context(deadline=0.0), long)
    assert not surely_equal(long, term("c"), time_limit=0.05)


def test_the_constant_of_an_empty_range_is_a_condition() -> None:
    context = new_context()
    of_term(context, Over("sum", (Index("i", N - 3),), ref("c")))
    assert list(context.conditions) == ["N - 3 ≥ 0"]
