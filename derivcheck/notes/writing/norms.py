"""Sums of squares over the last dimensions of a tensor, whose root people write as a norm."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.nodes import Number, Over, Pow, Ref, Term

_TWO = Number(Fraction(2))


def squares(t: Term, dims: Mapping[str, tuple[Poly, ...]]) -> Ref | None:
    """``x[n]`` where a term is ``Σ_d x[n,d]²``, d over all of the dimension; None where it is something else.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := sum(d: x[n,d]^2)", {"x": "N D"})
    >>> print(squares(p.definitions[0].term, {"x": p.dims("x")}))
    x[n]
    """
    if not isinstance(t, Over) or t.kind != "sum" or not isinstance(t.body, Pow) or t.body.exponent is not _TWO:
        return None
    x = t.body.base
    if not isinstance(x, Ref) or len(x.at) < len(t.indices):
        return None
    kept = len(x.at) - len(t.indices)
    last = [p.index for p in x.at[kept:]]
    if set(last) != set(t.indices) or any(i in p.indices for i in t.indices for p in x.at[:kept]):
        return None
    if any(i is None or i.size is not n for i, n in zip(last, dims.get(x.name, ())[kept:])):
        return None
    return Ref(x.name, x.at[:kept])
