"""Sums over windows, without a tensor that holds each window apart.

``Σ_u x[s·i + u − p]`` adds up as many shifted slices as a window has places.  ``Σ_i [0 <= q][q < K]·g[i, q]`` with
``q = k + p − s·i``, the adjoint of that, lays windows over each other and adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.nodes import OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.terms.walk import bound_indices

Sides = dict[Poly, Bracket]


def windows(
    low: Frame, indices: Sequence[Index], number: Term, brackets: Sequence[Bracket], rest: Sequence[Term]
) -> OverNode | None:
    """The sum by shifted slices or by laying windows over each other, where it is one of the two."""
    bound = [i for i in indices if i not in low.graph.fixed]
    sides: Sides = {b.operand: b for b in brackets if b.relation == ">=" and isinstance(b.operand, Poly)}
    for i in bound:
        found = _slices(low, bound, i, number, brackets, rest, sides) or _laid_over(
            low, bound, i, number, brackets, rest, sides
        )
        if found is not None:
            return found
    return None


def _slices(
    low: Frame, bound: list[Index], u: Index, number: Term, brackets: Sequence[Bracket], rest: Sequence[Term], sides: Sides
) -> OverNode | None:
    """``Σ_u f[.., s·i + d·u + c, ..]``, 0 outside, where i and u stand nowhere else."""
    if len(rest) != 1 or not isinstance(rest[0], Ref) or u.size.constant is None or rest[0].name in low.steps:
        return None
    f = rest[0]
    dims = low.dims[f.name]
    spots = [k for k, p in enumerate(f.at) if u in p.indices]
    if len(spots) != 1 or len(f.at) != len(dims):
        return None
    (k,) = spots
    p, size = f.at[k], dims[k]
    line = p.linear_in(u)
    others = p.indices - low.graph.fixed - {u}
    if line is None or line[0] == 0 or len(others) != 1 or p.names:
        return None
    (i,) = others
    start = line[1].linear_in(i)
    if start is None or start[0] < 1 or i in bound or start[1].indices or i.size.indices:
        return None
    guards = [b for b in (sides.get(p), sides.get(size - 1 - p)) if b is not None]
    left = [b for b in brackets if b not in guards]
    if any({i, u} & b.free for b in left) or any(i in q.indices for j, q in enumerate(f.at) if j != k):
        return None
    if not guards and start[0] == u.size.constant and line[0] == 1:
        return None  # windows side by side are a reshape
    a = fresh(Index(i.name, size), [*low.place, *f.free, *bound])
    low.place[a] = low.place.get(i, len(low.place))
    read = Ref(f.name, (*f.at[:k], i_poly(a), *f.at[k + 1 :]))
    value = low.value(summation([j for j in bound if j is not u], mul(number, *left, read)))
    if a not in value.axes:
        return None
    at = value.axes.index(a)
    dims_out = [i.size if x is a else d for x, d in zip(value.axes, value.node.dims)]
    params = (at, start[1], i.size, start[0], line[0], u.size.constant)
    node = low.graph.node("slices", (low.tensor(value.node),), params, dims_out, value.node.kind)
    return OverNode(node, tuple(i if x is a else x for x in value.axes))


def _laid_over(
    low: Frame, bound: list[Index], i: Index, number: Term, brackets: Sequence[Bracket], rest: Sequence[Term], sides: Sides
) -> OverNode | None:
    """``Σ_i [q >= 0]·[K - 1 - q >= 0]·f(i, q)`` with ``q = k + c − s·i``."""
    for q, one in sides.items():
        line = q.linear_in(i) if i in q.indices else None
        others = q.indices - low.graph.fixed - {i}
        if line is None or line[0] >= -1 or len(others) != 1 or q.names:
            continue
        (k,) = others
        rest_of_line = line[1].linear_in(k)
        if rest_of_line is None or rest_of_line[0] != 1 or k in bound or rest_of_line[1].indices or k.size.indices:
            continue
        width = next((c.constant for r in sides if (c := r + q + 1).constant is not None), None)
        if width is None or width < 1:
            continue
        used = [*low.place, *bound, *(j for t in rest for j in (*t.free, *bound_indices(t)))]
        u = fresh(Index(k.name, width), used)
        low.place[u] = low.place.get(k, len(low.place))
        offset, stride = rest_of_line[1], -line[0]
        moves = {k: stride * i_poly(i) + i_poly(u) - offset}
        other = sides[width - 1 - q]
        factors = [substitute(t, moves) for t in (*(b for b in brackets if b is not one and b is not other), *rest)]
        value = low.value(summation([j for j in bound if j is not i], mul(number, *factors)))
        kept = tuple(x for x in value.axes if x not in (i, u))
        node = low.tensor(low.spread(value, (*kept, i, u)))
        params = (len(kept), stride, offset, k.size)
        made = low.graph.node("laid_over", (node,), params, [*node.dims[:-2], k.size], node.kind)
        return OverNode(made, (*kept, k))
    return None
