"""Which tensors hold matrices of a kind that what is made of them needs: symmetric for a Cholesky factor.

>>> from derivcheck.notation.text.parse import parse_program
>>> p = parse_program("y := sum(k: log(cholesky(i, j: a[i, j])[k, k])) + logdet(i, j: b[i, j])", {"a": "N N", "b": "N N"})
>>> taken_of(p, "cholesky"), taken_of(p, "logdet")
(frozenset({'a'}), frozenset({'b'}))
"""

from __future__ import annotations

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over, Ref, Term
from derivcheck.notation.terms.walk import subterms


def taken_of(program: Program, kind: str) -> frozenset[str]:
    """The inputs whose matrices, in their last two dimensions, something of that kind is made of.

    A definition that is the input again (a detached copy, a transpose) is looked through.
    """
    same = {a.name: a.name for a in program.arguments if a.kind == "float"}
    for d in program.definitions:
        t = d.term
        if isinstance(t, Ref) and t.name in same and len(d.indices) >= 2 and len(t.at) == len(d.indices):
            own, read = tuple(d.indices), tuple(p.index for p in t.at)
            if own[:-2] == read[:-2] and set(own[-2:]) == set(read[-2:]):
                same[d.name] = same[t.name]
    found = (_whole(t) for d in program.definitions for t in subterms(d.term) if isinstance(t, Over) and t.kind == kind)
    return frozenset(same[n] for n in found if n in same)


def has(program: Program, *kinds: str) -> bool:
    """Whether something of these kinds is made of a matrix in it."""
    return any(isinstance(t, Over) and t.kind in kinds for d in program.definitions for t in subterms(d.term))


def _whole(t: Over) -> str | None:
    """The tensor that the matrix is, either way round."""
    body: Term = t.body
    if not isinstance(body, Ref) or len(body.at) < 2:
        return None
    last = tuple(p.index for p in body.at[-2:])
    rest = frozenset().union(*(p.indices for p in body.at[:-2]))
    return body.name if last in (t.indices, t.indices[::-1]) and rest.isdisjoint(t.indices) else None
