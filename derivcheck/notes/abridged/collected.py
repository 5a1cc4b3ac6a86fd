"""Addends with the same long factors as one product: ``a·b·x + a·b·y + a·b·z`` is ``a·b·(x + y + z)``."""

from __future__ import annotations

from itertools import combinations

from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Term
from derivcheck.notation.terms.substitute import reduction
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.abridged.length import length

LEAST = 2  # addends that are put together
SAVED = 8  # characters that it must save
MOST = 16  # addends that are looked at


def collected(term: Term) -> Term:
    """The term with what many addends have in common in front of them.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y := long_name*other_name*a + long_name*other_name*b + long_name*other_name*c - d")
    >>> print(collected(p.definitions[0].term))
    long_name*other_name*(a + b + c) - d
    """
    if isinstance(term, Over) and term.kind == "sum":
        return reduction("sum", term.indices, collected(term.body))
    if isinstance(term, Mul):
        return mul(*map(collected, term.args))
    if not isinstance(term, Add) or not LEAST <= len(term.args) <= MOST:
        return term
    best: tuple[int, frozenset[Term]] = (SAVED, frozenset())
    parts = [frozenset(f for f in factors(a) if not isinstance(f, Number)) for a in term.args]
    for one, other in combinations(parts, 2):
        common = one & other
        count = sum(common <= p for p in parts)
        if common and count >= LEAST:
            best = max(best, ((count - 1) * length(mul(*common)), common), key=lambda found: found[0])
    common = best[1]
    if not common:
        return term
    inside = [a for a, p in zip(term.args, parts) if common <= p]
    numbers = {f for a in inside for f in factors(a) if isinstance(f, Number)}
    minus = all(any(isinstance(f, Number) and f.value < 0 for f in factors(a)) for a in inside) and len(numbers) == 1
    shared = common | numbers if minus else common
    order = [f for f in factors(inside[0]) if f in shared]
    whole = mul(*order, add(*(mul(*(f for f in factors(a) if f not in shared)) for a in inside)))
    return collected(add(*(a for a in term.args if a not in inside), whole))
