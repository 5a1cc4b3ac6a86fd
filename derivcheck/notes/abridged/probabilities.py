"""Probabilities sum to one: ``Σ_c p[n, c]`` is 1 where ``p[n, c] := exp(z[n, c])/Σ_j exp(z[n, j])``."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.derivation.tidy import match
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import MINUS_ONE, mul
from derivcheck.notation.terms.nodes import Over, Pow, Ref, Term
from derivcheck.notation.terms.substitute import reduction, substitute, transform
from derivcheck.notation.terms.walk import factors


def counted_by(d: Definition) -> Index | None:
    """The index over which a definition sums to 1: it is divided by the sum of its own numerator."""
    parts = factors(d.term)
    below = [f.base for f in parts if isinstance(f, Pow) and f.exponent is MINUS_ONE and isinstance(f.base, Over)]
    if d.recurrent or len(below) != 1 or not isinstance(below[0], Over) or below[0].kind != "sum":
        return None
    whole, above = below[0], mul(*(f for f in parts if not (isinstance(f, Pow) and f.base is below[0])))
    for i in d.indices:
        if len(whole.indices) == 1 and i.size is whole.indices[0].size and i not in whole.free:
            if not (above.free - {i}).isdisjoint(whole.indices):  # the sum's letter is a free index of what is summed
                continue
            mine = substitute(above, {i: i_poly(whole.indices[0])})
            if any(True for _ in match(mine, whole.body, {}, frozenset())):
                return i
    return None


def probabilities(program: Program) -> dict[str, tuple[Definition, Index]]:
    """The definitions that sum to 1 over one of their indices."""
    return {d.name: (d, i) for d in program.definitions if (i := counted_by(d)) is not None}


def summed_to_one(term: Term, ones: Mapping[str, tuple[Definition, Index]]) -> Term:
    """The term where a sum over all of some probabilities is 1.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("p[n,c] := exp(z[n,c])/sum(j: exp(z[n,j])); y[n] := a[n]*sum(k: p[n,k])", {"z": "N C", "a": "N"})
    >>> print(summed_to_one(p.definitions[1].term, probabilities(p)))
    a[n]
    """

    def change(t: Term) -> Term:
        """One sum without the probabilities that it takes all of."""
        if not isinstance(t, Over) or t.kind != "sum":
            return t
        parts = factors(t.body)
        for f in parts:
            if isinstance(f, Ref) and f.name in ones:
                i = _alone(f, *ones[f.name])
                others = [g for g in parts if g is not f]
                if i in t.indices and all(i not in g.free for g in others):
                    return change(reduction("sum", tuple(j for j in t.indices if j is not i), mul(*others)))
        return t

    return term if term.names.isdisjoint(ones) else transform(term, change)


def _alone(f: Ref, d: Definition, by: Index) -> Index | None:
    """The index that stands at the place that is summed, and nowhere else in the reference."""
    at = f.at[d.indices.index(by)]
    rest = [p for k, p in enumerate(f.at) if k != d.indices.index(by)]
    return at.index if at.index is not None and all(at.index not in p.indices for p in rest) else None
