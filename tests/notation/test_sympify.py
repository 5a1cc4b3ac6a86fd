"""The SymPy form of a term has the term's values."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sympy

from derivcheck.notation.functions.table import functions
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.sympify import to_sympy

SIZES = {"N": 3, "K": 4}
TEXTS = [
    "sum(k: x[n,k]*w[k]) + c",
    "exp(x[n,0])/sum(k: exp(x[n,k]))",
    "sum(k: [k >= 1]*x[n,k-1]*w[k])",
    "sum(k: [ids[n] == k]*w[k]) - [n != 1]*c",
    "x[n, ids[n]]^2/(N*K)",
    "sum(k: [x[n,k] > 0]*x[n,k])",
    "[c > 100]*log(-1 - c^2) + n*K",
    "prod(k: 1 + x[n,k])",
    "prod(k: sum(k: x[n,k]) - w[k])",
    "max(k: x[n,k]) + min(k: w[k])",
    "sum(k: [n == k]/sum(k: exp(w[k])))",
    "w[(n + 2)//2] + w[max(n, 1)]",
    "sum(k: silu(x[n,k])) + gelu(c) + softplus(c) - pi",
    "sum(n: x[n,0]*sum(k: x[n,k]^2))^(1/3)",
    "sum(m < N, k: x[m,k]*[m - n >= 0])",
]


def data() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(3, 4)), "w": rng.normal(size=4), "c": np.array(0.7), "ids": np.array([2, 0, 3])}


def numbers(expr: Any, inputs: dict[str, Any]) -> float:
    values = {}
    for name, a in inputs.items():
        for at in itertools.product(*map(range, a.shape)):
            values[sympy.IndexedBase(name)[at] if at else sympy.Symbol(name)] = (
                sympy.nsimplify(a[at].item()) if a[at] == int(a[at]) else sympy.Float(a[at].item())
            )
    for _ in range(3):  # an entry inside a position gives an element that is looked up then
        expr = expr.xreplace(values).doit()
    return float(expr)


def program(text: str) -> Program:
    lines = ("input x[N, K]", "input w[K]", "input c", "input ids[N] int < K", f"y[n < N] := {text}")
    return parse_program("\n".join(lines))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("given", [True, False])
def test_the_same_numbers(text: str, given: bool) -> None:
    p = program(text)
    inputs = data()
    expected = evaluate(p, inputs, SIZES)["y"]
    d = p.definition("y")
    expr = to_sympy(d.term, SIZES if given else None)
    if not given:
        expr = expr.subs({s: SIZES[s.name] for s in expr.free_symbols if s.name in SIZES and s.is_integer})
    n = sympy.Symbol("n", integer=True, nonnegative=True)
    for at in range(SIZES["N"]):
        np.testing.assert_allclose(numbers(expr.subs(n, at), inputs), expected[at], rtol=1e-10)


def test_every_scalar_function() -> None:
    for name, row in functions().items():
        if row.arity == 0 or name == "inf":
            continue
        args = ", ".join(f"x{k}" for k in range(row.arity))
        p = parse_program(f"y := {name}({args})")
        own = {"acosh": 1.3, "log1mexp": -0.3}.get(name)
        at = {
            f"x{k}": np.array(1.0 if (name, k) == ("polygamma", 0) else 0.4 + k / 10 if own is None else own)
            for k in range(row.arity)
        }
        found = numbers(to_sympy(p.definition("y").term), at)
        np.testing.assert_allclose(found, evaluate(p, at)["y"], rtol=1e-12, err_msg=name)


def test_symbols() -> None:
    p = parse_program("y[n] := sum(k: x[n,k])/K", {"x": "N K"})
    expr = to_sympy(p.definition("y").term)
    (size,) = (s for s in expr.free_symbols if s.name == "K")
    assert size.is_integer and size.is_positive
    assert expr.atoms(sympy.Sum) and sympy.IndexedBase("x") in expr.atoms(sympy.IndexedBase)


def test_a_delta_has_one_spelling() -> None:
    left, right = (
        to_sympy(parse_program(f"y[n,k] := [{t}]*x[n,k]", {"x": "N N"}).definition("y").term) for t in ("n == k", "k == n")
    )
    assert left == right and left.has(sympy.KroneckerDelta)
