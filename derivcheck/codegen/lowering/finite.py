"""Which terms stay finite: what may be infinite is selected by a mask, never multiplied by its zeros."""

from __future__ import annotations

from collections.abc import Set

from derivcheck.notation.functions.table import functions
from derivcheck.notation.terms.nodes import Func, Number, Pow, Term
from derivcheck.notation.terms.walk import subterms


def may_be_infinite(term: Term, infinite: Set[str]) -> bool:
    """Whether a term may be infinite where its inputs are finite: a logarithm, a quotient, a tensor among ``infinite``.

    >>> from derivcheck.notation.terms.build import func, ref
    >>> may_be_infinite(func("log", ref("x")), frozenset()), may_be_infinite(func("tanh", ref("x")), frozenset())
    (True, False)
    """
    if not infinite.isdisjoint(term.names):
        return True
    return any(
        functions()[t.name].pole if isinstance(t, Func) else isinstance(t, Pow) and not _positive(t.exponent)
        for t in subterms(term)
    )


def _positive(exponent: Term) -> bool:
    return isinstance(exponent, Number) and exponent.value > 0
