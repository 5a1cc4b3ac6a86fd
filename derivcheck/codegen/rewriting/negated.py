"""A gradient that is another one with its sign changed: of a loss of differences, ``target_bar = -y_bar``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from derivcheck.codegen.graph.numbers import is_number
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import neg, ref
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import factors


def with_negated(definitions: Sequence[Definition], gradients: Collection[str]) -> list[Definition]:
    """The same definitions, where a gradient that is an earlier one with another sign reads that one."""
    known: dict[Term, Definition] = {}
    asked = [
        d
        for d in definitions
        if d.name in gradients and d.kind == "float" and not d.recurrent and d.spelling is None and _takes_work(d.term)
    ]
    alike = Counter((d.dims, d.term.names) for d in asked)  # seldom are there two of the same
    names = {d.name for d in asked if alike[d.dims, d.term.names] > 1}
    out: list[Definition] = []
    for d in definitions:
        found = d
        if d.name in names:
            places = {i: i_poly(Index(f"{k}.", i.size)) for k, i in enumerate(d.indices)}
            term = substitute(d.term, places)
            other = known.get(neg(term))
            if other is not None and other.dims == d.dims:
                found = replace(d, term=neg(ref(other.name, *d.indices)))
            else:
                known.setdefault(term, d)
        out.append(found)
    return out


def _takes_work(term: Term) -> bool:
    """Whether it is more than a number times a tensor."""
    rest = [f for f in factors(term) if not is_number(f)]
    return len(rest) > 1 or not all(isinstance(f, Ref) for f in rest)
