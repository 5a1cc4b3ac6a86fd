"""What stands inside a term, and a term with its parts changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from derivcheck.notation.brackets import bracket
from derivcheck.notation.sizes import Index
from derivcheck.notation.terms import Add, Bracket, Func, Mul, Over, Pow, Ref, Term, add, mul, power, reduction


def rebuild(term: Term, new: tuple[Term, ...]) -> Term:
    """The same node over other children, through the building functions."""
    if isinstance(term, Add):
        return add(*new)
    if isinstance(term, Mul):
        return mul(*new)
    if isinstance(term, Pow):
        return power(new[0], new[1])
    if isinstance(term, Func):
        return Func(term.name, new)
    if isinstance(term, Over):
        if term.kind in ("sum", "prod"):
            return reduction(term.kind, term.indices, new[0])
        return Over(term.kind, term.indices, new[0])
    if isinstance(term, Bracket) and new:
        return bracket(term.relation, new[0])
    return term


def transform(term: Term, change: Callable[[Term], Term]) -> Term:
    """Apply ``change`` bottom up."""
    kids = term.children
    if kids:
        new = tuple(transform(k, change) for k in kids)
        if new != kids:
            term = rebuild(term, new)
    return change(term)


def subterms(term: Term) -> Iterable[Term]:
    """The term and everything inside, each occurrence once, top down."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen.add(t)
            yield t
            stack.extend(reversed(t.children))


def factors(term: Term) -> tuple[Term, ...]:
    """The factors of a product; anything else is its own."""
    return term.args if isinstance(term, Mul) else (term,)


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
