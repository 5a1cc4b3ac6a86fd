"""The two sides of a condition on integers, as a person writes it: ``k < N`` and not ``N - 1 - k ≥ 0``."""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notes.writing.remainders import remainder


def sides(p: Poly, relation: str) -> tuple[Poly, str, Poly]:
    """``p relation 0`` as ``left relation right``: nothing negative on either side, indices on the left.

    >>> from derivcheck.notation.integers.polynomials import Index, i_poly, size
    >>> k = i_poly(Index("k", size("N")))
    >>> sides(size("N") - 1 - k, ">="), sides(-k, ">="), sides(k - 3, "==")
    ((k, '<', N), (k, '<=', 0), (k, '==', 3))
    """
    found = _remainders(p, relation)
    if found is not None:
        return found
    left, right = _positive(p), _positive(-p)
    if relation == ">=" and _number(right) == 1 and right.constant is None:  # N - 1 - k >= 0 is k < N
        right, relation = right - 1, ">"
    if _rank(left) < _rank(right):
        left, relation, right = right, FLIPPED[relation], left
    if relation in ("==", "!="):  # a number stands alone on the right
        left, right = left - _number(left), right - _number(left)
    return left, relation, right


def _remainders(p: Poly, relation: str) -> tuple[Poly, str, Poly] | None:
    """``n mod q`` stays whole on the left: ``[n mod q = a]``, and not ``[n = a + q·⌊n/q⌋]``."""
    for q, turned in ((p, relation), (-p, FLIPPED[relation])):
        found = remainder(q)
        if found is not None:
            rest = found[2]
            return q - rest + _positive(rest), turned, _positive(-rest)
    return None


def _positive(p: Poly) -> Poly:
    return Poly((m, c) for m, c in p.terms if c > 0)


def _number(p: Poly) -> int:
    return dict(p.terms).get((), 0)


def _rank(p: Poly) -> int:
    """How much a side wants to stand on the left: what has indices, then what is no number."""
    return 2 if p.indices else 1 if p.constant is None else 0
