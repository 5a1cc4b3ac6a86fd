"""Which comparisons are kinks: where two sides meet in a set of measure zero, and any subgradient is as good as another.

A bracket of what depends on the inputs in question meets its other side there.  A mask does not: it is 0 in whole
regions, whether it is boolean or a tensor of zeros and ones, and ``[m ≠ 0]`` says where.  An equality belongs to a kink
where the same two numbers are also ordered: ``[a > b] + [a = b]/2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivcheck.notation.program import Definition
from derivcheck.notation.terms import Bracket, Ref, Term, neg
from derivcheck.notation.walking import subterms


def moving(inputs: Iterable[str], definitions: Iterable[Definition]) -> frozenset[str]:
    """The names that depend on some inputs, through whatever is computed of them.

    >>> from derivcheck.notation.parse import parse_program
    >>> p = parse_program("y[n] := 2*x[n]; z[n] := y[n]*m[n]; k[n] := 3*m[n]", {"x": "N", "m": "N"})
    >>> sorted(moving(["x"], p.definitions))
    ['x', 'y', 'z']
    """
    found = set(inputs)
    for d in definitions:
        if not found.isdisjoint(d.term.names):
            found.add(d.name)
    return frozenset(found)


def leaves_equalities_out(terms: Iterable[Term], kinds: Mapping[str, str]) -> bool:
    """Whether every equality of real numbers is that of a kink, so that it may be left out where the kinks are."""
    ordered: set[Term] = set()
    equal: list[Term] = []
    for t in {s for term in terms for s in subterms(term)}:
        if isinstance(t, Bracket) and isinstance(t.operand, Term) and not whole(t.operand, kinds):
            if t.relation in (">", ">="):
                ordered |= {t.operand, neg(t.operand)}
            else:
                equal.append(t.operand)
    return all(e in ordered for e in equal)


def whole(t: Term, kinds: Mapping[str, str]) -> bool:
    """Whether it is an element of a boolean or integer tensor."""
    return isinstance(t, Ref) and kinds.get(t.name, "float") != "float"
