"""The signs of atoms and expressions: which are surely not below 0, which are surely above."""

from __future__ import annotations

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index, Size
from derivcheck.proof.expressions.atoms import (
    EVERYWHERE,
    Apply,
    Base,
    Element,
    Exp,
    Expression,
    Iverson,
    ProofAtom,
    Rational,
    Root,
    Sigma,
    WholeAtom,
    unlimited,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import whole


def positive(context: Context, a: ProofAtom, e: Rational) -> bool:
    """Whether ``a^e`` is surely at least 0 (where it is defined)."""
    if whole(e) and e % 2 == 0 or isinstance(a, (Exp, Root)):
        return True
    if isinstance(a, (Element, Base)) and context.sign(a) > 0:
        return True
    if isinstance(a, WholeAtom):
        return isinstance(a.integer, Size) or isinstance(a.integer, Index) and not unlimited(a.integer)
    if isinstance(a, Base):
        return not whole(e) or all_positive(context, dict(a.terms))
    if isinstance(a, Sigma):
        return all(positive(context, b, f) or isinstance(b, Iverson) for b, f in a.monomial)
    if isinstance(a, Apply):
        return functions()[a.function].positive
    return not whole(e)


def all_positive(context: Context, base: Expression) -> bool:
    """Whether each addend is surely at least 0."""
    return all(c > 0 and all(positive(context, a, e) for a, e in m) for m, c in base.items())


def strictly(a: ProofAtom) -> bool:
    """Whether the atom is surely above 0."""
    if isinstance(a, WholeAtom):
        return isinstance(a.integer, Size) and a.integer is not EVERYWHERE
    return isinstance(a, (Exp, Root)) or isinstance(a, Apply) and a.function == "pi"
