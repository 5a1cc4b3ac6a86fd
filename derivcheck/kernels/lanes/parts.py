"""Whole numbers in parts: what is multiplied by a size, quotients and remainders term by term."""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import Atom, Poly, as_poly


def coefficient(p: Poly, a: Atom) -> Poly | None:
    """What an atom is multiplied by, None where it stands in a power."""
    found = []
    for m, c in p.terms:
        powers = dict(m)
        if a in powers:
            if powers[a] != 1:
                return None
            found.append((tuple(x for x in m if x[0] is not a), c))
    return Poly(found)


def parted(p: Poly, by: Poly) -> tuple[Poly, Poly]:
    """``(q, r)`` with ``p = q·by + r``, term by term; ``by`` is one term."""
    if len(by.terms) != 1:
        return as_poly(0), p
    (monomial, k), q, r = by.terms[0], as_poly(0), as_poly(0)
    for m, c in p.terms:
        powers = dict(m)
        if all(powers.get(a, 0) >= e for a, e in monomial):
            left = tuple((a, e - dict(monomial).get(a, 0)) for a, e in m if e > dict(monomial).get(a, 0))
            q = q + Poly(((left, c // k),) if c // k else ())
            r = r + Poly(((m, c % k),) if c % k else ())
        else:
            r = r + Poly(((m, c),))
    return q, r


def quotient(p: Poly, by: Poly) -> Poly | None:
    """``p / by`` where it is a polynomial."""
    if p is by:
        return as_poly(1)
    q, r = parted(p, by)
    return q if r.constant == 0 else None


def descending(strides: set[Poly]) -> tuple[Poly, ...] | None:
    """Strides in order, each a multiple of the next."""
    ordered = sorted(strides, key=lambda s: sum(e for m, _ in s.terms for _, e in m) * 1000 + abs(s.terms[0][1]), reverse=True)
    return tuple(ordered) if all(quotient(a, b) is not None for a, b in zip(ordered, ordered[1:])) else None
