"""What an integer expression surely is, at all sizes: at least 0, at most another.  False says: not known.

Also how many elements sizes make, and a line in one index.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly


def numel(sizes: Iterable[Poly]) -> Poly:
    """The product of sizes: the number of elements."""
    return math.prod(sizes, start=as_poly(1))


def lower_bound(poly: Poly, least: int = 1) -> Poly | None:
    """A lower bound over all values of the indices in it, free of indices; None where it is not affine.

    Sizes are taken to be at least ``least`` (an empty range has no element to be wrong at).
    """
    bound = poly
    for i in sorted(poly.indices, key=lambda a: a.key):
        found = sloped(bound, i)
        if found is None:
            return None
        slope, rest = found
        if nonnegative(slope, least):
            bound = rest
        elif nonnegative(-slope, least):
            bound = rest + slope * (i.size - 1)
        else:
            return None
    return bound


@lru_cache(maxsize=8192)
def sloped(poly: Poly, i: Index) -> tuple[Poly, Poly] | None:
    """``(slope, rest)`` with ``poly = slope·i + rest``, both free of ``i``; None where it is not of that form."""
    slope, rest = [], []
    for m, c in poly.terms:
        if (i, 1) in m:
            others = tuple((a, e) for a, e in m if a is not i)
            if any(i in a.indices for a, _ in others):
                return None
            slope.append((others, c))
        elif any(i in a.indices for a, _ in m):
            return None
        else:
            rest.append((m, c))
    return Poly(slope), Poly(rest)


@lru_cache(maxsize=8192)
def nonnegative(poly: Poly, least: int = 1) -> bool:
    """Whether the expression is surely at least 0 wherever its indices have values (False: not known).

    >>> from derivcheck.notation.integers.polynomials import i_poly, size
    >>> n = Index("n", size("N"))
    >>> nonnegative(size("N") - 1 - i_poly(n)), nonnegative(i_poly(n) - 1)
    (True, False)
    >>> nonnegative(size("N") - 2 * (size("N") // 2))
    True
    """
    if _nonnegative(poly, least):
        return True
    plain = _without_quotients(poly)
    return plain is not poly and nonnegative(plain, least)


def _without_quotients(poly: Poly) -> Poly:
    """A lower bound with no quotient that a multiple of its divisor stands before: ``−2·(a//2) ≥ −a``, ``2·(a//2) ≥ a − 1``."""
    for m, c in poly.terms:
        if len(m) != 1 or m[0][1] != 1 or len(parts := m[0][0].parts) != 2:
            continue
        numerator, width = parts[0], parts[1].constant
        if width is not None and width > 0 and c % width == 0 and as_poly(m[0][0]) is numerator // parts[1]:
            by = c // width
            return poly - Poly(((m, c),)) + by * (numerator if c < 0 else numerator - (width - 1))
    return poly


def _nonnegative(poly: Poly, least: int) -> bool:
    """The same of sizes, indices and quotients as they stand."""
    bound = lower_bound(poly, least)
    if bound is None:
        return False
    # A size that code read of a tensor of its own ("?3.0") may be 0 where those of the inputs are not.
    shifted = bound.substitute({a: as_poly(a) + least for a in bound.atoms() if isinstance(a, Size) and a.name[0] != "?"})
    for m, c in shifted.terms:
        if c < 0 and not (len(m) == 1 and m[0][1] == 1 and m[0][0].not_above_zero()):
            return False
        if c > 0 and any(not a.nonnegative(least) for a, _ in m):
            return False
    return True
