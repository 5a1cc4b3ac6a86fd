"""The exact witness: the forward at a small shape, one symbol per element, differentiated by SymPy.

It expands ``Σ`` into plain sums, so nothing of the index calculus is used; the derived adjoint is then
evaluated exactly at the same rational point and must be the same number (to 40 digits where a function is not rational).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.checking.report import Witness
from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError
from derivcheck.notation.meaning import evaluate
from derivcheck.notation.numbers import Symbolic
from derivcheck.notation.program import Input, Program

ELEMENTS = 40  # of all inputs together
SIZES = (2, 3, 2, 1, 2, 3)
DIGITS = 40
OPERATIONS = 4000  # of an expression that is still differentiated

_known: dict[tuple[Program, Program, tuple[str, ...]], dict[str, Witness] | None] = {}


def exact(derivation: Derivation, name: str) -> Witness | None:
    """What SymPy says of the derived gradient in ``name`` at a small shape; None where the forward is too much for it."""
    key = (derivation.program, derivation.adjoint, derivation.wrt)
    if key not in _known:
        if len(_known) > 256:
            _known.clear()
        try:
            _known[key] = _compare(derivation)
        except (DerivcheckError, ArithmeticError, TypeError, AttributeError, ValueError, RecursionError):
            _known[key] = None
    found = _known[key]
    return None if found is None else found.get(name)


def _compare(derivation: Derivation) -> dict[str, Witness] | None:
    import sympy

    program = derivation.program
    sizes = small_sizes(program)
    if sizes is None:
        return None
    point: dict[Any, Any] = {}
    symbols: dict[str, Any] = {}
    values: dict[str, Any] = {}
    picks = (Fraction(n, d) for n, d in rationals())
    for a in program.arguments:
        shape = tuple(p.at(sizes) for p in a.dims)
        below = a.below.at(sizes) if a.below is not None else 2
        names, numbers = np.empty(shape, dtype=object), np.empty(shape, dtype=object)
        for k, at in enumerate(np.ndindex(*shape)):
            if a.kind == "float":
                names[at] = sympy.Symbol(f"{a.name}_{'_'.join(map(str, at))}", real=True)
                value = next(picks)
                value = abs(value) if a.role == "constant" else value
                numbers[at] = point[names[at]] = sympy.Rational(value.numerator, value.denominator)
            else:
                names[at] = numbers[at] = sympy.Integer(k % max(below, 1))
        symbols[a.name], values[a.name] = names, numbers
    if len(point) > ELEMENTS:
        return None
    frozen = [d for d in program.definitions if d.stop]
    if frozen:  # what no gradient flows through is a number
        still = evaluate(program, values, sizes, Symbolic(point))
        symbols.update({d.name: still[d.name] for d in frozen})
    moving = replace(
        program,
        arguments=(*program.arguments, *(Input(d.name, d.dims, d.kind) for d in frozen)),
        definitions=tuple(d for d in program.definitions if not d.stop),
    )
    forward = evaluate(moving, symbols, sizes, Symbolic(point))
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    total: Any = sympy.Integer(0)
    ups: dict[str, Any] = {}
    for o, up in zip(floats, derivation.upstream):
        g = np.empty(forward[o].shape, dtype=object) if o in forward else np.empty(symbols[o].shape, dtype=object)
        for at in np.ndindex(*g.shape):
            value = next(picks)
            g[at] = sympy.Rational(value.numerator, value.denominator)
            total += g[at] * (forward[o] if o in forward else symbols[o])[at]
        ups[up] = g
    if sympy.count_ops(total) > OPERATIONS:
        return None
    derived = evaluate(derivation.adjoint, {**values, **ups}, sizes, Symbolic(point, DIGITS))
    note = "at " + ", ".join(f"{n}={v}" for n, v in sizes.items()) if sizes else "exactly"
    out = {}
    for name, bar in zip(derivation.wrt, derivation.adjoint.outputs):
        worst = 0.0
        for at in np.ndindex(*symbols[name].shape):
            right = sympy.diff(total, symbols[name][at]).subs(point)
            worst = max(worst, _apart(right, derived[bar][at]))
        out[name] = Witness("SymPy", worst == 0.0, worst, 0.0, note)
    return out


def _apart(right: Any, found: Any) -> float:
    """0 where the numbers are equal, or agree to all digits but the last few."""
    if found is None:
        return math.inf
    difference = right - found
    if difference.is_Rational:
        return abs(float(difference))
    off = abs(difference.evalf(DIGITS))
    size = max(abs(right.evalf(DIGITS)), abs(found.evalf(DIGITS)), 1)
    return 0.0 if off <= size * 10 ** (8 - DIGITS) else float(off)


def small_sizes(program: Program) -> dict[str, int] | None:
    """Small values of the sizes at which every dimension is at least 1; None where there are none."""
    names = program.sizes()
    for shift in range(4):
        sizes = {n: SIZES[(k + shift) % len(SIZES)] for k, n in enumerate(names)}
        if _fits(program, sizes):
            return sizes
    for size in (4, 5, 6, 8):
        if _fits(program, dict.fromkeys(names, size)):
            return dict.fromkeys(names, size)
    return None


def _fits(program: Program, sizes: Mapping[str, int]) -> bool:
    try:
        lengths = [p.at(sizes) for a in program.arguments for p in a.dims]
        lengths += [p.at(sizes) for d in program.definitions for p in d.dims if not p.names]
    except (KeyError, ZeroDivisionError):
        return False
    return all(n >= 1 for n in lengths)


def rationals() -> Any:
    """Distinct rationals of both signs, none of them 0, 1 or an integer."""
    k = 0
    while True:
        n = (7 * k + 3) % 37 + 1
        yield ((n if k % 3 else -n), 16 + k % 5 if (16 + k % 5) and n % (16 + k % 5) else 17)
        k += 1
