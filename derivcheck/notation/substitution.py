"""Other indices, sizes, names or whole definitions put into a term; bound indices are never captured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from derivcheck.notation.brackets import bracket
from derivcheck.notation.sizes import Index, Poly, PolyLike, as_poly, fresh, i_poly
from derivcheck.notation.terms import NO_INDICES, Bracket, Over, Ref, SizeOf, Term, reduction, size_of
from derivcheck.notation.walking import bound_indices, rebuild, transform


def substitute(term: Term, values: Mapping[Any, PolyLike]) -> Term:
    """Replace free indices and sizes by integer expressions; bound indices step aside (no capture).

    >>> from derivcheck.notation.sizes import size
    >>> from derivcheck.notation.terms import mul, ref, summation
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> print(substitute(summation([i], mul(ref("x", i), ref("w", j))), {j: i_poly(i)}))
    w[i]*sum(i_1: x[i_1])
    """
    if not values:
        return term
    arriving: frozenset[Index] = NO_INDICES.union(*(as_poly(v).indices for v in values.values()))
    return _substitute(term, dict(values), arriving, {})


def _substitute(term: Term, values: dict[Any, PolyLike], arriving: frozenset[Index], memo: dict[Term, Term]) -> Term:
    found = memo.get(term)
    if found is not None:
        return found
    new: Term
    if isinstance(term, Ref):
        new = Ref(term.name, tuple(p.substitute(values) for p in term.at))
    elif isinstance(term, SizeOf):
        new = size_of(term.value.substitute(values))
    elif isinstance(term, Bracket) and isinstance(term.operand, Poly):
        new = bracket(term.relation, term.operand.substitute(values))
    elif isinstance(term, Over):
        inner = dict(values)
        inner_memo = memo
        bound: list[Index] = []
        for i in term.indices:
            length = i.size.substitute(values)
            j = i if length is i.size else Index(i.name, length, i.serial)
            if any(a.name == j.name and a.serial == j.serial for a in arriving):
                j = fresh(j, [*arriving, *term.body.free, *bound_indices(term.body), *bound])
            bound.append(j)
            if i in inner or j is not i:
                inner_memo = {}
                inner.pop(i, None)
                if j is not i:
                    inner[i] = i_poly(j)
        body = _substitute(term.body, inner, arriving | frozenset(bound), inner_memo)
        new = reduction(term.kind, tuple(bound), body) if term.kind in ("sum", "prod") else Over(term.kind, tuple(bound), body)
    elif term.children:
        new = rebuild(term, tuple(_substitute(k, values, arriving, memo) for k in term.children))
    else:
        new = term
    memo[term] = new
    return new


def rename(term: Term, names: Mapping[str, str]) -> Term:
    """Rename tensors, also where they stand in positions."""
    if term.names.isdisjoint(names):
        return term

    def change(t: Term) -> Term:
        if isinstance(t, Ref):
            return Ref(names.get(t.name, t.name), tuple(p.rename(names) for p in t.at))
        if isinstance(t, SizeOf):
            return size_of(t.value.rename(names))
        if isinstance(t, Bracket) and isinstance(t.operand, Poly):
            return bracket(t.relation, t.operand.rename(names))
        return t

    return transform(term, change)


def inline(term: Term, meanings: Mapping[str, tuple[tuple[Index, ...], Term]]) -> Term:
    """Replace each reference to a name in ``meanings`` by its definition at those positions."""
    if term.names.isdisjoint(meanings):
        return term

    used: frozenset[Index] = term.free | bound_indices(term)

    def change(t: Term) -> Term:
        if isinstance(t, Ref) and t.name in meanings:
            indices, body = meanings[t.name]
            body = freshen(body, used | t.free)
            return substitute(body, dict(zip(indices, t.at)))
        return t

    return transform(term, change)


def freshen(term: Term, used: Iterable[Index]) -> Term:
    """Give bound indices that clash with ``used`` other serials."""
    taken = list(used)

    def change(t: Term) -> Term:
        if not isinstance(t, Over):
            return t
        moves: dict[Any, PolyLike] = {}
        bound: list[Index] = []
        for i in t.indices:
            if any(i.name == u.name and i.serial == u.serial for u in taken):
                j = fresh(i, [*taken, *t.body.free, *bound_indices(t.body), *bound])
                moves[i] = i_poly(j)
                bound.append(j)
            else:
                bound.append(i)
        if not moves:
            return t
        return Over(t.kind, tuple(bound), substitute(t.body, moves))

    return transform(term, change)
