"""Where an analytic expression of the inputs is 0 whatever the inputs are: at which of its indices, at which sizes.

``x[i] − x[j]`` is 0 for every x where i = j, ``(N − 20)·x[n]`` where N = 20, ``x[n] − x[N−1−n]`` at the middle place.
Elsewhere it is 0 in a set of measure zero.  What is said rests on one element: where a tensor stands in one group of terms at a
position that the other groups do not reach, the expression varies with that element, and is not 0 for all inputs.
"""

from __future__ import annotations

from collections.abc import Iterator

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.proof.assumptions.varying import Groups, Inputs, groups_of, holds
from derivcheck.proof.expressions.atoms import UNIT, Element, Expression, Monomial, ProofAtom
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import elements_in, free_in, free_of
from derivcheck.proof.normal_form.brackets import equal, solve
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import moved, replaced

DEPTH = 4  # equations of indices, one solved inside another


def identically_zero(context: Context, u: Expression, inputs: frozenset[str], depth: int = DEPTH) -> Expression | None:
    """``[u is 0 for all inputs]`` as a bracket of indices and sizes: {} never; None where that is not known.

    Args:
        u: analytic in the elements of ``inputs``, and written in them alone.
        inputs: tensors of real numbers, whose elements are free of each other.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, N = new_context(), size("N")
    >>> scope = TextScope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> texts = "x[i] - x[j]", "x[i] - x[j] + 1", "(N - 20)*x[i]", "x[i] - sum(j: x[j])/N"
    >>> [identically_zero(context, of_term(context, parse_term(t, scope)), frozenset("x")) for t in texts]
    [{frozenset({([i - j == 0], 1)}): 1}, {}, {frozenset({([N - 20 == 0], 1)}): 1}, None]
    """
    groups, known = groups_of(u), Inputs(context, inputs)
    if groups is None or depth < 0:
        return None
    if len(groups) == 1:
        ((rest, p),) = groups.items()
        return equal(context, p) if known.never_zero(rest) else None
    if known.never(groups):
        return {}
    for rest in groups:
        for name in sorted(inputs & elements_in([rest])):
            gap = _gap(known, groups, rest, name)
            found = None if gap is None else _where_they_meet(known, u, gap, depth) if gap.terms else {}
            if found is not None:
                return found
    return None


def apart(context: Context, u: Expression, inputs: frozenset[str]) -> tuple[Expression, frozenset[str]]:
    """An expression in which the components of a tensor are tensors of their own, and the names of all: those are free of each
    other, as its other elements are.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import TextScope, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, scope = new_context(), TextScope({"x": parse_input("x", "N 3")}, (Index("n", size("N")),))
    >>> u, names = apart(context, of_term(context, parse_term("x[n, 0]/x[n, 2] + 1", scope)), frozenset("x"))
    >>> sorted(names), sorted(elements_in(u))
    (['x', 'x[_, 0]', 'x[_, 2]'], ['x[_, 0]', 'x[_, 2]'])
    """
    free, new = free_in(u), dict[ProofAtom, Expression]()
    for name in inputs & elements_in(u):
        found = {x for m in u for x in _elements(m, name)}
        axes = [k for k in range(len(next(iter(found)).at)) if all(x.at[k].constant is not None for x in found)]
        if axes and all(x.free <= free for x in found):
            for x in found:
                places = ", ".join(str(p) if k in axes else "_" for k, p in enumerate(x.at))
                new[x] = context.one(Element, f"{name}[{places}]", tuple(p for k, p in enumerate(x.at) if k not in axes))
    return replaced(context, u, new), inputs | {n for v in new.values() for n in elements_in(v)}


def _gap(known: Inputs, groups: Groups, own: Monomial, name: str) -> Poly | None:
    """Where the tensor of one group meets the same tensor in the others: elsewhere the expression varies with it.

    Returns:
        What is 0 where they meet; the number 0 where they nowhere do; None where that is not known.
    """
    context = known.context
    if equal(context, groups[own]) or not known.changes(own, name):
        return None
    others = [m for m in groups if m is not own and holds(m, name)]
    if not others:
        return Poly(())
    for k in range(max((len(x.at) for x in _elements(own, name)), default=0)):
        here = set(_places(own, name, k))
        there = {p for m in others for p in _places(m, name, k)}
        p = here.pop()
        if here or p is None or None in there:
            continue
        meeting = [d for d in (p - q for q in there if q is not None) if equal(context, d)]
        if not meeting:
            return Poly(())
        if len(set(meeting) | {-d for d in meeting}) <= 2 and meeting[0].terms:
            return meeting[0]
    return None


def _where_they_meet(known: Inputs, u: Expression, gap: Poly, depth: int) -> Expression | None:
    """``[gap = 0]`` and what is left of the expression there being 0."""
    context = known.context
    solved = solve(gap)
    if solved is None:
        plain = [m for m in u if len(m) == 1]
        return _of_two_elements(context, *plain) if len(plain) == len(u) == 2 and sum(u.values()) == 0 else None
    left = moved(context, u, {solved[0]: solved[1]})
    inner: Expression | None = {UNIT: 1}
    if left:
        inner = identically_zero(context, left, known.names, depth - 1)
    return None if inner is None else times(context, equal(context, gap), inner)


def _of_two_elements(context: Context, m: Monomial, n: Monomial) -> Expression | None:
    """``x[p, …] − x[q, …]``: 0 where all positions agree."""
    ((a, e),), ((b, f),) = m, n
    if not (isinstance(a, Element) and isinstance(b, Element) and a.name == b.name and e == f):
        return None
    return product(context, (equal(context, p - q) for p, q in zip(a.at, b.at)))


def _places(m: Monomial, name: str, k: int) -> Iterator[Poly | None]:
    """The positions along one dimension at which a tensor stands; None where a Σ inside moves it."""
    free = free_of(m)
    for x in _elements(m, name):
        p = x.at[k]
        yield None if any(i.name == "#" for i in p.indices) and not p.indices <= free else p


def _elements(m: Monomial, name: str) -> Iterator[Element]:
    """The elements of a tensor in a product, also inside."""
    for a, _ in m:
        yield from a.elements_of(name)
