"""``Σ_s P[t, s]·(Σ_g y_bar[t, g]·v[s, g])`` is ``Σ_g y_bar[t, g]·y[t, g]`` where ``y[t, g] := Σ_s P[t, s]·v[s, g]``.

That is the row sum of flash attention (Dao et al. 2022): over the columns of v, not over all that is attended to.
"""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.derivation.tidy import match
from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.substitute import inline, summation, transform
from derivcheck.notation.terms.walk import factors


def is_sum(d: Definition) -> bool:
    """Whether it is a plain sum over one index, of numbers."""
    return d.kind == "float" and isinstance(d.term, Over) and d.term.kind == "sum" and len(d.term.indices) == 1


def exchanged(term: Term, sums: Mapping[str, Definition]) -> Term:
    """The term with sums over elementwise products written with such a known sum.

    Args:
        sums: definitions that are sums, by name; each may be put in, and each may be what is found.
    """
    if term.names.isdisjoint(sums):
        return term
    return transform(term, lambda t: _exchanged(t, sums) or t)


def _exchanged(t: Term, sums: Mapping[str, Definition]) -> Term | None:
    """A sum over the elementwise product of two names, one of them a sum itself, in the other order."""
    if not isinstance(t, Over) or t.kind != "sum" or len(t.indices) != 1:
        return None
    parts = factors(t.body)
    if len(parts) != 2 or parts[0].free != parts[1].free or t.indices[0] not in parts[0].free:
        return None
    for one, other in (parts, parts[::-1]):
        if isinstance(one, Ref) and one.name in sums and isinstance(other, Ref):
            found = _through(t, one, other, sums)
            if found is not None:
                return found
    return None


def _through(t: Over, one: Ref, other: Ref, sums: Mapping[str, Definition]) -> Term | None:
    """The sum with the definition of ``one`` put in and the order of the sums changed."""
    d = sums[one.name]
    (s,) = t.indices
    opened = inline(one, {d.name: (d.indices, d.term)})
    if not isinstance(opened, Over) or s in opened.indices or not other.free.isdisjoint(opened.indices):
        return None
    inside = factors(opened.body)
    inner = summation((s,), mul(other, *(f for f in inside if s in f.free)))
    for known in sums.values():
        if known is d:
            continue
        for binding in match(known.term, inner, {}, frozenset(known.indices)):
            at = tuple(binding.get(i, i_poly(i)) for i in known.indices)
            return summation(opened.indices, mul(*(f for f in inside if s not in f.free), Ref(known.name, at)))
    return None
