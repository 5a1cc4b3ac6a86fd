"""The rounding bound: no correct arithmetic is outside it, and it is not loose without need."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import derivcheck as dc
from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.arithmetic.pairs import Pair, unit
from derivcheck.checking.arithmetic.products import ROUNDED, USUAL, Products, products_on
from derivcheck.checking.subject.devices import holds_double
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, div, func, mul, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Number
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact
from derivcheck.notation.values.numbers import Mask
from tests.checking.forwards import FORWARDS, D, N, d, n

HALF, SINGLE = torch.bfloat16, torch.float32


def test_the_rules() -> None:
    b = Bound(torch.float32)
    u = b.unit
    x = Pair(torch.tensor([3.0], dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64))
    y = Pair(torch.tensor([5.0], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64))
    assert float(b.add(x, y).error) == pytest.approx(0.1 + 0.2 + 8 * u)  # type: ignore[arg-type]
    assert float(b.mul(x, y).error) == pytest.approx(3 * 0.2 + 5 * 0.1 + 0.1 * 0.2 + 15 * u)  # type: ignore[arg-type]
    assert b.mul(Pair(torch.tensor(4.0, dtype=torch.float64)), Pair(torch.tensor([3.0], dtype=torch.float64))).error is None
    assert float(b.func("exp", [x]).error) >= float(torch.e**3.1 * 0.1)  # type: ignore[arg-type]
    assert b.depth(64) == 64 and b.depth(256) == 66 and Bound(SINGLE, coarse=True).depth(256) == 256
    assert b.number(Fraction(1, 3)).error is not None and b.number(Fraction(3, 8)).error is None


def test_addends_may_be_added_in_any_order() -> None:
    """x + a − b with large a and b, which all but cancel: (x + a) − b rounds like a, x + (a − b) like x."""
    p = Program(
        tuple(Input(v, (N,)) for v in "abx"), (Definition("y", (n,), add(ref("a", n), ref("b", n), ref("x", n))),), ("y",)
    )
    g = torch.Generator().manual_seed(0)
    x, small = torch.randn(2, 50, generator=g, dtype=torch.float64)
    a = 1e8 + small
    y = evaluate(p, {"a": a, "b": -a, "x": x}, None, Bound())["y"]
    assert bool((((x + a) - a) != x).any()) and bool((((x + a) - a - y.value).abs() <= y.error).all())
    assert bool((y.error <= 1e-7).all())


def test_nothing_known_is_unbounded_and_nothing_there_is_zero() -> None:
    b = Bound()
    at_zero = Pair(torch.tensor([0.0, 4.0], dtype=torch.float64), torch.tensor([0.1, 0.0], dtype=torch.float64))
    root = b.power(at_zero, Fraction(-1, 2))
    assert torch.isinf(root.error[0]) and float(root.error[1]) < 1e-15  # type: ignore[index]
    masked = b.where(Mask(np.array([False, True])), root)
    assert float(masked.value[0]) == 0 and float(masked.error[0]) == 0  # type: ignore[index]
    half = Bound(torch.float16)
    assert torch.isinf(
        half.mul(Pair(torch.tensor([1e3], dtype=torch.float64)), Pair(torch.tensor([1e3], dtype=torch.float64))).error
    ).all()  # type: ignore[union-attr, arg-type]


def test_an_open_bracket_adds_what_it_selects() -> None:
    b = Bound()
    x = Pair(torch.tensor([1e-20, 1.0, 0.0], dtype=torch.float64), torch.tensor([1e-18, 1e-18, 0.0], dtype=torch.float64))
    mask = b.compare(">", x)
    assert mask.holds.tolist() == [True, True, False] and mask.open is not None and mask.open.tolist() == [True, False, False]
    chosen = b.where(mask, Pair(torch.tensor([7.0, 7.0, 7.0], dtype=torch.float64)))
    assert chosen.error is not None and chosen.error.tolist() == [7.0, 0.0, 0.0] and b.open == 1


terms = st.recursive(
    st.sampled_from([ref("x", n, d), ref("y", n, d), ref("c", n), number(Fraction(1, 3)), number(2.5)]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda ts: add(*ts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda ts: mul(*ts)),
        st.tuples(inner, inner).map(lambda p: sub(*p)),
        inner.map(lambda t: func("tanh", t)),
        inner.map(lambda t: func("sigmoid", t)),
        inner.map(lambda t: power(add(power(t, 2), number(1)), div(Number(-1), Number(2)))),
        inner.map(lambda t: summation([d], mul(t, ref("x", n, d)))),
    ),
    max_leaves=7,
)


@settings(max_examples=60, deadline=None)
@given(terms, st.integers(0, 3), st.sampled_from([SINGLE, HALF, torch.float16]))
@example(func("tanh", number(Fraction(125, 8))), 0, SINGLE)  # 1 in float32, and 1 - 5.36e-14 with a rounding of float64
def test_computing_in_a_type_stays_within_its_bound(term, seed: int, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    p = Program((Input("x", (N, D)), Input("y", (N, D)), Input("c", (N,))), (Definition("z", (n, d), term),), ("z",))
    g = torch.Generator().manual_seed(seed)
    tensors = {"x": torch.randn(3, 5, generator=g), "y": torch.randn(3, 5, generator=g), "c": torch.randn(3, generator=g)}
    tensors = {k: t.to(dtype) for k, t in tensors.items()}
    pair = evaluate(p, tensors, numbers=Bound(dtype))["z"]
    computed = evaluate(p, tensors, numbers=Live(dtype))["z"].double()
    error = torch.zeros_like(pair.value) if pair.error is None else pair.error
    finite = torch.isfinite(error) & torch.isfinite(computed)
    assert bool(((computed - pair.value).abs() <= error)[finite].all())


def test_within_exact_arithmetic_in_float64() -> None:
    p = Program((Input("x", (N,)),), (Definition("z", (), div(summation([n], power(ref("x", n), 2)), size_of(N))),), ("z",))
    x = torch.randn(301, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = evaluate(p, {"x": x}, numbers=Exact())["z"].item()
    pair = evaluate(p, {"x": x}, numbers=Bound())["z"]
    error = abs(Fraction(float(pair.value)) - exact)
    assert 0 < error <= Fraction(float(pair.error)) <= 1000 * error + Fraction(1, 10**12)


def test_products_of_errors_count() -> None:
    """LayerNorm of constant rows: both factors are mostly error, and leaving out E_a·E_b would alarm on right code."""
    from derivcheck.derivation.sweep import adjoint

    f = FORWARDS["norm"]
    a = adjoint(f.program, f.wrt)
    tensors = {"x": torch.full((4, 48), 1.3), "w": torch.randn(48), "b": torch.randn(48), "grad_output": torch.randn(4, 48)}
    pairs = evaluate(a, tensors, numbers=Bound(SINGLE))
    found = f.backward(**tensors)["x"].double()

    class Without(Bound):
        def mul(self, a: Pair, b: Pair) -> Pair:
            full = super().mul(a, b)
            if full.error is None or a.error is None or b.error is None:
                return full
            return Pair(full.value, full.error - a.error * b.error)

        def matmul(self, a: Pair, b: Pair) -> Pair:
            full = super().matmul(a, b)
            return full if a.error is None or b.error is None else Pair(full.value, full.error - a.error @ b.error)

    assert bool(((found - pairs["x_bar"].value).abs() <= pairs["x_bar"].error).all())
    without = evaluate(a, tensors, numbers=Without(SINGLE))["x_bar"]
    assert float((without.error / pairs["x_bar"].error).min()) < 0.9


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_unit(dtype: torch.dtype) -> None:
    one = torch.ones((), dtype=dtype)
    assert one + unit(dtype) * 0.99 == one and one + unit(dtype) * 2 != one


def test_a_step_within_rounding_may_fall_either_way() -> None:
    """x/0.1 in bfloat16 is 3.5 or a little less: rounded, 4 or 3."""
    x = torch.tensor([0.7, 0.3, 0.5, -0.9, 0.1] * 20) + torch.linspace(0, 0.4, 100)
    report = dc.check(lambda x: (x / 0.1).round() * 0.1 + x, {"x": x}, dtype=torch.bfloat16)
    assert report.passed, str(report)


# -- torch's switches ----------------------------------------------------------------
def rounded_to(t: torch.Tensor, bits: int) -> torch.Tensor:
    """float32 numbers with so many stored digits, rounded to the nearest."""
    step = 1 << (23 - bits)
    return ((t.view(torch.int32) + step // 2) & -step).view(torch.float32)


@pytest.mark.parametrize(("precision", "bits"), [("tf32", 10), ("bf16", 7)])
@pytest.mark.parametrize("n", [1, 7, 300])
def test_products_of_rounded_factors_are_within(precision: str, bits: int, n: int) -> None:
    """What a tensor core does, computed here: it is outside the usual bound, and within the one for it, which is not loose."""
    torch.manual_seed(n)
    a, b = torch.randn(40, n), torch.randn(n, 40)
    worst = 0.0
    for products, inside in ((USUAL, False), (Products(ROUNDED[precision]), True)):
        pair = Bound(SINGLE, products=products).matmul(Pair(a.double()), Pair(b.double()))
        assert pair.error is not None
        off = (rounded_to(a, bits) @ rounded_to(b, bits)).double() - pair.value
        worst = float((off.abs() / pair.error).max())
        assert (worst <= 1) == inside, worst
    assert worst > 0.05 or n == 300


def test_the_switches_of_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = ("torch.nn.functional.conv2d({}, {})",)
    cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    before = cuda.fp32_precision, cpu.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    try:
        cuda.fp32_precision = cpu.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "ieee"
        assert products_on("cuda", SINGLE, conv) == products_on("cpu", SINGLE) == Products()
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        assert products_on("cuda", SINGLE, conv).factor == 2.0**-11 and products_on("cuda", SINGLE).factor == 0
        cuda.fp32_precision = "tf32"
        found = products_on("cuda:0", SINGLE)
        assert found.factor == 2.0**-11 and found.words == "torch.backends.cuda.matmul.fp32_precision = 'tf32'"
        assert products_on("cpu", SINGLE).factor == 0, "a switch of another device"
        assert products_on("cuda", torch.float64) == products_on("mps", SINGLE) == USUAL
        cpu.fp32_precision = "bf16"
        assert products_on("cpu", SINGLE).factor == unit(HALF)
    finally:
        cuda.fp32_precision, cpu.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before


def test_sums_in_less_digits() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction
    try:
        matmul.allow_bf16_reduced_precision_reduction = False
        assert products_on("cuda", HALF) == USUAL
        matmul.allow_bf16_reduced_precision_reduction = True
        found = products_on("cuda", HALF)
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before
    assert found.parts == unit(HALF) and found.rounding(256) == 0 and found.rounding(1024) == 3 * unit(HALF)
    assert products_on("cpu", HALF) == USUAL
    a, b = (Pair(torch.rand(2, 2, 1024, dtype=torch.float64)[k]) for k in (0, 1))
    whole = Products(accumulator=unit(torch.float16))
    usual, wider = (Bound(torch.float16, products=p).matmul(a, Pair(b.value.mT)).error for p in (USUAL, whole))
    assert usual is not None and wider is not None and bool((wider > 10 * usual).all())


def test_a_check_under_a_switch_says_so() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    try:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
        report = dc.check(torch.nn.Linear(64, 3), {"input": torch.randn(5, 64)}, dtype=SINGLE)
        exact = dc.check(torch.nn.Linear(64, 3), {"input": torch.randn(5, 64)})
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    said = "the bound has what matrix products round under torch.backends.mkldnn.matmul.fp32_precision = 'bf16'"
    assert report.passed and said in report.notes, report
    assert said not in exact.notes


def test_a_device_without_float64_is_checked_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivcheck.checking.check.holds_double", lambda device: False)
    report = dc.check(torch.sin, {"input": torch.randn(4)})
    assert report.passed and report.dtype == "float32" and "device 'cpu' has no float64: checked in float32" in report.notes
    assert dc.check(torch.sin, {"input": torch.randn(4)}, dtype=SINGLE).notes[-1:] != report.notes[-1:]


def test_whether_a_device_holds_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> torch.Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")

    assert holds_double("cpu") and holds_double("cuda:77"), "what is not there is told of elsewhere"
    monkeypatch.setattr(torch, "empty", refuses)
    assert not holds_double("mps")
