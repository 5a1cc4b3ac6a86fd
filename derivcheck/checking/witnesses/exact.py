"""The exact witness: the forward at a small shape, written out element by element, in exact numbers.

It expands ``Σ`` into plain sums of dual numbers (:mod:`~derivcheck.checking.witnesses.dual`), whose functions SymPy
differentiates, so nothing of the index calculus is used; the derived adjoint is then evaluated at the same rational point and
must be the same number (to 40 digits where a function is not rational).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np

from derivcheck.checking.arithmetic.cost import cost
from derivcheck.checking.report.row import Witness
from derivcheck.checking.subject.draw import fitting, possible
from derivcheck.checking.witnesses.dual import Dual, Duals
from derivcheck.derived import Derivation
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate

ELEMENTS = 40  # of all inputs together
SIZES = (2, 3, 2, 1, 2, 3)  # neighbours differ, one is 1; few elements, since each is an input of its own
DIGITS, KEPT = 60, 40  # that are computed with, and that have to agree
OPERATIONS = 2e5  # of the forward for all slopes together, and of the adjoint
SECONDS = 2.0  # of the processor, for the whole of it; it is done once per derivation

_known: dict[tuple[Program, Program, tuple[str, ...]], dict[str, Witness] | None] = {}


def exact(derivation: Derivation, name: str) -> Witness | None:
    """What SymPy says of the derived gradient in ``name`` at a small shape; None where the forward is too much for it."""
    key = (derivation.program, derivation.adjoint, derivation.wrt)
    if key not in _known:
        if len(_known) > 256:  # of a long run of tests: a derivation is asked for several times, then no more
            _known.clear()
        try:
            with mpmath.workdps(DIGITS):
                _known[key] = _compare(derivation)
        except (DerivcheckError, ArithmeticError, TypeError, AttributeError, ValueError, RecursionError):
            _known[key] = None
    found = _known[key]
    return None if found is None else found.get(name)


def _compare(derivation: Derivation) -> dict[str, Witness] | None:
    """The comparison at a small shape; on positive numbers instead, where more elements can be judged on those."""
    sizes = small_sizes(derivation.program)
    if sizes is None:
        return None
    best, most = _at(derivation, sizes, signs=True)
    if most is not None and most < sum(prod(p.at(sizes) for p in derivation.program.dims(n)) for n in derivation.wrt):
        positive, judged = _at(derivation, sizes, signs=False)  # a logarithm or a root may want everything positive
        best = positive if judged is not None and judged > most else best
    return best


def _at(derivation: Derivation, sizes: dict[str, int], signs: bool) -> tuple[dict[str, Witness] | None, int | None]:
    """The comparison at one rational point, of both signs or positive, and how many elements it could be made in."""
    program = derivation.program
    count = sum(prod(p.at(sizes) for p in a.dims) for a in program.arguments if a.kind == "float")
    if count > ELEMENTS or cost(program, sizes) * count + cost(derivation.adjoint, sizes) > OPERATIONS:
        return None, None
    seeded: dict[str, Any] = {}
    values: dict[str, Any] = {}
    picks = (Fraction(n, d) for n, d in rationals())
    for a in program.arguments:
        shape = tuple(p.at(sizes) for p in a.dims)
        below = a.below.at(sizes) if a.below is not None else 2
        seeds, numbers = np.empty(shape, dtype=object), np.empty(shape, dtype=object)
        for k, at in enumerate(np.ndindex(*shape)):
            value = Fraction(k % max(below, 1))
            if a.kind == "float":
                value = next(picks)
                value = value if signs and a.role != "constant" else abs(value)
            numbers[at] = Dual(value)
            seeds[at] = Dual(value, {(a.name, at): Fraction(1)}) if a.name in derivation.wrt else numbers[at]
        seeded[a.name], values[a.name] = seeds, numbers
    arithmetic = Duals(DIGITS, SECONDS)
    forward = evaluate(program, seeded, sizes, arithmetic)
    total, ups = _weighted(derivation, {**seeded, **forward}, picks)
    derived = evaluate(derivation.adjoint, {**values, **ups}, sizes, arithmetic)
    where = "at " + ", ".join(f"{n}={v}" for n, v in sizes.items()) if sizes else "exactly"
    out, judged = {}, 0
    for name, bar in zip(derivation.wrt, derivation.adjoint.outputs):
        elements = list(np.ndindex(*values[name].shape))
        pairs = ((total.slopes.get((name, at), Fraction(0)), derived[bar][at]) for at in elements)
        apart = [off for right, found in pairs if (off := _apart(right, found)) is not None]
        note = where if len(apart) == len(elements) else f"{where}, {len(apart)} of {len(elements)} elements"
        judged += len(apart)
        out[name] = Witness("SymPy", not any(apart) if apart or not elements else None, max(apart, default=0.0), 0.0, note)
    return out, judged


def _weighted(derivation: Derivation, arrays: Mapping[str, Any], picks: Iterator[Fraction]) -> tuple[Dual, dict[str, Any]]:
    """``Σ g·output`` with rational upstream gradients, and these by name; 0 where an output has no value."""
    total = Dual(Fraction(0))
    ups: dict[str, Any] = {}
    floats = [o for o in derivation.program.outputs if derivation.program.kind(o) == "float"]
    for o, up in zip(floats, derivation.upstream):
        g = np.empty(arrays[o].shape, dtype=object)
        for at in np.ndindex(*g.shape):
            there = arrays[o][at] is not None
            g[at] = Dual(next(picks) if there else Fraction(0))
            total = total + g[at] * arrays[o][at] if there else total
        ups[up] = g
    return total, ups


def _apart(right: Any, found: Any) -> float | None:
    """0 where the numbers are equal, or agree to all digits but the last few; None where there is no number to compare."""
    if found is None:
        return None
    if isinstance(right, Fraction) and isinstance(found.value, Fraction):
        return float(abs(right - found.value))
    a, b = (mpmath.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in (right, found.value))
    off = abs(a - b)
    if not mpmath.isfinite(off):
        return None
    return 0.0 if off <= max(abs(a), abs(b), 1) * mpmath.mpf(10) ** (8 - KEPT) else float(off)


def small_sizes(program: Program) -> dict[str, int] | None:
    """Small values of the sizes at which every dimension is at least 1; None where there are none."""
    names = program.sizes()
    for shift in range(4):
        sizes = {n: SIZES[(k + shift) % len(SIZES)] for k, n in enumerate(names)}
        found = fitting(program, sizes, names)
        if found is not None:
            return found
    for size in (4, 5, 6, 8):  # all equal, for code that wants equal, even or larger ones
        if possible(program, dict.fromkeys(names, size)):
            return dict.fromkeys(names, size)
    return None


def rationals() -> Any:
    """Distinct rationals of both signs, none of them 0, 1 or an integer."""
    k = 0
    while True:
        n = (7 * k + 3) % 37 + 1  # 37 is prime: each comes once before one comes again
        yield ((n if k % 3 else -n), 16 + k % 5 if (16 + k % 5) and n % (16 + k % 5) else 17)
        k += 1
