"""Bound indices of which a quotient is used: moved or turned until ``i // d`` stands there, then taken apart into two digits.

And the way back: two digits that stand together everywhere are one index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof.expressions.atoms import Expression, Monomial, unlimited
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import substituted


def levelled(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_i f((i + a) // d)`` or ``Σ_i f((a − i) // d)`` over an index j of which ``j // d`` is used, and whose size d divides.

    With ``c ≡ a (mod d)`` the new index is ``i + c``; it runs up to a multiple of d, with brackets that leave out what was not
    there.  Only where all quotients of the index agree.
    """
    quotients = list(_quotients(here, m))
    for i in dict.fromkeys(i for i, _, _ in quotients):
        own = {(numerator, d) for j, numerator, d in quotients if j is i}
        found = {_levels(i, numerator, d) for numerator, d in own}
        levels = found.pop()
        if found or levels is None or levels == (1, 0, 0):
            continue
        slope, before, after = levels
        context.used("Σ_i f((i + c) // d) = Σ_j [j >= c]·f(j // d)")
        j = context.temporary(i.size + before + after)
        place = i_poly(j) - before
        body = substituted(context, m, {i: place if slope == 1 else i.size - 1 - place})
        for end in (place, i.size - 1 - place):
            body = times(context, brackets.least(context, end), body)
        return context.rules.summed(context, [*(k for k in here if k is not i), j], body)
    return None


def _levels(i: Index, numerator: Poly, d: Poly) -> tuple[int, int, int] | None:
    """The sign of the index, how many places go before its range and how many after; None where that is not known."""
    found = numerator.linear_in(i)
    if found is None or found[0] not in (1, -1):
        return None
    slope, rest = found
    before = _residue(rest if slope == 1 else rest + 1 - i.size, d)
    after = None if before is None else _residue(-i.size - before, d)
    return None if before is None or after is None else (slope, before, after)


def _residue(p: Poly, d: Poly) -> int | None:
    """``p mod d``, where it is a number whatever the sizes are."""
    if not p.terms or exact_quotient(p, d) is not None:
        return 0
    c = next((c for q, c in p.terms if not q), 0)
    width = d.constant
    if width is None or width < 1 or (p - c).terms and exact_quotient(p - c, d) is None:
        return None
    return c % width


def _quotients(here: Sequence[Index], m: Monomial) -> Iterator[tuple[Index, Poly, Poly]]:
    """The quotients of one bound index in the positions, with their index."""
    for a, _ in m:
        for p in a.every_position() if a.divides else ():
            for x in p.atoms():
                if isinstance(x, Floor) and not x.denominator.indices and not x.numerator.names:
                    inside = [i for i in x.numerator.indices if i in here and not unlimited(i)]
                    if len(inside) == 1 and len(x.numerator.indices) == 1:
                        yield inside[0], x.numerator, x.denominator


def split(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """An index below ``H·d`` of which ``i // d`` is used runs over two digits."""
    for i, numerator, d in _quotients(here, m):
        high = exact_quotient(i.size, d)
        if numerator.index is not i or high is None:
            continue
        context.used("Σ_i f(i) = Σ_h Σ_e f(h·d + e)")
        h, e = context.temporary(high), context.temporary(d)
        body = substituted(context, m, {i: d * i_poly(h) + i_poly(e)})
        return context.rules.summed(context, [*(j for j in here if j is not i), h, e], body)
    return None


def merged(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_h Σ_e f(h·d + e) = Σ_i f(i)`` where the two digits stand together everywhere."""
    if len(here) < 2:
        return None
    touched = [p for a, _ in m for p in a.every_position() if not p.indices.isdisjoint(here)]
    for h in here:
        for e in here:
            if e is h or unlimited(h) or unlimited(e) or e.size.indices:
                continue
            both = [p for p in touched if h in p.indices or e in p.indices]
            if not all(h in p.indices and e in p.indices for p in both) or not _together(both, h, e):
                continue
            context.used("Σ_h Σ_e f(h·d + e) = Σ_i f(i)")
            i = context.temporary(h.size * e.size)
            body = substituted(context, m, {e: i_poly(i), h: Poly(())})
            return context.rules.summed(context, [*(j for j in here if j not in (h, e)), i], body)
    return None


def _together(positions: list[Poly], h: Index, e: Index) -> bool:
    """Whether the positions depend on ``h·d + e`` alone (none of them inside a quotient or an entry)."""
    for p in positions:
        if any(x.indices & {h, e} and not isinstance(x, Index) for x in p.atoms()):
            return False
        if h in p.substitute({e: i_poly(e) - e.size * i_poly(h)}).indices:
            return False
    return True
