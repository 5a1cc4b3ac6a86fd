"""What a whole number surely is: at least 0, for all sizes from 1 on and all indices below their sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from derivcheck.kernels.lanes.wholes import Datum
from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly


def nonnegative(p: Poly, facts: Iterable[Poly] = (), below: Mapping[Datum, Poly] | None = None) -> bool:
    """Whether ``p >= 0``, where each of ``facts`` is at least 0.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> T, t = size("T"), as_poly(Index("t", size("T")))
    >>> nonnegative(T - 1 - t), nonnegative(t - 1), nonnegative(t - 1, [t - 1])
    (True, False, True)
    """
    bounds = below or {}
    if _least_at_zero(p, bounds):
        return True
    own = frozenset(p.atoms())
    near = [f for f in facts if own & frozenset(f.atoms())]
    if any(_least_at_zero(p - f, bounds) for f in near):
        return True
    return any(_least_at_zero(p - f - g, bounds) for f, g in itertools.combinations(near, 2))


def _least_at_zero(p: Poly, below: Mapping[Datum, Poly]) -> bool:
    """Each index where ``p`` is least; what is left, a polynomial in sizes from 1 on, has no negative coefficient."""
    for _ in range(16):
        moving = [a for a in p.atoms() if isinstance(a, (Index, Datum))]
        if not moving:
            return of_sizes(p)
        if any(isinstance(a, Datum) and a not in below for a in moving):
            return False
        for a in moving:
            top = a.size - 1 if isinstance(a, Index) else below[a] - 1
            up, down = _slope(p, a)
            if up is None:
                continue
            if up:
                p = p.substitute({a: 0})
                break
            if down:
                p = p.substitute({a: top})
                break
        else:
            return False
    return False


def _slope(p: Poly, a: Index | Datum) -> tuple[bool | None, bool]:
    """Whether ``p`` grows with ``a``, and whether it falls; None where it is not linear in it."""
    terms = [(m, c) for m, c in p.terms if any(x is a for x, _ in m)]
    if any(e > 1 for m, _ in terms for x, e in m if x is a):
        return None, False
    slope = Poly((tuple(x for x in m if x[0] is not a), c) for m, c in terms)
    return _positive(slope), _positive(-slope)


def _positive(p: Poly) -> bool:
    """Whether it is at least 0: of sizes, or of sizes and indices with coefficients that are."""
    return of_sizes(p) or all(isinstance(x, (Size, Index)) for x in p.atoms()) and all(c > 0 for _, c in p.terms)


def of_sizes(p: Poly) -> bool:
    """Whether a polynomial in sizes alone is at least 0 for all sizes from 1 on."""
    if not all(isinstance(a, Size) for a in p.atoms()):
        return False
    return all(c >= 0 for _, c in p.substitute({a: as_poly(a) + 1 for a in p.atoms()}).terms)
