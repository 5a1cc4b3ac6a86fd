"""Numbers refute: the smallest sizes at which two formulas differ, exactly where the formulas are rational.

Candidates are found in float64; what is reported was confirmed in exact rational arithmetic, or with 60 digits where a
function is not rational.  A difference that is not confirmed refutes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import MATRICES, Bracket, Over, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.numbers.decimals import DIGITS, Digits
from derivcheck.proof.numbers.samples import Draw, Point, beside, draws, points, reach, sample, values_at, writes_astray
from derivcheck.proof.numbers.sizes_to_try import assignments
from derivcheck.proof.report.counterexample import Counterexample, Evidence


def compared(program: Program, claims: Sequence[Claim], seconds: float = 0.6, masks: frozenset[str] = frozenset()) -> Evidence:
    """Compare definitions of a Program on numbers.

    Args:
        program: one Program that defines both sides; where one of its outputs is not defined nothing is compared.
        masks: inputs that may be 0 in whole regions (see :mod:`~derivcheck.proof.assumptions.kinks`).
    """
    far = reach(program)
    end = perf_counter() + seconds
    tried: list[dict[str, int]] = []
    found: dict[str, Counterexample] = {}

    def still_open() -> list[Claim]:
        return [c for c in claims if c.name not in found]

    for round_, sizes in enumerate(assignments(program)):
        if perf_counter() > end and tried:
            break
        every = draws(far, masks) if round_ % 2 else draws()
        differ = _first_told(program, still_open(), points(program, sizes, 7 * round_ + 1, every))
        if differ is not None:
            tried.append(sizes)
            found.update(differ)
        if len(found) == len(claims):
            break
    for sizes in (*tried[:1], *tried[-1:]) if still_open() and perf_counter() < end else ():  # what float64 does not show
        for draw in (Draw(), Draw(False, far, masks=masks)):
            point = sample(program, sizes, 5, draw)
            if point is not None and not writes_astray(program, point):
                examples = {c.name: lasting(program, c, point) for c in still_open()}
                found.update({n: e for n, e in examples.items() if e is not None and _clear(e)})
    return Evidence(tuple(tried), found)


def _first_told(program: Program, claims: Sequence[Claim], every: Iterable[Point]) -> dict[str, Counterexample] | None:
    """Where claims differ at the first point at which something can be told; None where nothing can."""
    for point in every:
        differ = _differing(program, claims, point)
        if differ is not None:
            examples = {c.name: lasting(program, c, point) for c in differ}
            return {n: e for n, e in examples.items() if e is not None}
    return None


def _clear(c: Counterexample) -> bool:
    """Whether a gap is larger than what a constant written as a float64 (0.7978845608028654) makes."""
    u, v = c.claimed, c.gradient
    return float(abs(u - v)) > 1e-12 * float(max(abs(u), abs(v)))


def alike(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays agree in float64, dimensions of size 1 left out."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if [n for n in a.shape if n != 1] != [n for n in b.shape if n != 1] or not a.size:
        return False
    a, b = a.ravel(), b.ravel()
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()), 1e-3)
    return bool(np.abs(a - b).max() <= tolerance * scale)


def finite_at(program: Program, point: Point) -> dict[str, Any] | None:
    """The values in float64; None where one of the Program's outputs is not defined."""
    values = values_at(program, point)
    if values is None or any(np.isnan(np.asarray(values[n], dtype=float)).any() for n in program.outputs):
        return None
    return values


def _differing(program: Program, claims: Sequence[Claim], point: Point) -> list[Claim] | None:
    """The claims that differ from the gradient in float64; None where nothing can be told."""
    values = finite_at(program, point)
    told = [differs(values[c.claim], values[c.target]) for c in claims] if values is not None else []
    return [c for c, t in zip(claims, told) if t] if any(t is not None for t in told) else None


def differs(claim: Any, gradient: Any) -> bool | None:
    """Whether two arrays differ in float64 where both are finite; None where they nowhere are."""
    a, b = np.asarray(claim, dtype=float), np.asarray(gradient, dtype=float)
    fine = np.isfinite(a) & np.isfinite(b)
    if not fine.any():
        return None
    scale = max(float(np.abs(b[fine]).max()), float(np.abs(a[fine]).max()), 1e-6)
    return bool((np.abs(a[fine] - b[fine]) > 1e-7 * scale).any())


def lasting(program: Program, c: Claim, point: Point) -> Counterexample | None:
    """The element where they differ, here and close by: at a tie that a step leaves, any subgradient is as good."""
    here = _confirmed(program, c, point)
    if here is None or not _compares(program):
        return here
    close = beside(point)
    if _far_apart(program, c, close, here.index):
        return here
    near = _confirmed(program, c, close)
    return here if near is not None and near.index == here.index else near


def _far_apart(program: Program, c: Claim, point: Point, at: tuple[int, ...]) -> bool:
    """Whether float64 tells the two apart at one element, by more than its rounding."""
    values = values_at(only(program, c.claim, c.target), point)
    if values is None:
        return False
    a, b = (np.asarray(values[n], dtype=float) for n in (c.claim, c.target))
    scale = max(float(np.abs(v[np.isfinite(v)]).max(initial=1e-6)) for v in (a, b))
    return bool(abs(a[at] - b[at]) > 1e-6 * scale)


def _compares(program: Program) -> bool:
    """Whether real numbers are compared in it."""
    return any(
        isinstance(t, Bracket)
        and isinstance(t.operand, Term)
        or isinstance(t, Over)
        and t.kind not in ("sum", "prod", *MATRICES)
        for d in program.definitions
        for t in subterms(d.term)
    )


def _confirmed(program: Program, c: Claim, point: Point) -> Counterexample | None:
    """The element where they differ, exactly or with many digits; None where that is not confirmed."""
    needed = only(program, c.claim, c.target)
    rational = pair_at(needed, c, point, Exact())
    if rational is not None:
        for at in np.ndindex(*rational[1].shape):
            u, v = rational[0][at], rational[1][at]
            if u is not None and v is not None and u != v:
                return Counterexample(dict(point.sizes), c.name, at, u, v, dict(point.inputs), True)
        return None
    short, long = (pair_at(needed, c, point, Digits(n)) for n in (DIGITS, 2 * DIGITS))
    if short is None or long is None:
        return None
    for at in np.ndindex(*long[1].shape):
        u, v, p, q = long[0][at], long[1][at], short[0][at], short[1][at]
        if any(x is None or not abs(x) < 10**DIGITS for x in (u, v, p, q)):
            continue
        gap = abs(u - v)
        # a gap that is rounding changes with the digits; one that is not stays
        if gap and abs((u - v) - (p - q)) <= 1e-9 * gap:
            return Counterexample(dict(point.sizes), c.name, at, u, v, dict(point.inputs), False)
    return None


def only(program: Program, *names: str) -> Program:
    """The definitions that these names and the outputs need."""
    return replace(program.needed([n for n in (*names, *program.outputs) if n not in program.inputs]), outputs=program.outputs)


def pair_at(program: Program, c: Claim, point: Point, numbers: Exact) -> tuple[Any, Any] | None:
    """The values of claim and gradient in such numbers; None stands for an element that is not defined."""
    try:
        values = {
            **{n: numbers.given(v, n) for n, v in point.inputs.items() if np.asarray(v).dtype == object},
            **evaluate(program, point.inputs, point.sizes, numbers),
        }
    except (DerivcheckError, ArithmeticError, IndexError, ValueError, TypeError, AttributeError):
        return None
    if any(v is None for n in program.outputs if n not in (c.claim, c.target) for v in np.ravel(values[n])):
        return None
    return values[c.claim], values[c.target]
