"""Addends with the same long factors as one product: ``a·b·x + a·b·y + a·b·z`` is ``a·b·(x + y + z)``."""

from __future__ import annotations

from itertools import combinations, permutations

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.terms.build import add, coefficient, mul
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Term
from derivcheck.notation.terms.substitute import reduction, substitute
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.abridged.length import length
from derivcheck.notes.writing.extremes import chosen

LEAST = 2  # addends that are put together
SAVED = 8  # characters that it must save
MOST = 16  # addends that are looked at
AXES = 2  # of sums that are put together


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
    if (together := _summed_once(term)) is not None:
        return collected(together)
    if before := _numbers_of_all(term):
        return mul(*before, collected(add(*(_without(before, a) for a in term.args))))
    best: tuple[int, frozenset[Term]] = (SAVED, frozenset())
    parts = [frozenset(f for f in factors(a) if not isinstance(f, Number)) for a in term.args]
    for one, other in combinations(parts, 2):
        common = one & other
        count = sum(common <= p for p in parts)
        if common and count >= LEAST:
            best = max(best, ((count - 1) * length(mul(*common)), common), key=lambda found: found[0])
    common = best[1]
    if not common:
        return add(*map(collected, term.args))
    inside = [a for a, p in zip(term.args, parts) if common <= p]
    numbers = {f for a in inside for f in factors(a) if isinstance(f, Number)}
    minus = all(any(isinstance(f, Number) and f.value < 0 for f in factors(a)) for a in inside) and len(numbers) == 1
    shared = common | numbers if minus else common
    order = [f for f in factors(inside[0]) if f in shared]
    whole = mul(*order, add(*(mul(*(f for f in factors(a) if f not in shared)) for a in inside)))
    return collected(add(*(a for a in term.args if a not in inside), whole))


def _numbers_of_all(term: Add) -> list[Term]:
    """The number and the sizes that all addends are multiplied by, as ``2/N`` in ``2/N·a - 2/N·b``."""
    if chosen(term) is not None:
        return []
    common = set(factors(term.args[0])).intersection(*map(factors, term.args[1:]))
    sizes = [f for f in factors(term.args[0]) if f in common and not isinstance(f, Number) and not f.names and not f.free]
    numbers = {abs(coefficient(a)[0]) for a in term.args}
    return [*(map(Number, numbers - {1}) if len(numbers) == 1 else ()), *sizes]


def _without(shared: list[Term], addend: Term) -> Term:
    """An addend without what stands before all of them."""
    number, rest = coefficient(addend)
    sign = number / abs(number) if any(isinstance(f, Number) for f in shared) else number
    return mul(Number(sign), *(f for f in factors(rest) if f not in shared))


def _summed_once(term: Add) -> Term | None:
    """``Σ_k a·r[k] + Σ_j b[j]·r[j]`` as ``Σ_k (a + b[k])·r[k]``, for two addends that sum a product with a common factor."""
    parts = [_apart(a) for a in term.args]
    for (p, one), (q, other) in combinations(enumerate(parts), 2):
        if one is None or other is None or one[0] is not other[0] or len(one[1].indices) != len(other[1].indices):
            continue
        mine, theirs = one[1], other[1]
        if not theirs.free.isdisjoint(mine.indices):  # the letter of the one sum is a free index of the other
            continue
        for order in permutations(mine.indices):
            if any(i.size is not j.size for i, j in zip(order, theirs.indices)):
                continue
            body = substitute(theirs.body, {j: i_poly(i) for i, j in zip(order, theirs.indices)})
            common = [f for f in factors(mine.body) if f in factors(body) and not isinstance(f, Number)]
            if any(not f.free.isdisjoint(order) for f in common):
                rest = add(*(mul(*(f for f in factors(b) if f not in common)) for b in (mine.body, body)))
                whole = mul(one[0], reduction("sum", mine.indices, mul(rest, *common)))
                return add(*(whole if k == p else a for k, a in enumerate(term.args) if k != q))
    return None


def _apart(t: Term) -> tuple[Term, Over] | None:
    """What stands before a sum of products of few axes, and the sum."""
    sums = [f for f in factors(t) if isinstance(f, Over) and f.kind == "sum" and isinstance(f.body, Mul)]
    if len(sums) != 1 or len(sums[0].indices) > AXES:
        return None
    return mul(*(f for f in factors(t) if f is not sums[0])), sums[0]
