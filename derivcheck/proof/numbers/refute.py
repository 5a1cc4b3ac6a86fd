"""Numbers refute: the smallest sizes at which two formulas differ, exactly where the formulas are rational.

Candidates are found in float64; what is reported was confirmed in exact rational arithmetic, or with 60 digits where a
function is not rational.  A difference that is not confirmed refutes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from time import perf_counter
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Bracket, Over, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact
from derivcheck.proof.numbers.decimals import DIGITS, Digits
from derivcheck.proof.numbers.samples import beside, reach, sample, values_at, writes_astray
from derivcheck.proof.numbers.sizes_to_try import assignments
from derivcheck.proof.report.counterexample import Counterexample, Evidence

# Where not all of the forward is defined at numbers of both signs: positive ones, those below 1/2, those above 1.
UNTIL_DEFINED = ((True, Fraction(1, 3)), (True, 4))


def compared(
    program: Program, pairs: Sequence[tuple[str, str, str]], seconds: float = 0.6, masks: frozenset[str] = frozenset()
) -> Evidence:
    """Compare definitions of a Program on numbers.

    Args:
        program: one Program that defines both sides; where one of its outputs is not defined nothing is compared.
        pairs: (the gradient's public name, the definition that claims it, the definition that is it).
        masks: inputs that may be 0 in whole regions (see :mod:`~derivcheck.proof.assumptions.kinks`).
    """
    far = reach(program)
    start = perf_counter()
    tried: list[dict[str, int]] = []
    first: Counterexample | None = None
    refuted: set[str] = set()
    for round_, sizes in enumerate(assignments(program)):
        if perf_counter() - start > seconds and tried:
            break
        open_ = [p for p in pairs if p[0] not in refuted]
        told = False
        wide, zeroed = (far, masks) if round_ % 2 else (1, frozenset[str]())
        for positive, stretch in ((False, wide), (True, wide), *UNTIL_DEFINED):
            inputs = sample(program, sizes, 7 * round_ + 1, positive, stretch, zeroed)
            if inputs is None:
                break
            found = _at(program, open_, sizes, inputs)
            if found is None:
                continue
            told = True
            for name, claimed, gradient in found:
                example = lasting(program, name, claimed, gradient, sizes, inputs, zeroed)
                if example is not None:
                    first = first or example
                    refuted.add(name)
            break
        if told:
            tried.append(sizes)
        if len(refuted) == len(pairs):
            break
    ends = (*tried[:1], *tried[-1:])
    variants = [(sizes, stretch, zeroed) for sizes in ends for stretch, zeroed in ((1, frozenset[str]()), (far, masks))]
    for sizes, stretch, zeroed in variants if perf_counter() - start < seconds else ():  # what float64 does not show
        for name, claimed, gradient in [p for p in pairs if p[0] not in refuted]:
            inputs = sample(program, sizes, 5, False, stretch, zeroed)
            astray = inputs is None or writes_astray(program, sizes, inputs)
            example = None if inputs is None or astray else lasting(program, name, claimed, gradient, sizes, inputs, zeroed)
            if example is not None and _clear(example):
                first = first or example
                refuted.add(name)
    return Evidence(tuple(tried), first, frozenset(refuted))


def _clear(c: Counterexample) -> bool:
    """Whether a gap is larger than what a constant written as a float64 (0.7978845608028654) makes."""
    u, v = c.claimed, c.gradient
    return float(abs(u - v)) > 1e-12 * float(max(abs(u), abs(v)))


def alike(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays agree in float64, dimensions of size 1 left out."""
    a, b = np.squeeze(np.asarray(a, dtype=float)), np.squeeze(np.asarray(b, dtype=float))
    if a.shape != b.shape or not a.size:
        return False
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()), 1e-3)
    return bool((np.abs(a - b) <= tolerance * scale).all())


def _at(program: Program, pairs: Sequence[tuple[str, str, str]], sizes: Mapping[str, int], inputs: Mapping[str, Any]) -> Any:
    values = values_at(program, sizes, inputs)
    if values is None or any(np.isnan(np.asarray(values[n], dtype=float)).any() for n in program.outputs):
        return None
    differ = []
    usable = False
    for pair in pairs:
        a, b = np.asarray(values[pair[1]], dtype=float), np.asarray(values[pair[2]], dtype=float)
        fine = np.isfinite(a) & np.isfinite(b)
        if not fine.any():
            continue
        usable = True
        scale = max(float(np.abs(b[fine]).max()), float(np.abs(a[fine]).max()), 1e-6)
        if (np.abs(a[fine] - b[fine]) > 1e-7 * scale).any():
            differ.append(pair)
    return differ if usable else None


def lasting(
    program: Program,
    name: str,
    claimed: str,
    gradient: str,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Any],
    still: frozenset[str] = frozenset(),
) -> Counterexample | None:
    """The element where they differ, here and close by: at a tie that a step leaves, any subgradient is as good."""
    here = confirmed(program, name, claimed, gradient, sizes, inputs)
    if here is None or not _compares(program):
        return here
    close = beside(inputs, still)
    if _far_apart(program, claimed, gradient, sizes, close, here.index):
        return here
    near = confirmed(program, name, claimed, gradient, sizes, close)
    return here if near is not None and near.index == here.index else near


def _far_apart(
    program: Program, claimed: str, gradient: str, sizes: Mapping[str, int], inputs: Mapping[str, Any], at: tuple[int, ...]
) -> bool:
    """Whether float64 tells the two apart at one element, by more than its rounding."""
    needed = program.needed([n for n in (claimed, gradient, *program.outputs) if n not in program.inputs])
    values = values_at(needed, sizes, inputs)
    if values is None:
        return False
    a, b = (np.asarray(values[n], dtype=float) for n in (claimed, gradient))
    scale = max(float(np.abs(v[np.isfinite(v)]).max(initial=1e-6)) for v in (a, b))
    return bool(abs(a[at] - b[at]) > 1e-6 * scale)


def _compares(program: Program) -> bool:
    """Whether real numbers are compared in it."""
    return any(
        isinstance(t, Bracket) and isinstance(t.operand, Term) or isinstance(t, Over) and t.kind not in ("sum", "prod")
        for d in program.definitions
        for t in subterms(d.term)
    )


def confirmed(
    program: Program, name: str, claimed: str, gradient: str, sizes: Mapping[str, int], inputs: Mapping[str, Any]
) -> Counterexample | None:
    """The element where they differ, exactly or with many digits; None where that is not confirmed."""
    needed = program.needed([n for n in (claimed, gradient, *program.outputs) if n not in program.inputs])
    rational = pair_at(needed, claimed, gradient, sizes, inputs, Exact())
    if rational is not None:
        for at in np.ndindex(*rational[1].shape):
            u, v = rational[0][at], rational[1][at]
            if u is not None and v is not None and u != v:
                return Counterexample(dict(sizes), name, at, u, v, dict(inputs), True)
        return None
    short, long = (pair_at(needed, claimed, gradient, sizes, inputs, Digits(n)) for n in (DIGITS, 2 * DIGITS))
    if short is None or long is None:
        return None
    for at in np.ndindex(*long[1].shape):
        u, v, p, q = long[0][at], long[1][at], short[0][at], short[1][at]
        if any(x is None or not abs(x) < 10**DIGITS for x in (u, v, p, q)):
            continue
        gap = abs(u - v)
        # a gap that is rounding changes with the digits; one that is not stays
        if gap and abs((u - v) - (p - q)) <= 1e-9 * gap:
            return Counterexample(dict(sizes), name, at, u, v, dict(inputs), False)
    return None


def pair_at(
    program: Program, claimed: str, gradient: str, sizes: Mapping[str, int], inputs: Mapping[str, Any], numbers: Exact
) -> tuple[Any, Any] | None:
    """The values of the two definitions in such numbers; None stands for an element that is not defined."""
    try:
        values = {
            **{n: numbers.given(v, n) for n, v in inputs.items() if np.asarray(v).dtype == object},
            **evaluate(program, inputs, sizes, numbers),
        }
    except (DerivcheckError, ArithmeticError, IndexError, ValueError, TypeError, AttributeError):
        return None
    if any(v is None for n in program.outputs if n not in (claimed, gradient) for v in np.ravel(values[n])):
        return None
    return values[claimed], values[gradient]
