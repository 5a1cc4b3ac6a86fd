"""Index text: what is printed reads back, and what cannot be read is refused in words."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import NotationError
from derivcheck.notation.integers.atoms import entry, extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, func, mul, neg, power, ref, size_of
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, SizeOf, Term
from derivcheck.notation.terms.substitute import extremum, product, summation
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.text.dims import parse_dims, parse_input
from derivcheck.notation.text.parse import TextScope, parse_program, parse_term
from derivcheck.notation.text.star_groups import expand_groups
from derivcheck.notation.text.syntax import read
from derivcheck.notation.values.evaluator import evaluate

N, K, V = size("N"), size("K"), size("V")
TENSORS = {"x": Input("x", (N, K)), "w": Input("w", (K,)), "c": Input("c", ()), "ids": Input("ids", (N,), "int", K)}
n, k, n1 = Index("n", N), Index("k", K), Index("n", N, 1)
SCOPE = TextScope(TENSORS, (n, k, n1))


# -- random terms -----------------------------------------------------------
@cache
def polys() -> st.SearchStrategy[Poly]:
    atoms = st.sampled_from([as_poly(1), N, K, i_poly(n), i_poly(k), i_poly(n1), entry("ids", n)])

    def more(inner: st.SearchStrategy[Poly]) -> st.SearchStrategy[Poly]:
        return st.one_of(
            st.tuples(inner, inner).map(lambda t: t[0] + t[1]),
            st.tuples(inner, inner).map(lambda t: t[0] - t[1]),
            st.tuples(inner, st.integers(-3, 3)).map(lambda t: t[0] * t[1]),
            st.tuples(inner, inner).map(lambda t: t[0] * t[1]),
            st.tuples(inner, st.sampled_from([as_poly(2), K, N + 1])).map(lambda t: t[0] // t[1]),
            st.tuples(st.sampled_from(["max", "min"]), inner, inner).map(lambda t: extreme(*t)),
        )

    return st.recursive(atoms, more, max_leaves=4)


def divides(t: Term) -> bool:
    """Not 0 and no bracket: [..]^-2 and 1/[..] are the same pole in two spellings."""
    return t is not Number(0) and not any(isinstance(x, Bracket) for x in subterms(t))


@cache
def terms() -> st.SearchStrategy[Term]:
    numbers = st.fractions(min_value=-3, max_value=3, max_denominator=5).map(Number)
    sizes = st.sampled_from([SizeOf(N), SizeOf(i_poly(n)), SizeOf(entry("ids", n)), SizeOf((i_poly(n) + 1) // 2)])
    leaves = st.one_of(
        numbers,
        sizes,
        st.sampled_from([ref("x", n, k), ref("w", k), ref("c"), ref("x", n1, k), func("pi")]),
        st.tuples(polys(), polys()).map(lambda t: ref("x", *t)),
        st.tuples(st.sampled_from(["==", "!=", ">=", "<", "<=", ">"]), polys()).map(lambda t: bracket(*t)),
    )

    def more(inner: st.SearchStrategy[Term]) -> st.SearchStrategy[Term]:
        several = st.lists(inner, min_size=2, max_size=3)
        bound = st.sampled_from([(n,), (k,), (n, k), (n1,)])
        exponents = st.sampled_from([2, 3, -1, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(-3, 2)]).map(Number)
        return st.one_of(
            several.map(lambda a: add(*a)),
            several.map(lambda a: mul(*a)),
            inner.map(neg),
            st.tuples(inner, st.one_of(exponents, inner)).map(lambda t: power(t[0] if divides(t[0]) else ref("c"), t[1])),
            st.tuples(st.sampled_from(["exp", "tanh", "silu"]), inner).map(lambda t: func(*t)),
            st.tuples(bound, inner).map(lambda t: summation(*t)),
            st.tuples(bound, inner).map(lambda t: product(*t)),
            st.tuples(st.sampled_from(["max", "argmin"]), bound, inner).map(lambda t: extremum(*t)),
            st.tuples(st.sampled_from(["==", ">=", ">"]), inner).map(
                lambda t: bracket(t[0], add(ref("x", n, 0), func("sin", t[1])))
            ),
        )

    return st.recursive(leaves, more, max_leaves=12)


def shape(t: Term) -> object:
    """A term up to what text cannot tell: the order of factors, and an integer expression taken as one or in pieces."""
    if isinstance(t, SizeOf):
        return pieces(t.value)
    if isinstance(t, Mul):
        return "mul", frozenset(Counter(shape(a) for a in t.args).items())
    if isinstance(t, Add):
        return "add", tuple(shape(a) for a in t.args)
    if isinstance(t, Over):
        return t.kind, t.indices, shape(t.body)
    if isinstance(t, Pow):
        return "pow", shape(t.base), shape(t.exponent)
    if isinstance(t, Func):
        return t.name, tuple(shape(a) for a in t.args)
    if isinstance(t, Bracket) and isinstance(t.operand, Term):
        return t.relation, shape(t.operand)
    return t


def pieces(p: Poly) -> object:
    if p.atom is not None:
        return SizeOf(p)
    return "add", tuple(map(str, p.terms))


def atomic(t: Term) -> bool:
    """Whether every integer expression used as a number is one atom (text does not tell N*K from N times K)."""
    if isinstance(t, SizeOf):
        return t.value.atom is not None
    return all(atomic(c) for c in t.children)


@settings(max_examples=250, deadline=None)
@given(terms())
def test_what_is_printed_reads_back(term: Term) -> None:
    indices = tuple(sorted(term.free, key=lambda i: i.key)) or (n,)
    place = isinstance(term, Over) and term.kind.startswith("arg")
    y = Definition("y", indices, term, stop=place, kind="int" if place else "float")
    program = Program(tuple(TENSORS.values()), (y,), ("y",))
    again = parse_program(str(program))
    assert str(again) == str(program)
    assert again.arguments == program.arguments
    assert again.definitions[0].indices == indices
    if atomic(term):
        assert shape(again.definitions[0].term) == shape(term)
    assert parse_program(str(again)).definitions[0].term is again.definitions[0].term


@settings(max_examples=100, deadline=None)
@given(polys())
def test_positions_are_the_same_object(p: Poly) -> None:
    assert parse_term(f"w[{p}]", SCOPE) is ref("w", p)


def test_equal_polynomials_are_one_object_whatever_the_order() -> None:
    one, other = i_poly(k) * i_poly(k) * size("N"), size("N") * size("N") * i_poly(k)
    assert one - other is -other + one
    assert one + other is other + one


def test_a_term_in_a_scope() -> None:
    for text in ("sum(k: x[n, k]*w[k]) - c/2", "x[n, ids[n]]*[n - 1 >= 0]", "exp(-(c + w[k])^(1/2))*(n//2)"):
        term = parse_term(text, SCOPE)
        assert str(term) == text and term.free <= {n, k}
    assert str(parse_term("x[n, (2*N - 1)//2]", SCOPE)) == "x[n, N - 1]"
    with pytest.raises(NotationError, match="'q' is neither"):
        parse_term("c + q", SCOPE)


def test_reading_means_what_it_says() -> None:
    program = parse_program(
        """
        # softmax regression, one definition a line; a line that ends or starts with an operator goes on
        z[n,c] = sum(k: x[n,k]*w[c,k]) +
                 b[c]
        p[n,c] = exp(z[n,c])
                 / sum(c: exp(z[n,c]))
        L = -sum(n: log(p[n,t[n]]))/N
    """,
        {"x": "N D", "w": "C D", "b": "C", "t": "int<C: N"},
    )
    rng = np.random.default_rng(0)
    x, w, b, t = rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), rng.normal(size=5), np.array([0, 4, 2, 2])
    z = x @ w.T + b
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    found = evaluate(program, {"x": x, "w": w, "b": b, "t": t})
    np.testing.assert_allclose(found["L"], -np.log(p[np.arange(4), t]).mean(), rtol=1e-13)
    assert program.outputs == ("L",)
    assert program.argument("t").below is size("C")


@pytest.mark.parametrize(
    "text",
    [
        "y := x*sum(k < K: 1)",
        "y := x*sum(k < K: 1) + sum(j < J: x)",
        "y := x*sum(k < K: k + 1)",
        "y[m < M] := x*sum(k < K: 1)",
    ],
)
def test_a_size_that_stands_in_terms_alone_is_printed_and_read(text: str) -> None:
    p = parse_program(text, {"x": ""})
    sizes = {"K": 3, "J": 2, "M": 2}
    for one in (p, adjoint(p)):
        again = parse_program(str(one))
        assert str(again) == str(one)
        data = {a.name: np.full([q.at(sizes) for q in a.dims], 2.0) for a in one.arguments}
        for name, value in evaluate(again, data, sizes).items():
            np.testing.assert_array_equal(value, evaluate(one, data, sizes)[name])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("2^3^2", 512),
        ("7 // 2", 3),
        ("-7 % 3", 2),
        ("6/2*3", 9),
        ("6/(2*3)", 1),
        ("1e-3", 0.001),
        ("- - 3", 3),
        ("[2 > 1]", 1),
        ("[1 <= 1 < 1]", 0),
        ("max(2, 5) - min(2, 5)", 3),
        ("2**3", 8),
        ("+4", 4),
        ("1 - 2 - 3", -4),
        (".5", 0.5),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    term = parse_term(text, TextScope({}))
    assert isinstance(term, Number) and float(term.value) == value


def test_sizes_travel_through_the_text() -> None:
    p = parse_program(
        "a[n] := sum(k: x[n,k]*w[k]); b[n] := a[n]*size(k2)*sum(k2: w[k2]) ; c := sum(n: b[n])".replace("size(k2)", "2")
    )
    assert p.dims("x") == (N, K) and p.dims("w") == (K,) and p.outputs == ("c",)
    clash = parse_program("y[w] := W[w]*2")
    assert clash.dims("W") == (size("w_size"),)  # the size of w is not the tensor W
    later = parse_program("T[k] := [k == 0] + [k >= 1]*T[k-1]*(1 - a[k])", {"a": "K"})
    assert later.definition("T").dims == (K,)
    assert parse_program("y[i] := sum(j: x[i,j])/size(i)", {"x": "M J"}).definition("y").term == mul(
        summation([Index("j", size("J"))], ref("x", Index("i", size("M")), Index("j", size("J")))),
        power(size_of(size("M")), -1),
    )


def test_a_size_at_the_binder() -> None:
    p = parse_program("y[h < H, e < d] := x[h*d + e]", {"x": "H*d"})
    assert p.dims("y") == (size("H"), size("d"))
    head = parse_program("y[n < M] := x[n]", {"x": "N"})
    assert head.dims("y") == (size("M"),)
    assert "y[n < M]" in str(head)


def test_integers() -> None:
    p = parse_program(
        "m[n] := argmax(k: x[n,k]); y[n] := x[n,m[n]]*ids[n]; z[n] := E[ids[n],0]", {"x": "N K", "E": "V D", "ids": "int<V: N"}
    )
    assert p.definition("m").kind == "int" and p.definition("m").stop
    assert p.definition("y").term is mul(ref("x", n, entry("m", n)), size_of(entry("ids", n)))
    assert p.definition("z").term is ref("E", entry("ids", n), 0)
    free = parse_program("y[n] := sum(v: [t[n] == v]*x[n,v])")
    assert free.argument("t").kind == "int"


def test_star_groups() -> None:
    tree = read("y[*n,o] := sum(i: x[*n,i]*w[o,i])", "program")
    for rank, dims in [(0, 1), (1, 2), (3, 4)]:
        (define,) = expand_groups(tree, {"n": rank})
        assert len(define.items) == dims
    p = parse_program("y[*n] := sum(i: x[*n,i])/size(*n)", groups={"n": 2})
    assert p.dims("x") == (size("N1"), size("N2"), size("I"))
    assert parse_program("y[*n] := x[*n]^2", groups={"n": 0}).dims("y") == ()
    with pytest.raises(NotationError, match="group \\*m has no rank"):
        expand_groups(read("y[*m] := x[*m]", "program"), {"n": 1})
    with pytest.raises(NotationError, match="stands only in rows"):
        parse_program("y[*n] := x[*n]")


def test_dims() -> None:
    assert parse_dims("N h*d, 3 2*m-1") == (N, size("h") * size("d"), as_poly(3), 2 * size("m") - 1)
    half = size("K") // 2
    assert parse_dims("N M (K//2)") == (N, size("M"), half) == parse_dims("N, M, (K//2)") == parse_dims("N M K//2")
    assert parse_dims("(K//2) 2 (K + 1)//2") == (half, as_poly(2), (size("K") + 1) // 2)
    assert parse_dims("max(N, 2) (N + 1)") == (extreme("max", N, 2), N + 1)
    assert parse_dims("") == () and parse_dims("N\n h") == (N, size("h"))
    for text in ("2N", "N $", "N in)", "N*", "n.m", "1.5"):
        with pytest.raises(NotationError, match=rf"dims of 'x': {re.escape(repr(text))} is no list of sizes; expected names"):
            parse_input("x", text)
    for text in ("int<V: N T>", "int<V: N T", "int < V : N T >"):
        assert parse_input("ids", text) == Input("ids", (N, size("T")), "int", V)
    assert parse_input("m", "bool<N>") == Input("m", (N,), "bool")
    assert parse_input("m", "int: N") == Input("m", (N,), "int")


@pytest.mark.parametrize(
    ("text", "dims", "says"),
    [
        ("y[n := 3", None, "line 1, column 5: found ':=', expected"),
        ("y := x +", None, "the text ends where an expression was expected"),
        ("y := 3 @ 4", None, "column 8: found '@'"),
        ("y[n] := x[n]\nz[n] := y[n", None, "line 2, column 12: the text ends where"),
        ("", None, "the text defines nothing"),
        ("y[n] := x[n,i]", {"x": "N K"}, "column 13: 'i' is neither a size, nor an index here"),
        ("y[n] := x[n]", {"x": "N K"}, "x stands with 1 position, but has 2 dimensions (N, K)"),
        ("y[n] := x", {"x": "N"}, "x stands without positions, but has 1 dimension"),
        ("y[n] := x[n]/M", {"x": "N"}, "'M' is neither a size"),
        (
            "y := sum(k: x[k]*z[k])",
            {"x": "N", "z": "K"},
            "the index k runs over N (dimension 1 of x), but stands in dimension 1 of z of size K",
        ),
        ("y[n] := foo(x[n])", None, "there is no function 'foo'"),
        ("y[n] := tnah(x[n])", None, "did you mean 'tanh'?"),
        ("y[n] := wieght[n]", {"weight": "N"}, "did you mean 'weight'?"),
        ("y[n] := x[n]", {"x": "N", "q": "N"}, "dims names 'q', which the text does not use"),
        ("y[n] := x[2*n]", None, "nothing tells the size of dimension 1 of x"),
        ("y[n] := x[n]; y[n] := x[n]", None, "y is defined twice"),
        ("x[n] := x[n] + 1", {"x": "N"}, "x is defined here and given as an input"),
        ("y[n] := x[x[n]]", {"x": "N"}, "x holds float values and cannot be a position"),
        ("y[n] := x[n]*2 (no gradient)\nz[n] := x[y[n]/3]", {"x": "N"}, "cannot be a position"),
        ("y := exp(2, 3)", None, "exp takes 1 argument, found 2"),
        ("y[n, n] := x[n]", None, "the index n is bound twice"),
        ("y[n+1] := x[n]", None, "found 'n+1' where an index is bound"),
        ("y := sum(x[n])", None, "expected indices and ':'"),
        ("y := mean(n: x[n])", None, "expected sum, prod, max, min, argmax or argmin"),
        ("y[n] := x[n]*exp", None, "exp is a function"),
        ("y[n] := x[n < 3]", None, "found '<' in a position"),
        ("y[n] := x[n/2]", {"x": "N"}, "found 'n/2' as a position"),
        ("y[n] := x[n]\noutput q", None, "output 'q' is not defined"),
        ("size x\ninput x[N]\ny[n] := x[n]", None, "x is declared as a size and is a tensor"),
        ("size K[N]\ny := K", None, "found 'size' before a name, expected 'input', 'output', 'size'"),
        ("give y\ny := 3", None, "expected 'input', 'output'"),
        ("input x[N] complex\ny[n] := x[n]", None, "found kind 'complex'"),
        ("input x[N]\ny[n] := x[n]", {"x": "M"}, "x is declared with dimensions N, but dims gives M"),
        ("y[n] := x[n]", {"x": "N 3+"}, "dims of 'x': 'N 3+' is no list of sizes"),
        ("y[n] := x[n]", {"x": "float<V: N"}, "expected one bound for int entries"),
        ("y[n] := x[n]", {"x": 3}, "dims of 'x': expected text such as 'N in', found int"),
        ("y := 3 // 0", None, "division by zero"),
        ("y := 3.5 // 2", None, "stand between integer expressions"),
        ("y := size(x)", None, "size(…) takes the name of an index"),
    ],
)
def test_refusals(text: str, dims: dict[str, str] | None, says: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse_program(text, dims)
    assert says in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="yxn[],:=+-*/^()<> 12;\n#sum", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_program(text)
    except NotationError:
        pass


def test_nothing_is_loaded_before_there_is_text() -> None:
    code = "import sys, derivcheck.notation.text.parse; print('lark' in sys.modules, 'sympy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
