"""The exact witness: dual numbers through every element, beside the derived gradient; a wrong one is contradicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import derivcheck as dc
from derivcheck.checking.check import check_at
from derivcheck.checking.witnesses.dual import Dual, Duals, _slope
from derivcheck.checking.witnesses.exact import exact
from derivcheck.derived import Derivation
from derivcheck.notation.functions.table import functions
from derivcheck.notation.terms.build import mul, number
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.proof.numbers.decimals import Digits

STEPS = ("floor", "ceil", "trunc", "round")
FUNCTIONS = [(f.name, k) for f in functions().values() for k in range(f.arity) if f.name not in STEPS]


@pytest.mark.parametrize("name, k", [p for p in FUNCTIONS if p != ("polygamma", 0)])
def test_slopes_are_those_of_the_functions(name: str, k: int) -> None:
    """Against a difference over 10^-60 in 200 digits, which knows no derivative."""
    arity, digits = functions()[name].arity, Digits(200)
    met = 0
    for x in (Fraction(5, 17), Fraction(-7, 18), Fraction(37, 16)):
        args = [Fraction(1), x] if name == "polygamma" else [x, Fraction(11, 19)][:arity]
        step = digits.mp.mpf(10) ** -60
        ends = [[digits.exactly(a) + (h if j == k else 0) for j, a in enumerate(args)] for h in (step, -step)]
        high, low = (digits.one_value(name, end) for end in ends)
        if high is not None and low is not None:
            with mpmath.workdps(60):
                found = _slope(name, arity, k)(*(Digits(60).exactly(a) for a in args))
            assert abs(found - (high - low) / (2 * step)) <= 1e-45 * (1 + abs(found))
            met += 1
    assert met


def test_products_sums_and_powers() -> None:
    x, y = Dual(Fraction(3), {"x": Fraction(1)}), Dual(Fraction(1, 2), {"y": Fraction(1)})
    total = x * x * y + x + Dual(Fraction(7))
    assert (total.value, dict(total.slopes)) == (Fraction(29, 2), {"x": Fraction(4), "y": Fraction(9)})
    cube = Duals(60, 1.0).one_power(x, Fraction(-3))
    assert cube.value == Fraction(1, 27) and abs(cube.slopes["x"] + mpmath.mpf(3) / 81) < 1e-15


def test_a_tower_of_exponentials_ends() -> None:
    """Decimals beyond every float64 are not carried on: the exponential of one has millions of digits."""
    program = parse_program("y := exp(exp(exp(exp(exp(exp(x))))))", {"x": ""})
    assert evaluate(program, {"x": 0.5}, numbers=Duals(30, 5.0))["y"].flat[0] is None
    near = evaluate(parse_program("y := exp(exp(exp(x)))", {"x": ""}), {"x": 0.5}, numbers=Duals(30, 5.0))["y"].flat[0]
    assert abs(float(near.value) / 181.33 - 1) < 1e-4


def norm(x: Tensor, w: Tensor) -> Tensor:
    return w * (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 0.1).sqrt()


def scan(x: Tensor, w: Tensor) -> Tensor:
    return (x * w).tanh().cumsum(-1)


def masked(x: Tensor, w: Tensor) -> Tensor:
    return torch.where(x > 0, x * w, w.exp()).relu().softmax(-1)


def stopped(x: Tensor, w: Tensor) -> Tensor:
    return (x - x.amax(-1, keepdim=True).detach()).exp() * w


@pytest.mark.parametrize("f", [norm, scan, masked, stopped])
@pytest.mark.parametrize("factor", [1, 1 + Fraction(1, 10**30)])
def test_a_wrong_derivation_is_contradicted(f: Callable[..., Tensor], factor: Fraction) -> None:
    """Far below what any other witness sees."""
    d = dc.derive(f, x=torch.randn(2, 3, dtype=torch.float64), w=torch.randn(3, dtype=torch.float64))
    adjoint = d.adjoint
    scaled = [replace(x, term=mul(number(factor), x.term)) if x.name == "w_bar" else x for x in adjoint.definitions]
    again = Derivation(d.program, d.wrt)
    again.__dict__["adjoint"] = replace(adjoint, definitions=tuple(scaled))
    found = {n: exact(again, n) for n in ("x", "w")}
    assert all(w is not None for w in found.values())
    assert {n: w.agrees for n, w in found.items() if w is not None} == {"x": True, "w": factor == 1}


def test_what_has_no_value_is_left_out() -> None:
    """A logarithm and a root are asked where they have a value; an inverse cosine between −1 and 1."""
    for f, count in ((torch.log, 6), (torch.rsqrt, 6), (torch.acos, 3)):
        shown = exact(dc.derive(lambda x, f=f: f(x), x=torch.rand(2, 3, dtype=torch.float64)), "x")
        assert shown is not None and shown.agrees
        assert (" of " in shown.note) == (count < 6)


def test_recurrences_are_asked_too() -> None:
    layer = nn.LSTM(2, 1).double()
    for row in check_at(layer, {"input": torch.randn(2, 2, 2, dtype=torch.float64)}):
        assert [w.agrees for w in row.witnesses if w.name == "SymPy"] == [True], row


def test_equal_numbers_that_rounding_tells_apart() -> None:
    """A comparison of what is equal by construction is one of equal numbers."""
    program = parse_program("y[n] := [exp(log(x[n])) - x[n] = 0]", {"x": "N"})
    x = np.array([Dual(Fraction(5, 17)), Dual(Fraction(1, 3))], dtype=object)
    assert [v.value for v in evaluate(program, {"x": x}, numbers=Duals(60, 5.0))["y"]] == [1, 1]
