"""One connected component of a sum as an atom: its ranges in whole sizes, its bound indices named canonically."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.proof.expressions.atoms import LEVEL, UNIT, Equal, Expression, Least, Monomial, ProofAtom, Sigma, unlimited
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.labelling import canonical_order
from derivcheck.proof.expressions.polynomials import add_into, free_of, height_of, minus, of_atom
from derivcheck.proof.expressions.signatures import factor_parts, refined
from derivcheck.proof.normal_form.brackets import SPLIT_AT_MOST, solve, split
from derivcheck.proof.normal_form.products import of_poly, times
from derivcheck.proof.normal_form.substitution import substituted


def finished(context: Context, bound: list[Index], m: Monomial) -> Expression:
    """A component that is spelled as it is kept."""
    found = _in_whole_sizes(context, bound, m)
    found = _in_one_order(context, bound, m) if found is None else found
    return closed(context, bound, m) if found is None else found


def _in_whole_sizes(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_{i<N−1} f = Σ_{i<N} f − f(N−1)``: ranges are measured in whole sizes."""
    if not context.mode.ranges:
        return None
    for i in here:
        if unlimited(i) or i.size.constant is not None:
            continue
        c = next((k for q, k in i.size.terms if not q), 0)
        plain = i.size - c
        if not c or abs(c) > SPLIT_AT_MOST or not context.holds(i.size) or not context.holds(plain):
            continue
        context.used("Σ_{i<N+1} f = Σ_{i<N} f + f(N)")
        j = context.temporary(plain)
        rest = [k for k in here if k is not i]
        total = dict(context.rules.summed(context, [*rest, j], substituted(context, m, {i: i_poly(j)})))
        for k in range(abs(c)):
            place = plain + k if c > 0 else plain - 1 - k
            add_into(total, context.rules.summed(context, rest, substituted(context, m, {i: place})), 1 if c > 0 else -1)
        return total
    return None


def _in_one_order(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ [i ≥ j]·f = Σ f − Σ [j > i]·f``: of two bound indices that the other factors tell apart, one is named first."""
    if not context.mode.ranges:
        return None
    pairs = {a: found for a, _ in m if (found := _compared(a, here)) is not None}
    colours = refined(here, factor_parts((a, e) for a, e in m if a not in pairs), {}) if pairs else {}
    for a, (i, j) in pairs.items():
        rest = m - {(a, 1)}
        if i.size is not j.size or colours[i] == colours[j]:
            continue
        assert isinstance(a, Least)
        if colours[i] < colours[j]:
            spelled = split(context, a.poly)
        else:
            context.used("[p >= 0] = 1 - [-p-1 >= 0]")
            spelled = minus({UNIT: 1}, split(context, -a.poly - 1))
        if spelled != of_atom(a):
            return context.rules.summed(context, here, times(context, spelled, {rest: 1}))
    return None


def _compared(a: ProofAtom, here: Sequence[Index]) -> tuple[Index, Index] | None:
    """``(i, j)`` of ``[i − j + c ≥ 0]``, both bound."""
    if not isinstance(a, Least) or len(a.free) != 2 or not a.free <= frozenset(here):
        return None
    slopes = {i: found[0] for i in a.free if (found := a.poly.linear_in(i)) is not None}
    above, below = ([i for i, c in slopes.items() if c == s] for s in (1, -1))
    if len(above) != 1 or len(below) != 1 or (a.poly - i_poly(above[0]) + i_poly(below[0])).constant is None:
        return None
    return above[0], below[0]


def closed(context: Context, bound: Sequence[Index], m: Monomial) -> Expression:
    """One connected component as an atom, its bound indices named canonically."""
    order = canonical_order(context, bound, factor_parts(m))
    names = canonical_names(order, height_of(m) + 1)
    renamed = substituted(context, m, {i: i_poly(j) for i, j in names.items()})
    total: Expression = {}
    for new, c in renamed.items():
        if len(renamed) > 1 and any(isinstance(a, Equal) and solve(a.poly, names.values()) for a, _ in new):
            # by its new names the other side of a kink is kept, but for where the two are the same: that leaves one place
            add_into(total, context.rules.summed(context, list(names.values()), {new: 1}), c)
            continue
        free = free_of(new)
        kept = tuple(j for j in names.values() if j in free)
        part: Expression = context.one(Sigma, kept, new) if kept else {new: 1}
        for j in names.values():
            if j not in free:
                if unlimited(j):
                    raise Unreduced("a sum over all integers")
                part = times(context, part, of_poly(context, j.size))
        add_into(total, part, c)
    return total


def canonical_names(order: Sequence[Index], level: int) -> dict[Index, Index]:
    """Names for bound indices by their order and by how deep sums are nested in theirs."""
    return {i: Index("#", i.size, level * LEVEL + k) for k, i in enumerate(order)}
