"""The reverse sweep against central differences of the slowest possible meaning, on random Programs and on known ones."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.atoms import entry
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, func, mul, neg, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, product, summation
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from tests.reference import Element, Reference, central

SIZES = {"N": 3, "K": 2, "M": 4}
N, K, M = size("N"), size("K"), size("M")


def tensors_for(program: Program, seed: int, positive: bool = False) -> dict[str, dict[Element, float]]:
    draw = random.Random(seed)
    found: dict[str, dict[Element, float]] = {}
    for a in program.arguments:
        shape = [p.at(SIZES) for p in a.dims]
        places = itertools.product(*map(range, shape))
        if a.kind == "int":
            assert a.below is not None
            found[a.name] = {at: draw.randrange(a.below.at(SIZES)) for at in places}
        else:
            found[a.name] = {at: draw.uniform(0.3, 1.5) * (1 if positive or draw.random() < 0.5 else -1) for at in places}
    return found


def holds(program: Program, seed: int = 0, positive: bool = False) -> None:
    """The adjoint of ``program`` equals central differences, in every element of every input."""
    tensors = tensors_for(program, seed, positive)
    backward = adjoint(program)
    upstream = [a for a in backward.arguments if a.role == "upstream"]
    draw = random.Random(seed + 1)
    up = {at: draw.uniform(-2, 2) for at in itertools.product(*(range(p.at(SIZES)) for p in upstream[0].dims))}
    have = Reference(backward, {**tensors, upstream[0].name: up}, SIZES)
    outputs = Reference(program, tensors, SIZES).all(program.outputs[0])
    rounding = 1e-10 * sum(abs(up[at] * v) for at, v in outputs.items())  # of the two ends of a difference, over the step
    for a, out in zip([a for a in program.arguments if a.kind == "float"], backward.outputs, strict=True):
        for at, got in have.all(out).items():
            want = central(program, tensors, SIZES, up, a.name, at)
            if got != pytest.approx(want, rel=1e-6, abs=1e-6 + rounding):  # of a steep sine: without what a step leaves in h²
                want = (4 * central(program, tensors, SIZES, up, a.name, at, h=5e-6) - want) / 3
            assert got == pytest.approx(want, rel=1e-6, abs=1e-6 + rounding), f"{a.name}{at}\n{program}\n{backward}"


def one(inputs: dict[str, tuple[Poly, ...]], indices: tuple[Index, ...], term: Term, **integers: Poly) -> Program:
    kinds = [Input(k, v, "int" if k in integers else "float", integers.get(k)) for k, v in inputs.items()]
    return Program(tuple(kinds), (Definition("y", indices, term),), ("y",))


n, n2, k, m = Index("n", N), Index("a", N), Index("k", K), Index("m", M)
pn, pk, pm = i_poly(n), i_poly(k), i_poly(m)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            one(
                {"x": (N, K), "w": (M, K), "b": (M,)},
                (n, m),
                add(summation([k], mul(ref("x", n, k), ref("w", m, k))), ref("b", m)),
            ),
            id="linear",
        ),
        pytest.param(one({"x": (N, N)}, (n,), ref("x", n, n)), id="diagonal"),
        pytest.param(one({"x": (N, K)}, (k, n), ref("x", n, k)), id="transpose"),
        pytest.param(one({"x": (N,)}, (n, k), ref("x", n)), id="expand"),
        pytest.param(one({"x": (N,)}, (n,), ref("x", N - 1 - pn)), id="flip"),
        pytest.param(one({"x": (N, K)}, (n,), ref("x", n, 1)), id="select"),
        pytest.param(one({"x": (N * K,)}, (n, k), ref("x", pn * K + pk)), id="unflatten"),
        pytest.param(
            one({"x": (N, K)}, (Index("f", N * K),), ref("x", i_poly(Index("f", N * K)) // K, i_poly(Index("f", N * K)) % K)),
            id="flatten",
        ),
        pytest.param(one({"x": (N, K)}, (n,), ref("x", i_poly(n), pn // 2)), id="half"),
        pytest.param(
            one({"x": (N + K - 1,), "w": (K,)}, (n,), summation([k], mul(ref("x", pn + pk), ref("w", k)))), id="correlate"
        ),
        pytest.param(
            one({"x": (2 * N + K - 2,), "w": (K,)}, (n,), summation([k], mul(ref("x", 2 * pn + pk), ref("w", k)))), id="stride"
        ),
        pytest.param(one({"x": (N,)}, (m,), mul(bracket(">=", pm - 1), bracket(">=", N - pm), ref("x", pm - 1))), id="pad"),
        pytest.param(one({"x": (M, K), "ids": (N,)}, (n, k), ref("x", entry("ids", n), k), ids=M), id="gather"),
        pytest.param(
            one(
                {"x": (N, K), "ids": (N,)},
                (m, k),
                summation([n], mul(bracket("==", pm - entry("ids", n)), ref("x", n, k))),
                ids=M,
            ),
            id="index_add",
        ),
        pytest.param(one({"x": (N, K)}, (n,), product([k], ref("x", n, k))), id="prod"),
        pytest.param(one({"x": (N, K)}, (), product([n, k], ref("x", n, k))), id="prod of all"),
        pytest.param(one({"x": (N,)}, (n, n2), mul(ref("x", n), func("exp", ref("x", n2)))), id="outer with itself"),
        pytest.param(
            one(
                {"x": (N,)},
                (n,),
                mul(ref("x", n), summation([n2], mul(ref("x", n2), func("sin", mul(ref("x", n), ref("x", n2)))))),
            ),
            id="nested",
        ),
        pytest.param(one({"x": (N,)}, (n,), mul(size_of(pn), ref("x", n))), id="index as a number"),
        pytest.param(
            one({"x": (N,)}, (), summation([n, n2], mul(bracket(">=", pn - i_poly(n2)), ref("x", n), ref("x", n2)))),
            id="causal",
        ),
        pytest.param(one({"x": (N,)}, (n,), mul(ref("x", n), bracket(">", ref("x", n)))), id="relu"),
    ],
)
def test_adjoint_equals_differences(program: Program) -> None:
    for seed in range(3):
        holds(program, seed)


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "softplus",
        "logsigmoid",
        "silu",
        "gelu",
        "gelu_tanh",
        "expm1",
        "erf",
        "tan",
        "atan",
        "sinh",
        "cosh",
    ],
)
def test_scalar_functions(name: str) -> None:
    holds(one({"x": (N,)}, (n,), func(name, ref("x", n))))


@pytest.mark.parametrize("exponent", [Fraction(1, 2), Fraction(-1, 2), -1, 2, 3, Fraction(5, 3)])
def test_powers(exponent: Fraction) -> None:
    holds(one({"x": (N,)}, (n,), power(ref("x", n), exponent)), positive=True)


def test_power_of_two_tensors() -> None:
    holds(one({"x": (N,), "e": (N,)}, (n,), power(ref("x", n), ref("e", n))), positive=True)


def softmax() -> Program:
    e = [func("exp", sub(ref("x", n, i), ref("top", n))) for i in (k, Index("l", K))]
    top = Definition("top", (n,), extremum("max", [k], ref("x", n, k)), stop=True)
    y = Definition("y", (n, k), mul(e[0], power(summation([Index("l", K)], e[1]), -1)))
    return Program((Input("x", (N, K)),), (top, y), ("y",))


def test_softmax_is_right_and_reads_as_a_person_writes_it() -> None:
    holds(softmax())
    assert (
        str(adjoint(softmax()).definitions[-1].term) == "y[n, k]*(grad_output[n, k] - sum(k_1: grad_output[n, k_1]*y[n, k_1]))"
    )


def test_scan() -> None:
    t = Definition("t", (n,), add(bracket("==", pn), mul(bracket(">=", pn - 1), ref("t", pn - 1), sub(ONE, ref("x", pn - 1)))))
    holds(Program((Input("x", (N,)),), (t,), ("t",)))


def test_mutual_recursion() -> None:
    before = mul(bracket(">=", pn - 1), ref("h", pn - 1))
    c = Definition(
        "c", (n,), add(mul(bracket(">=", pn - 1), ref("c", pn - 1), ref("f")), mul(func("sin", before), ref("x", n)))
    )
    h = Definition("h", (n,), func("tanh", mul(ref("c", n), ref("w"))))
    holds(Program((Input("x", (N,)), Input("w", ()), Input("f", ())), (c, h), ("h",)))


def test_a_definition_that_reads_a_later_one_hands_on_a_gradient_that_stands_there() -> None:
    back = adjoint(parse_program("h[t] := g[t]*a[t]; g[t] := a[t]^2; y := sum(t: g[t]); output y, h", {"a": "T"}))
    a, up = np.array([1.5, -2.0, 0.5]), np.array([1.0, 3.0, -1.0])
    found = evaluate(back, {"a": a, "grad_output_0": np.array(2.0), "grad_output_1": up})
    np.testing.assert_allclose(found["a_bar"], 3 * a**2 * up + 2 * a * 2.0, rtol=1e-15)


def test_stop_gradient() -> None:
    detached = Definition("s", (n,), func("exp", ref("x", n)), stop=True)
    holds(Program((Input("x", (N,)),), (detached, Definition("y", (n,), mul(ref("s", n), ref("x", n)))), ("y",)))


def test_unused_input_gets_zeros() -> None:
    program = one({"x": (N,), "unused": (K,)}, (n,), ref("x", n))
    holds(program)
    assert str(adjoint(program).definition("unused_bar").term) == "0"


def test_an_output_that_is_an_input() -> None:
    holds(Program((Input("x", (N,)),), (), ("x",)))


def test_every_path_is_kept_apart() -> None:
    h = Definition("h", (n,), func("sin", ref("x", n)))
    y = Definition("y", (n,), mul(ref("h", n), ref("x", n)))
    program = Program((Input("x", (N,)),), (h, y), ("y",))
    holds(program)
    assert [p.through for p in adjoint(program).definition("x_bar").paths] == ["y", "h"]


def test_second_order_is_the_same_sweep() -> None:
    first = adjoint(one({"x": (N,), "w": (N,)}, (n,), mul(func("sin", ref("x", n)), power(ref("w", n), 3))), ["x"])
    second = adjoint(first)
    assert second.outputs == ("x_bar", "w_bar", "grad_output_bar")
    holds(first)


def test_several_outputs_have_an_upstream_each() -> None:
    program = Program(
        (Input("x", (N,)),),
        (Definition("y", (n,), func("sin", ref("x", n))), Definition("z", (), summation([n], ref("x", n)))),
        ("y", "z"),
    )
    assert adjoint(program).inputs == ("x", "grad_output_0", "grad_output_1")


def test_gradient_through_an_extreme_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperation, match="max.*witness"):
        adjoint(one({"x": (N, K)}, (n,), extremum("max", [k], ref("x", n, k))))


def test_integer_input_has_no_gradient() -> None:
    program = one({"x": (M,), "ids": (N,)}, (n,), ref("x", entry("ids", n)), ids=M)
    with pytest.raises(InputError, match="'ids' holds int values"):
        adjoint(program, ["ids"])


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random Programs: a chain of definitions over refs with plain, shifted, reversed and gathered positions."""
    shapes: dict[str, tuple[Poly, ...]] = {"x": (N, K), "w": (N,), "v": (K,), "s": ()}
    definitions: list[Definition] = []
    for count in range(draw(st.integers(1, 3))):
        own = tuple(draw(st.sampled_from([(), (n,), (n, k), (k,), (n, n2)])))
        definitions.append(Definition(f"h{count}", own, draw(terms(shapes, own, 3))))
        shapes[f"h{count}"] = tuple(i.size for i in own)
    arguments = tuple(Input(name, shapes[name]) for name in ("x", "w", "v", "s"))
    return Program((*arguments, Input("ids", (N,), "int", N)), tuple(definitions), (definitions[-1].name,))


def position(draw: st.DrawFn, length: Poly, free: tuple[Index, ...]) -> tuple[Poly, list[Term]]:
    fitting = [i for i in free if i.size is length]
    kind = draw(st.sampled_from(["plain", "plain", "plain", "flip", "shift", "fixed", "gather"]))
    if fitting and kind == "plain":
        return i_poly(draw(st.sampled_from(fitting))), []
    if fitting and kind == "flip":
        return length - 1 - i_poly(draw(st.sampled_from(fitting))), []
    if fitting and kind == "shift":
        p = i_poly(draw(st.sampled_from(fitting))) - 1
        return p, [bracket(">=", p)]
    if fitting and kind == "gather" and length is N:
        return entry("ids", draw(st.sampled_from(fitting))), []
    return i_poly(draw(st.sampled_from(fitting))) if fitting and kind != "fixed" else length - 1, []


@st.composite
def terms(draw: st.DrawFn, shapes: dict[str, tuple[Poly, ...]], free: tuple[Index, ...], depth: int) -> Term:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(shapes)))
        found = [position(draw, length, free) for length in shapes[name]]
        return mul(*(g for _, guards in found for g in guards), ref(name, *(p for p, _ in found)))
    kind = draw(st.sampled_from(["add", "mul", "func", "sum", "number", "prod", "mask"]))
    inner = terms(shapes, free, depth - 1)
    if kind == "add":
        return add(draw(inner), draw(inner))
    if kind == "mul":
        return mul(draw(inner), draw(inner))
    if kind == "func":
        return func(draw(st.sampled_from(["sin", "tanh", "sigmoid"])), draw(inner))
    if kind == "number":
        return mul(number(draw(st.sampled_from([2, -1, 0.5]))), draw(inner))
    if kind == "mask" and free:
        return mul(bracket("!=", i_poly(draw(st.sampled_from(free)))), draw(inner))
    i = Index(draw(st.sampled_from("pq")), draw(st.sampled_from([N, K])), depth)
    body = draw(terms(shapes, (*free, i), depth - 1))
    return (summation if kind != "prod" else product)([i], body)


@settings(max_examples=120, deadline=None)
@given(programs(), st.integers(0, 1000))
def test_random_programs(program: Program, seed: int) -> None:
    holds(program, seed)


def test_the_tester_rejects_a_wrong_adjoint(monkeypatch: pytest.MonkeyPatch) -> None:
    import derivcheck.derivation.sweep as sweep

    monkeypatch.setattr(sweep, "derivative", lambda node, child: neg(ONE))
    with pytest.raises(AssertionError):
        holds(one({"x": (N,)}, (n,), func("sin", ref("x", n))))


def test_rows_that_are_laid_side_by_side_go_back_by_their_digits() -> None:
    """``y[c, p] := x[2c + p mod 2, p//2]``: the place of each element is read, none is looked for among all."""
    c, p = Index("c", N), Index("p", 2 * M)
    half = i_poly(p) // 2
    y = Definition("y", (c, p), ref("x", 2 * i_poly(c) + i_poly(p) - 2 * half, half))
    program = Program((Input("x", (2 * N, M)),), (y,), ("y",))
    found = adjoint(program).definitions[-1]
    row, column = (i_poly(i) for i in found.indices)
    assert found.term is ref("grad_output", row // 2, row + 2 * column - 2 * (row // 2))
