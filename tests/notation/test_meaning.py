"""The meaning of Programs on numbers, against an evaluator that reads one element at a time."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.functions.float64 import numpy_function
from derivcheck.notation.integers.atoms import Entry, entry, extreme
from derivcheck.notation.integers.polynomials import Index, Poly, Size, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, div, func, mul, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import product, summation
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact

N, M, D = size("N"), size("M"), size("D")
n, m, d = Index("n", N), Index("m", M), Index("d", D)
SIZES = {"N": 3, "M": 4, "D": 2}


class OneByOne:
    """An element at a time, as a person would: slow, plain, and sharing no code with ``evaluate``."""

    def __init__(self, program: Program, inputs: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
        self.definitions = {x.name: x for x in program.definitions}
        self.inputs, self.sizes = inputs, sizes
        self.cells: dict[tuple[str, tuple[int, ...]], float] = {}

    def array(self, name: str) -> np.ndarray:
        x = self.definitions[name]
        lengths = [self.integer(i.size, {}) for i in x.indices]
        out = np.empty(lengths)
        for at in itertools.product(*map(range, lengths)):
            out[at] = self.cell(name, at)
        return out

    def cell(self, name: str, at: tuple[int, ...]) -> float:
        if name in self.inputs:
            a = self.inputs[name]
            return float(a[tuple(min(max(k, 0), length - 1) for k, length in zip(at, a.shape))])
        x = self.definitions[name]
        at = tuple(min(max(k, 0), self.integer(i.size, {}) - 1) for k, i in zip(at, x.indices))
        if (name, at) not in self.cells:
            self.cells[name, at] = self.real(x.term, dict(zip(x.indices, at)))
        return self.cells[name, at]

    def integer(self, p: Poly, env: dict[Index, int]) -> int:
        def look(a):
            if isinstance(a, Size):
                return self.sizes[a.name]
            if isinstance(a, Index):
                return env[a]
            assert isinstance(a, Entry)
            return int(self.cell(a.name, tuple(self.integer(q, env) for q in a.at)))

        return int(p.evaluate(look))

    def holds(self, b: Bracket, env: dict[Index, int]) -> bool:
        v = self.integer(b.operand, env) if isinstance(b.operand, Poly) else self.real(b.operand, env)
        return {"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[b.relation]

    def real(self, t: Term, env: dict[Index, int]) -> float:
        if isinstance(t, Number):
            return float(t.value)
        if isinstance(t, SizeOf):
            return float(self.integer(t.value, env))
        if isinstance(t, Ref):
            return self.cell(t.name, tuple(self.integer(p, env) for p in t.at))
        if isinstance(t, Bracket):
            return float(self.holds(t, env))
        if isinstance(t, Add):
            return sum(self.real(a, env) for a in t.args)
        if isinstance(t, Mul):
            if not all(self.holds(a, env) for a in t.args if isinstance(a, Bracket)):
                return 0.0
            return math.prod(self.real(a, env) for a in t.args if not isinstance(a, Bracket))
        if isinstance(t, Pow):
            base, exponent = self.real(t.base, env), self.real(t.exponent, env)
            return math.inf if base == 0 and exponent < 0 else base**exponent
        if isinstance(t, Func):
            return getattr(math, t.name)(*(self.real(a, env) for a in t.args))
        assert isinstance(t, Over)
        places = list(itertools.product(*(range(self.integer(i.size, env)) for i in t.indices)))
        values = [self.real(t.body, {**env, **dict(zip(t.indices, at))}) for at in places]
        if t.kind in ("argmax", "argmin"):
            return float(values.index((max if t.kind == "argmax" else min)(values)))
        return {"sum": sum, "prod": math.prod, "max": max, "min": min}[t.kind](values)


def same(program: Program, inputs: dict[str, np.ndarray], sizes: dict[str, int]) -> None:
    found = evaluate(program, inputs, sizes)
    plain = OneByOne(program, inputs, sizes)
    for x in program.definitions:
        expected = plain.array(x.name)
        assert found[x.name].shape == expected.shape
        np.testing.assert_allclose(found[x.name], expected, rtol=1e-11, atol=1e-11, err_msg=str(x.term))


def program(term: Term, *indices: Index) -> Program:
    arguments = (Input("a", (N, M)), Input("b", (M, D)), Input("c", (N,)), Input("ids", (N,), "int"))
    return Program(arguments, (Definition("y", indices, term),), ("y",))


def data(seed: int = 0, sizes: dict[str, int] = SIZES) -> dict[str, np.ndarray]:
    r = np.random.default_rng(seed)
    return {
        "a": r.normal(size=(sizes["N"], sizes["M"])),
        "b": r.normal(size=(sizes["M"], sizes["D"])),
        "c": r.normal(size=sizes["N"]),
        "ids": r.integers(0, sizes["M"], size=sizes["N"]),
    }


CASES = {
    "linear": (summation([m], mul(ref("a", n, m), ref("b", m, d))), n, d),
    "three factors": (summation([n, m], mul(ref("a", n, m), ref("b", m, d), ref("c", n))), d),
    "a factor twice": (summation([m], mul(power(ref("a", n, m), 2), ref("b", m, d))), d, n),
    "diagonal": (ref("a", n, i_poly(n)), n),
    "transposed": (ref("a", n, m), m, n),
    "flipped": (ref("a", N - 1 - i_poly(n), m), n, m),
    "shifted, out of range": (mul(bracket(">=", i_poly(m) - 1), ref("a", n, i_poly(m) - 1)), n, m),
    "strided and floored": (ref("a", n, (2 * i_poly(m) + 1) // 2), n, m),
    "gather": (ref("b", entry("ids", n), d), n, d),
    "scatter": (summation([n], mul(Bracket("==", entry("ids", n) - i_poly(m)), ref("c", n))), m),
    "a number from an integer": (add(size_of(entry("ids", n)), size_of(N * M), size_of(n)), n),
    "clamped position": (ref("a", extreme("min", i_poly(m), N - 1), m), m),
    "select of a pole": (mul(bracket(">", ref("c", n)), power(sub(ref("c", n), ref("c", n)), Number(-1)), number(0.5)), n),
    "product": (product([m], sub(ref("a", n, m), number(2))), n),
    "maximum": (Over("max", (m,), ref("a", n, m)), n),
    "minimum of two": (Over("min", (n, m), ref("a", n, m)),),
    "argmax of two, in row order": (Over("argmax", (m, n), ref("a", n, m)),),
    "argmin": (Over("argmin", (n,), ref("a", n, m)), m),
    "sum of a constant": (Over("sum", (n, m), ref("c", n)),),
    "softmax": (div(func("exp", ref("a", n, m)), summation([m], func("exp", ref("a", n, m)))), n, m),
    "sum of a sum": (summation([n, m], add(mul(ref("a", n, m), ref("c", n)), Number(-1))),),
    "broadcast": (ref("c", n), n, m),
    "power": (power(add(func("exp", ref("a", n, m)), ONE), ref("c", n)), n, m),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sizes", [SIZES, {"N": 1, "M": 1, "D": 1}, {"N": 5, "M": 2, "D": 3}])
def test_agrees_with_one_element_at_a_time(case: str, sizes: dict[str, int]) -> None:
    term, *indices = CASES[case]
    if case == "diagonal" and sizes["M"] < sizes["N"]:
        sizes = SIZES
    same(program(term, *indices), data(3, sizes), sizes)


refs_of = st.sampled_from(
    [
        ref("a", n, m),
        ref("b", m, d),
        ref("c", n),
        ref("a", n, i_poly(m) - 1),
        ref("b", entry("ids", n), d),
        ref("a", N - 1 - i_poly(n), m),
        ref("c", i_poly(n) // 2),
        number(Fraction(3, 2)),
        Number(-2),
        size_of(N),
        bracket(">=", i_poly(n) - i_poly(m)),
        Bracket(">", ref("c", n)),
        Bracket("==", entry("ids", n) - i_poly(m)),
    ]
)
terms = st.recursive(
    refs_of,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda ts: add(*ts)),
        st.lists(inner, min_size=2, max_size=4).map(lambda ts: mul(*ts)),
        inner.map(lambda t: power(t, 2)),
        inner.map(lambda t: func("tanh", t)),
        st.tuples(st.sampled_from([(n,), (m,), (n, m), (d,), (m, d)]), inner).map(lambda p: summation(*p)),
        st.tuples(st.sampled_from([(m,), (d, n)]), inner).map(lambda p: Over("max", *p)),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(terms, st.integers(0, 5))
def test_any_term(term: Term, seed: int) -> None:
    indices = sorted(term.free, key=lambda i: i.key)
    same(program(term, *indices), data(seed), SIZES)


def test_select_beats_infinity() -> None:
    """A mask times an infinity would be NaN: the bracket selects, also under a sum and in a contraction."""
    inputs = data()
    inputs["a"][0, 1] = np.inf
    inputs["c"][0] = np.nan
    masked = mul(bracket(">=", i_poly(n) - 1), ref("a", n, m), ref("b", m, d), ref("c", n))
    found = evaluate(program(summation([n, m], masked), d), inputs)["y"]
    a, b, c = inputs["a"][1:], inputs["b"], inputs["c"][1:]
    np.testing.assert_allclose(found, np.einsum("nm,md,n->d", a, b, c))


def test_recurrence_along_one_index() -> None:
    k = i_poly(n)
    forward = add(bracket("==", k), mul(bracket(">=", k - 1), ref("T", k - 1), sub(ONE, ref("c", k - 1))))
    backward = add(ref("c", n), mul(bracket(">=", N - 2 - k), ref("R", k + 1), ref("T", k)))
    p = Program((Input("c", (N,)),), (Definition("T", (n,), forward), Definition("R", (n,), backward)), ("R",))
    same(p, {"c": np.random.default_rng(0).normal(size=6)}, {"N": 6})


def test_mutual_recurrence_with_a_matrix() -> None:
    """h and s of a small recurrent cell: s at the same step, h one step back, a matrix product within."""
    k, j = i_poly(n), Index("j", M)
    s = func("tanh", add(ref("a", n, m), mul(bracket(">=", k - 1), summation([j], mul(ref("h", k - 1, j), ref("w", j, m))))))
    h = mul(ref("s", n, m), number(0.5))
    p = Program((Input("a", (N, M)), Input("w", (M, M))), (Definition("h", (n, m), h), Definition("s", (n, m), s)), ("h",))
    r = np.random.default_rng(0)
    same(p, {"a": r.normal(size=(4, 3)), "w": r.normal(size=(3, 3))}, {"N": 4, "M": 3})


def test_recurrence_without_a_constant_step() -> None:
    """Triangular solve: each element needs all earlier ones."""
    k, j = i_poly(n), Index("j", N)
    earlier = summation([j], mul(bracket(">=", k - 1 - i_poly(j)), ref("w", n, j), ref("z", j)))
    p = Program((Input("c", (N,)), Input("w", (N, N))), (Definition("z", (n,), sub(ref("c", n), earlier)),), ("z",))
    r = np.random.default_rng(0)
    same(p, {"c": r.normal(size=7), "w": r.normal(size=(7, 7))}, {"N": 7})


def test_endless_recurrence_is_refused() -> None:
    p = Program((Input("c", (N,)),), (Definition("z", (n,), add(ref("z", n), ONE)),), ("z",))
    with pytest.raises(InputError, match="z refer to each other without an end"):
        evaluate(p, {"c": np.zeros(2)})


def test_integer_definitions_are_positions() -> None:
    top = Definition("top", (n,), Over("argmax", (m,), ref("a", n, m)), stop=True, kind="int")
    picked = Definition("y", (n,), ref("a", n, entry("top", n)))
    p = Program((Input("a", (N, M)),), (top, picked), ("y",))
    a = data()["a"]
    np.testing.assert_array_equal(evaluate(p, {"a": a})["y"], a.max(1))


def test_exact_numbers() -> None:
    term = summation([m], mul(ref("a", n, m), power(ref("b", m, d), Number(-1))))
    inputs = {"a": np.array([[1, 2]]), "b": np.array([[3], [7]]), "c": [0], "ids": [0]}
    assert evaluate(program(term, n, d), inputs, numbers=Exact())["y"][0, 0] == Fraction(1, 3) + Fraction(2, 7)
    irrational = program(func("exp", ref("c", n)), n)
    with pytest.raises(UnsupportedOperation, match="exp"):
        evaluate(irrational, {**data(), "c": np.ones(3)}, numbers=Exact())


@pytest.mark.parametrize(
    "shapes, message",
    [
        ({"x": (3, 4), "w": (2, 5)}, r"w has size 5 in dimension 1, expected in = 4 \(in = 4 from dimension 1 of x\)"),
        ({"x": (3,), "w": (2, 5)}, r"x has shape \(3,\), 1 dimension; expected 2 dimensions, \(N, in\)"),
    ],
)
def test_clashing_shapes(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    p = Program((Input("x", (N, size("in"))), Input("w", (size("out"), size("in")))), (), ())
    with pytest.raises(InputError, match=message):
        evaluate(p, {k: np.zeros(s) for k, s in shapes.items()})


def test_sizes_are_solved_for() -> None:
    h, w = size("h"), size("w")
    out = Definition("y", (Index("q", h * w),), size_of(h))
    p = Program((Input("x", (h * w,)), Input("k", (2 * w + 1,))), (out,), ("y",))
    assert evaluate(p, {"x": np.zeros(6), "k": np.zeros(7)})["y"].tolist() == [2.0] * 6
    with pytest.raises(InputError, match="no size w gives that"):
        evaluate(p, {"x": np.zeros(6), "k": np.zeros(6)})
    alone = Program((Input("x", (h * w,)),), (out,), ("y",))
    with pytest.raises(InputError, match="does not determine h and w: give one with sizes="):
        evaluate(alone, {"x": np.zeros(6)})
    assert evaluate(alone, {"x": np.zeros(6)}, sizes={"w": 3})["y"][0] == 2.0


def test_missing_input_is_named() -> None:
    with pytest.raises(InputError, match="b is missing; the inputs are a, b, c, ids"):
        evaluate(program(ONE), {"a": np.zeros((1, 1))})


def test_upstream_is_one_unless_given() -> None:
    p = Program((Input("g", (), role="upstream"),), (Definition("y", (), mul(number(3), ref("g"))),), ("y",))
    assert evaluate(p, {})["y"] == 3 and evaluate(p, {"g": 2.0})["y"] == 6


@pytest.mark.parametrize(
    "name", ["sigmoid", "softplus", "logsigmoid", "silu", "gelu", "gelu_tanh", "log1p", "expm1", "erf", "lgamma", "digamma"]
)
def test_functions_against_many_digits(name: str) -> None:
    import sympy

    from derivcheck.notation.functions.table import expression

    points = [-30.5, -3.25, -0.5, 1e-9, 0.75, 4.0, 35.0]
    if name in ("log1p", "lgamma", "digamma"):
        points = [1e-9, 0.25, 0.75, 3.0, 200.0]
    found = numpy_function(name)(np.array(points))
    for x, value in zip(points, found):
        exact = float(expression(name, [sympy.Rational(Fraction(x).numerator, Fraction(x).denominator)]).evalf(30))
        assert value == pytest.approx(exact, rel=2e-14), x


def test_a_row_of_the_users_own_needs_no_spelling() -> None:
    from derivcheck.notation.functions import table

    name = "test_meaning_quick_gelu"
    if name not in table.functions():
        table.function(name, "({0})", "", means=lambda sp, F, x: x * F.sigmoid(sp.Rational(1702, 1000) * x))
    try:
        x = np.array([-1.5, 0.0, 2.0])
        np.testing.assert_allclose(numpy_function(name)(x), x / (1 + np.exp(-1.702 * x)))
    finally:
        table.functions().pop(name)


def test_large_linear_is_a_matrix_product() -> None:
    """Nothing of 128·512·512 elements is ever laid out."""
    import tracemalloc

    term = summation([m], mul(ref("a", n, m), ref("b", m, d)))
    inputs = data(0, {"N": 128, "M": 512, "D": 512})
    tracemalloc.start()
    found = evaluate(program(term, n, d), inputs)["y"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, inputs["a"] @ inputs["b"])
    assert peak < 20e6
