"""What a text divides by that cancels as it is read: ``x*(1/x)`` is 1 where x is not 0, and that is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from derivcheck.notation.program import Definition
from derivcheck.notation.sizes import nonnegative
from derivcheck.notation.terms import Func, Number, Pow, SizeOf, Term
from derivcheck.notation.walking import factors, subterms


def cancelled_conditions(definitions: Sequence[Definition], powers: Iterable[tuple[Term, Term]]) -> tuple[str, ...]:
    """The conditions of powers that were written and stand in no definition any more.

    Args:
        definitions: what was read.
        powers: ``(base, exponent)`` as they were written, a quotient with −1.

    >>> from derivcheck.notation.parse import parse_program
    >>> parse_program("y[n] := x[n]*(1/x[n]) + w[n]/(2*exp(w[n]))").conditions
    ('x[n] ≠ 0',)
    """
    left = {t.base for d in definitions for t in subterms(d.term) if isinstance(t, Pow) and _restricts(t.exponent)}
    found: dict[str, None] = {}
    for base, exponent in powers:
        for factor in factors(base):
            if isinstance(factor, Pow) and not _restricts(factor.exponent):
                factor = factor.base
            if _restricts(exponent) and factor not in left and not _surely_positive(factor):
                found.setdefault(f"{factor} {_relation(exponent)} 0")
    return tuple(found)


def _restricts(exponent: Term) -> bool:
    """Whether a power with that exponent is not defined everywhere."""
    return not isinstance(exponent, Number) or exponent.value < 0 or exponent.value.denominator != 1


def _relation(exponent: Term) -> str:
    if not isinstance(exponent, Number) or exponent.value < 0 and exponent.value.denominator != 1:
        return ">"
    return "≠" if exponent.value.denominator == 1 else "≥"


def _surely_positive(t: Term) -> bool:
    if isinstance(t, SizeOf):
        return nonnegative(t.value - 1)
    return isinstance(t, Number) and t.value > 0 or isinstance(t, Func) and t.name in ("exp", "sigmoid", "cosh", "pi")
