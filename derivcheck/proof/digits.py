"""Bound indices of which a quotient is used: moved or turned until ``i // d`` stands there, then taken apart into two digits.

And the way back: two digits that stand together everywhere are one index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from derivcheck.notation.sizes import Floor, Index, Poly, exact_quotient, i_poly
from derivcheck.proof import brackets, polynomials, sums
from derivcheck.proof.atoms import Expression, Monomial
from derivcheck.proof.ranges import polys
from derivcheck.proof.space import unlimited
from derivcheck.proof.substitution import substituted

if TYPE_CHECKING:
    from derivcheck.proof.space import Space


def levelled(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_i f((i + c) // d)`` and ``Σ_i f((c − i) // d)`` with the index moved or turned so that ``i // d`` stands there."""
    quotients = list(_quotients(here, m))
    for i, numerator, d in quotients:
        found = numerator.linear_in(i)
        if found is None or not found[1].terms:
            continue
        slope, rest = found
        others = [j for j in here if j is not i]
        turned = all(j is not i or (n.linear_in(i) or (0,))[0] < 0 for j, n, _ in quotients)
        if slope == -1 and turned and exact_quotient(rest + 1 - i.size, d) is not None:
            space.used("Σ_{i<N} f(i) = Σ_{i<N} f(N-1-i)")
            return sums.summed(space, here, substituted(space, m, {i: i.size - 1 - i_poly(i)}))
        by, width = rest.constant, d.constant
        if slope == 1 and by is not None and width is not None and 0 < by < width:
            space.used("Σ_{i<N} f(i + c) = Σ_{i<N+c} [i >= c]·f(i)")
            j = space.temporary(i.size + by)
            body = substituted(space, m, {i: i_poly(j) - by})
            return sums.summed(space, [*others, j], polynomials.times(space, brackets.least(space, i_poly(j) - by), body))
    return None


def _quotients(here: Sequence[Index], m: Monomial) -> Iterator[tuple[Index, Poly, Poly]]:
    """The quotients of one bound index in the positions, with their index."""
    for a, _ in m:
        for p in polys(a):
            for x in p.atoms():
                if isinstance(x, Floor) and not x.denominator.indices and not x.numerator.names:
                    inside = [i for i in x.numerator.indices if i in here and not unlimited(i)]
                    if len(inside) == 1 and len(x.numerator.indices) == 1:
                        yield inside[0], x.numerator, x.denominator


def split(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """An index below ``H·d`` of which ``i // d`` is used runs over two digits."""
    for i, numerator, d in _quotients(here, m):
        high = exact_quotient(i.size, d)
        if numerator.index is not i or high is None:
            continue
        space.used("Σ_i f(i) = Σ_h Σ_e f(h·d + e)")
        h, e = space.temporary(high), space.temporary(d)
        body = substituted(space, m, {i: d * i_poly(h) + i_poly(e)})
        return sums.summed(space, [*(j for j in here if j is not i), h, e], body)
    return None


def merged(space: Space, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_h Σ_e f(h·d + e) = Σ_i f(i)`` where the two digits stand together everywhere."""
    if len(here) < 2:
        return None
    touched = [p for a, _ in m for p in polys(a) if not p.indices.isdisjoint(here)]
    for h in here:
        for e in here:
            if e is h or unlimited(h) or unlimited(e) or e.size.indices:
                continue
            both = [p for p in touched if h in p.indices or e in p.indices]
            if not all(h in p.indices and e in p.indices for p in both) or not _together(both, h, e):
                continue
            space.used("Σ_h Σ_e f(h·d + e) = Σ_i f(i)")
            i = space.temporary(h.size * e.size)
            body = substituted(space, m, {e: i_poly(i), h: Poly(())})
            return sums.summed(space, [*(j for j in here if j not in (h, e)), i], body)
    return None


def _together(positions: list[Poly], h: Index, e: Index) -> bool:
    """Whether the positions depend on ``h·d + e`` alone (none of them inside a quotient or an entry)."""
    for p in positions:
        if any(x.indices & {h, e} and not isinstance(x, Index) for x in p.atoms()):
            return False
        if h in p.substitute({e: i_poly(e) - e.size * i_poly(h)}).indices:
            return False
    return True
