"""What stands inside a term."""

from __future__ import annotations

from functools import lru_cache

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.nodes import Bracket, Mul, Over, Ref, SizeOf, Term


@lru_cache(maxsize=2048)
def subterms(term: Term) -> tuple[Term, ...]:
    """The term and everything inside, each occurrence once, top down."""
    seen: dict[Term, None] = {}
    stack = [term]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen[t] = None
            stack.extend(reversed(t.children))
    return tuple(seen)


def factors(term: Term) -> tuple[Term, ...]:
    """The factors of a product; anything else is its own."""
    return term.args if isinstance(term, Mul) else (term,)


def polys(term: Term) -> tuple[Poly, ...]:
    """The integer expressions directly in a node: positions, a size, what a bracket compares."""
    if isinstance(term, (Ref, Over)):
        return term.at
    if isinstance(term, SizeOf):
        return (term.value,)
    return (term.operand,) if isinstance(term, Bracket) and isinstance(term.operand, Poly) else ()


def refs(term: Term) -> list[Ref]:
    """The references in it (not those in positions), each once."""
    return [t for t in subterms(term) if isinstance(t, Ref)]


def bound_indices(term: Term) -> frozenset[Index]:
    """All indices that a Σ, Π or extreme inside binds."""
    found: set[Index] = set()
    for t in subterms(term):
        if isinstance(t, Over):
            found.update(t.indices)
    return frozenset(found)
