"""What a forward and its gradient name beside tensors: sizes, indices and scalar functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import MATRICES, Func, Over, Term
from derivcheck.notation.terms.walk import polys, subterms


@dataclass
class Mentioned:
    """Names in the order in which they appear.

    Attributes:
        sizes: names of sizes.
        indices: names of indices.
        functions: names of scalar functions and constants.
        given: the indices are a user's own letters.
    """

    sizes: dict[str, None] = field(default_factory=dict)
    indices: dict[str, None] = field(default_factory=dict)
    functions: dict[str, None] = field(default_factory=dict)
    given: bool = False


def mentioned(forward: Program, adjoint: Program) -> Mentioned:
    """What the definitions of both mention.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := sum(k: exp(A[n,k]))/M", {"A": "N K", "M": ""})
    >>> list(mentioned(p, p).sizes), list(mentioned(p, p).indices), list(mentioned(p, p).functions)
    (['N', 'K'], ['n', 'k'], ['exp'])
    """
    found = Mentioned(given=any(d.rule == "given" for p in (forward, adjoint) for d in p.definitions))
    seen: set[Poly] = set()
    for p in (forward, adjoint):
        for a in p.arguments:
            for q in a.dims:
                _integers(q, found, seen)
        for d in p.definitions:
            for i in d.indices:
                _index(i, found, seen)
            for t in {d.term: None, **dict.fromkeys(path.term for path in d.paths)}:
                _term(t, found, seen)
    return found


def _term(term: Term, found: Mentioned, seen: set[Poly]) -> None:
    """Add what a term mentions."""
    for t in subterms(term):
        if isinstance(t, Func):
            found.functions[t.name] = None
        elif isinstance(t, Over):
            if t.kind in MATRICES:
                found.functions.update(dict.fromkeys(("det", "chol", "tril", "triu", r"\Phi")))
            for i in t.indices:
                _index(i, found, seen)
        for q in polys(t):
            _integers(q, found, seen)


def _index(i: Index, found: Mentioned, seen: set[Poly]) -> None:
    found.indices[i.name] = None
    _integers(i.size, found, seen)


def _integers(p: Poly, found: Mentioned, seen: set[Poly]) -> None:
    """Add what an integer expression mentions."""
    if p in seen:
        return
    seen.add(p)
    found.sizes.update(dict.fromkeys(sorted(p.sizes())))
    for a in p.atoms():
        if isinstance(a, Index):
            _index(a, found, seen)
        for q in a.parts:
            _integers(q, found, seen)
