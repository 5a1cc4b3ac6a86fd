"""Dimensions of size 1 that are kept: ``m[n, 0]`` in a definition over ``(n, i)``, i below 1, is ``m[n, i]``.

So nothing is taken out of a dimension and put back into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from derivcheck.notation.integers.polynomials import Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms

Dims = Mapping[str, tuple[Poly, ...]]
_FIRST, _ONE = as_poly(0), as_poly(1)


def with_kept(d: Definition, dims: Dims) -> Definition:
    """The definition with its own index of size 1 where it reads the first of one."""
    single = [(k, i) for k, i in enumerate(d.indices) if i.size is _ONE]
    if not single or d.kind != "float" or d.recurrent or d.spelling is not None:
        return d
    if any(isinstance(t, Over) for t in subterms(d.term)):
        return d
    rank = len(d.indices)

    def change(t: Term) -> Term:
        if not isinstance(t, Ref) or len(t.at) != rank or t.name not in dims:
            return t
        at = list(t.at)
        for k, i in single:
            if at[k] is _FIRST and dims[t.name][k] is _ONE:
                at[k] = i_poly(i)
        return Ref(t.name, tuple(at))

    term = transform(d.term, change)
    return d if term is d.term else replace(d, term=term)


def kept(definitions: Sequence[Definition], dims: Dims) -> list[Definition]:
    """All of them so."""
    return [with_kept(d, dims) for d in definitions]
