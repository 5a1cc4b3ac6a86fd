"""Floats as the rationals that were meant."""

from __future__ import annotations

from fractions import Fraction


def exact(x: float) -> Fraction:
    """The simplest rational that rounds to this float, else its shortest decimal: 0.333… is 1/3, 1e-05 is 1/100000.

    >>> exact(1 / 3), exact(1e-5)
    (Fraction(1, 3), Fraction(1, 100000))
    """
    near = Fraction(x).limit_denominator(1000)  # as a person writes one; a longer decimal is meant as it stands
    return near if float(near) == x else Fraction(repr(x))
