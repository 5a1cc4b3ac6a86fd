"""The exact witness: the forward at a small shape, one symbol per element, differentiated by SymPy.

It expands ``Σ`` into plain sums, so nothing of the index calculus is used; the derived adjoint is then
evaluated exactly at the same rational point and must be the same number (to 40 digits where a function is not rational).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.checking.draw import fitting, possible
from derivcheck.checking.report import Witness
from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.symbolic import Symbolic

ELEMENTS = 40  # of all inputs together
SIZES = (2, 3, 2, 1, 2, 3)
DIGITS = 40
OPERATIONS = 2000  # of an expression that is still differentiated
SECONDS = 3.0  # of the processor, for the whole of it; it is done once per derivation

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
    sizes = small_sizes(derivation.program)
    if sizes is None:
        return None
    end = time.process_time() + SECONDS
    for signs in (True, False):  # a logarithm or a root may want everything positive
        found = _at(derivation, sizes, signs, end)
        if found is None or any(w.agrees is not None for w in found.values()):
            return found
    return found


def _at(derivation: Derivation, sizes: dict[str, int], signs: bool, end: float) -> dict[str, Witness] | None:
    """The comparison at one rational point, of both signs or positive."""
    import sympy

    program = derivation.program
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
                names[at] = sympy.Symbol(f"{a.name}{list(at)}", real=True)  # x[1, 0] is not x_1[0]
                value = next(picks)
                value = value if signs and a.role != "constant" else abs(value)
                numbers[at] = point[names[at]] = sympy.Rational(value.numerator, value.denominator)
            else:
                names[at] = numbers[at] = sympy.Integer(k % max(below, 1))
        symbols[a.name], values[a.name] = names, numbers
    if len(point) > ELEMENTS:
        return None

    def numbers_of(digits: int | None) -> Symbolic:
        return Symbolic(point, digits, seconds=end - time.process_time())

    frozen = [d for d in program.definitions if d.stop]
    if frozen:  # what no gradient flows through is a number
        still = evaluate(program, values, sizes, numbers_of(None))
        symbols.update({d.name: still[d.name] for d in frozen})
    moving = replace(
        program,
        arguments=(*program.arguments, *(Input(d.name, d.dims, d.kind) for d in frozen)),
        definitions=tuple(d for d in program.definitions if not d.stop),
    )
    forward = evaluate(moving, symbols, sizes, numbers_of(None))
    total, ups = _weighted(derivation, {**symbols, **forward}, picks)
    if total is None or sympy.count_ops(total) > OPERATIONS:
        return None
    derived = evaluate(derivation.adjoint, {**values, **ups}, sizes, numbers_of(DIGITS))
    where = "at " + ", ".join(f"{n}={v}" for n, v in sizes.items()) if sizes else "exactly"
    out = {}
    for name, bar in zip(derivation.wrt, derivation.adjoint.outputs):
        apart: list[float] = []
        elements = list(np.ndindex(*symbols[name].shape))
        for at in elements:
            if time.process_time() > end:
                break
            off = _apart(_placed(sympy.diff(total, symbols[name][at]), point), derived[bar][at])
            if off is not None:
                apart.append(off)
        note = where if len(apart) == len(elements) else f"{where}, {len(apart)} of {len(elements)} elements"
        out[name] = Witness("SymPy", not any(apart) if apart or not elements else None, max(apart, default=0.0), 0.0, note)
    return out


def _placed(term: Any, point: Mapping[Any, Any]) -> Any:
    """The value of a term at a point.  ``subs`` compares each symbol with every part; ``xreplace`` looks it up."""
    import sympy

    return term.subs(point) if term.has(sympy.Derivative, sympy.Subs) else term.xreplace(point)


def _weighted(derivation: Derivation, arrays: Mapping[str, Any], picks: Iterator[Fraction]) -> tuple[Any, dict[str, Any]]:
    """``Σ g·output`` with rational upstream gradients, and these by name; None where an output has no value."""
    import sympy

    total: Any = sympy.Integer(0)
    ups: dict[str, Any] = {}
    floats = [o for o in derivation.program.outputs if derivation.program.kind(o) == "float"]
    for o, up in zip(floats, derivation.upstream):
        g = np.empty(arrays[o].shape, dtype=object)
        for at in np.ndindex(*g.shape):
            if arrays[o][at] is None:
                return None, {}
            value = next(picks)
            g[at] = sympy.Rational(value.numerator, value.denominator)
            total += g[at] * arrays[o][at]
        ups[up] = g
    return total, ups


def _apart(right: Any, found: Any) -> float | None:
    """0 where the numbers are equal, or agree to all digits but the last few; None where there is no real number to compare."""
    if found is None:
        return None
    difference = right - found
    if difference.is_Rational:
        return abs(float(difference))
    a, b = right.evalf(DIGITS), found.evalf(DIGITS)
    if not (a.is_Float or a.is_Rational) or not (b.is_Float or b.is_Rational):
        return None
    off = abs(a - b)
    return 0.0 if off <= max(abs(a), abs(b), 1) * 10 ** (8 - DIGITS) else float(off)


def small_sizes(program: Program) -> dict[str, int] | None:
    """Small values of the sizes at which every dimension is at least 1; None where there are none."""
    names = program.sizes()
    for shift in range(4):
        sizes = {n: SIZES[(k + shift) % len(SIZES)] for k, n in enumerate(names)}
        found = fitting(program, sizes, names)
        if found is not None:
            return found
    for size in (4, 5, 6, 8):
        if possible(program, dict.fromkeys(names, size)):
            return dict.fromkeys(names, size)
    return None


def rationals() -> Any:
    """Distinct rationals of both signs, none of them 0, 1 or an integer."""
    k = 0
    while True:
        n = (7 * k + 3) % 37 + 1
        yield ((n if k % 3 else -n), 16 + k % 5 if (16 + k % 5) and n % (16 + k % 5) else 17)
        k += 1
