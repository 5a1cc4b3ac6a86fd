"""Terms with their parts changed: other indices, sizes, names or whole definitions; bound indices are never captured.

A sum over an index of size 1 is its one addend, which takes a substitution; and a substitution builds sums.  So the sums
are built here, too.

>>> from derivcheck.notation.integers.polynomials import size
>>> from derivcheck.notation.terms.build import number, ref
>>> n = Index("n", size("N"))
>>> print(summation([n], mul(number(2), ref("x", n))))
2*sum(n: x[n])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from derivcheck.notation.integers.polynomials import Atom, Index, Poly, PolyLike, as_poly, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, mul, power, size_of
from derivcheck.notation.terms.nodes import NO_INDICES, Add, Bracket, Func, Mul, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import bound_indices


# -- over indices ----------------------------------------------------------------
def summation(indices: Iterable[Index], body: Term) -> Term:
    """``Σ`` over the indices; factors that are free of them stand in front."""
    return reduction("sum", tuple(indices), body)


def product(indices: Iterable[Index], body: Term) -> Term:
    """``Π`` over the indices."""
    return reduction("prod", tuple(indices), body)


def extremum(kind: str, indices: Iterable[Index], body: Term) -> Term:
    """``max``, ``min``, ``argmax`` or ``argmin`` over the indices (the first place among equals)."""
    ids = tuple(indices)
    return Over(kind, ids, body) if ids else body


def matrix(kind: str, indices: Sequence[Index], body: Term, *at: PolyLike | Atom) -> Term:
    """What is made of the matrix of these rows and columns, by a kind of :data:`~derivcheck.notation.terms.nodes.MATRICES`.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import ref
    >>> i, j, k = (Index(name, size("N")) for name in "ijk")
    >>> print(matrix("inv", (i, j), ref("a", i, j), k, i))
    inv(i, j: a[i, j])[k, i]
    """
    return Over(kind, tuple(indices), body, tuple(map(as_poly, at)))


def reduction(kind: str, indices: tuple[Index, ...], body: Term) -> Term:
    """``Σ`` or ``Π`` by its kind, ``sum`` or ``prod``."""
    if not indices or body is (ZERO if kind == "sum" else ONE):
        return body
    single = [i for i in indices if i.size.constant == 1]
    if single:  # a dimension of size 1 has one position
        rest = tuple(i for i in indices if i.size.constant != 1)
        return reduction(kind, rest, substitute(body, dict.fromkeys(single, 0)))
    if kind == "prod":
        return Over("prod", indices, body)
    if isinstance(body, Over) and body.kind == "sum":
        bound = body.indices
        if not any(b.name == i.name and b.serial == i.serial for b in bound for i in indices):
            indices, body = indices + bound, body.body
    absent = [i for i in indices if i not in body.free and not any(i in j.size.indices for j in indices)]
    if absent:
        times = [size_of(i.size) for i in absent]
        return mul(*times, reduction(kind, tuple(i for i in indices if i not in absent), body))
    bound_set = frozenset(indices)
    if isinstance(body, Mul):
        outside = [a for a in body.args if a.free.isdisjoint(bound_set)]
        if outside:
            inside = [a for a in body.args if not a.free.isdisjoint(bound_set)]
            return mul(*outside, reduction(kind, indices, mul(*inside)))
    return Over("sum", indices, body)


# -- the same with changes -------------------------------------------------------
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
        return Over(term.kind, term.indices, new[0], term.at)
    if isinstance(term, Bracket) and new:
        return bracket(term.relation, new[0])
    return term


def transform(term: Term, change: Callable[[Term], Term]) -> Term:
    """Apply ``change`` bottom up."""
    kids = term.children
    if kids:
        new = tuple([transform(k, change) for k in kids])
        if new != kids:
            term = rebuild(term, new)
    return change(term)


def with_polys(node: Term, change: Callable[[Poly], Poly]) -> Term:
    """A node with the integer expressions that stand directly in it changed."""
    if isinstance(node, Ref):
        return Ref(node.name, tuple(map(change, node.at)))
    if isinstance(node, SizeOf):
        return size_of(change(node.value))
    if isinstance(node, Bracket) and isinstance(node.operand, Poly):
        return bracket(node.relation, change(node.operand))
    if isinstance(node, Over) and node.at:
        return Over(node.kind, node.indices, node.body, tuple(map(change, node.at)))
    return node


def substitute(term: Term, values: Mapping[Any, PolyLike], memo: dict[Any, Any] | None = None) -> Term:
    """Replace free indices and sizes by integer expressions; bound indices step aside (no capture).

    ``memo`` is shared by many terms in which the same is replaced.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import mul, ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> print(substitute(summation([i], mul(ref("x", i), ref("w", j))), {j: i_poly(i)}))
    w[i]*sum(i_1: x[i_1])
    """
    if not values:
        return term
    arriving: frozenset[Index] = NO_INDICES.union(*(as_poly(v).indices for v in values.values()))
    return _substitute(term, dict(values), arriving, {} if memo is None else memo)


def _substitute(term: Term, values: dict[Any, PolyLike], arriving: frozenset[Index], memo: dict[Any, Any]) -> Term:
    """The work of :func:`substitute`; ``arriving`` are the indices that bound ones must step aside for.

    ``memo`` holds new terms by old, and by what a reduction changes of its indices the memo of what stands inside.
    """
    found: Term | None = memo.get(term)
    if found is not None:
        return found
    new: Term
    if isinstance(term, Ref):
        new = Ref(term.name, tuple([p.substitute(values) for p in term.at]))
    elif isinstance(term, SizeOf):
        new = size_of(term.value.substitute(values))
    elif isinstance(term, Bracket) and isinstance(term.operand, Poly):
        new = bracket(term.relation, term.operand.substitute(values))
    elif isinstance(term, Over):
        inner = dict(values)
        moved: list[tuple[Index, Index]] = []
        bound: list[Index] = []
        for i in term.indices:
            length = i.size.substitute(values)
            j = i if length is i.size else Index(i.name, length, i.serial)
            if any(a.name == j.name and a.serial == j.serial for a in arriving):
                j = fresh(j, [*arriving, *term.body.free, *bound_indices(term.body), *bound])
            bound.append(j)
            if i in inner or j is not i:
                moved.append((i, j))
                inner.pop(i, None)
                if j is not i:
                    inner[i] = i_poly(j)
        inner_memo = memo.setdefault(tuple(moved), {}) if moved else memo
        body = _substitute(term.body, inner, arriving | frozenset(bound), inner_memo)
        at = tuple(p.substitute(values) for p in term.at)
        over = term.kind in ("sum", "prod")
        new = reduction(term.kind, tuple(bound), body) if over else Over(term.kind, tuple(bound), body, at)
    elif kids := term.children:
        new = rebuild(term, tuple([_substitute(k, values, arriving, memo) for k in kids]))
    else:
        new = term
    memo[term] = new
    return new


def rename(term: Term, names: Mapping[str, str]) -> Term:
    """Rename tensors, also where they stand in positions."""
    if term.names.isdisjoint(names):
        return term

    def change(t: Term) -> Term:
        t = with_polys(t, lambda p: p.rename(names))
        return Ref(names.get(t.name, t.name), t.at) if isinstance(t, Ref) else t

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
    clashing = {(u.name, u.serial) for u in taken}
    if not any((i.name, i.serial) in clashing for i in bound_indices(term)):
        return term

    def change(t: Term) -> Term:
        """A reduction whose indices do not clash."""
        if not isinstance(t, Over):
            return t
        moves: dict[Any, PolyLike] = {}
        bound: list[Index] = []
        for i in t.indices:
            if (i.name, i.serial) in clashing:
                j = fresh(i, [*taken, *t.body.free, *bound_indices(t.body), *bound])
                moves[i] = i_poly(j)
                bound.append(j)
            else:
                bound.append(i)
        if not moves:
            return t
        return Over(t.kind, tuple(bound), substitute(t.body, moves), t.at)

    return transform(term, change)
