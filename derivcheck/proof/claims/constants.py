"""Decimal constants that stand for a fraction, a root or a multiple of π: ``1.4142135623730951`` is read as ``√2``, and said.

Torch code can only write ``√2`` or a third as a rounded number; taken as that rational number, no formula with it is the
gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import isqrt, pi

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import func, mul, number, power
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms

DIGITS = 14  # a constant with fewer is meant as it stands
LEAST = 10**6  # the denominator of one with many
CLOSE = Fraction(1, 1 << 51)  # a float64 lies within half of it, relatively


def exact_constants(program: Program) -> tuple[Program, tuple[str, ...]]:
    """The Program with such constants replaced, and what was read as what.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p, read = exact_constants(parse_program("y[n] := 1.4142135623730951*x[n]", {"x": "N"}))
    >>> print(p.definitions[0].term, read)
    2^(1/2)*x[n] ('1.4142135623730951 is read as 2^(1/2)',)
    """
    read: dict[str, None] = {}

    def change(t: Term) -> Term:
        if isinstance(t, Number):
            found = recognised(t.value)
            if found is not None:
                read.setdefault(f"{float(t.value)!r} is read as {found}")
                return found
        return t

    if not any(_may_stand_for_another(t) for d in program.definitions for t in subterms(d.term)):
        return program, ()
    definitions = tuple(replace(d, term=transform(d.term, change)) for d in program.definitions)
    return (replace(program, definitions=definitions), tuple(read)) if read else (program, ())


def _may_stand_for_another(t: Term) -> bool:
    return isinstance(t, Number) and t.value.denominator >= LEAST


@lru_cache(maxsize=1024)
def recognised(value: Fraction) -> Term | None:
    """The fraction, root or multiple of π that a rounded constant stands for, or None.

    >>> str(recognised(Fraction("0.3333333333333333"))), recognised(Fraction("0.3333"))
    ('1/3', None)
    """
    if value.denominator < LEAST or len(str(abs(value.numerator))) < DIGITS and len(str(value.denominator)) < DIGITS:
        return None
    sign = 1 if value > 0 else -1
    size = abs(value)
    plain = _simple(float(size))
    if plain is not None and Fraction(repr(float(size))) == size:  # as a float is written
        return number(sign * plain)
    for half in (1, 0):  # value² = r·π^k, or value = r·π^k
        for k in (0, 1, -1):
            if not half and not k:
                continue
            target = float(size) ** (2 if half else 1) / pi**k
            simple = _simple(target)
            if simple is None:
                continue
            inner = mul(number(simple), power(func("pi"), k)) if k else number(simple)
            if half and not k and _square(simple):
                continue
            return mul(number(sign), power(inner, Fraction(1, 2)) if half else inner)
    return None


def _simple(target: float) -> Fraction | None:
    for bound in _bounds():
        found = Fraction(target).limit_denominator(bound)
        if 0 < found.numerator <= 4096 and abs(Fraction(target) - found) <= 4 * CLOSE * found:
            return found
    return None


def _bounds() -> Iterator[int]:
    yield from (16, 256, 1024)


def _square(value: Fraction) -> bool:
    return all(isqrt(n) ** 2 == n for n in (value.numerator, value.denominator))
