"""Sums over windows, without a tensor that holds each window apart.

``Σ_u x[s·i + u − p]`` adds up as many shifted slices as a window has places.  ``Σ_i [0 <= q][q < K]·g[i, q]`` with
``q = k + p − s·i``, the adjoint of that, lays windows over each other and adds.
"""

from __future__ import annotations

from derivcheck.codegen.graph.nodes import OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Ref
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.terms.walk import bound_indices

Sides = dict[Poly, Bracket]


def windows(low: Frame, s: SummedProduct) -> OverNode | None:
    """The sum by shifted slices or by laying windows over each other, where it is one of the two."""
    sides: Sides = {b.operand: b for b in s.brackets if b.relation == ">=" and isinstance(b.operand, Poly)}
    for i in s.bound:
        found = _slices(low, s, i, sides) or _laid_over(low, s, i, sides)
        if found is not None:
            return found
    return None


def _slices(low: Frame, s: SummedProduct, u: Index, sides: Sides) -> OverNode | None:
    """``Σ_u f[.., s·i + d·u + c, ..]``, 0 outside, where i and u stand nowhere else."""
    f = s.factors[0] if len(s.factors) == 1 else None
    if not isinstance(f, Ref) or u.size.constant is None or f.name in low.steps:
        return None
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
    if start is None or start[0] < 1 or i in s.bound or start[1].indices or i.size.indices:
        return None
    guards = [b for b in (sides.get(p), sides.get(size - 1 - p)) if b is not None]
    left = [b for b in s.brackets if b not in guards]
    if any({i, u} & b.free for b in left) or any(i in q.indices for j, q in enumerate(f.at) if j != k):
        return None
    if not guards and start[0] == u.size.constant and line[0] == 1:
        return None  # windows side by side are a reshape
    a = fresh(Index(i.name, size), [*low.place, *f.free, *s.bound])
    low.place[a] = low.place.get(i, len(low.place))
    read = Ref(f.name, (*f.at[:k], i_poly(a), *f.at[k + 1 :]))
    value = low.value(summation([j for j in s.bound if j is not u], mul(s.number, *left, read)))
    if a not in value.axes:
        return None
    at = value.axes.index(a)
    dims_out = [i.size if x is a else d for x, d in zip(value.axes, value.node.dims)]
    params = (at, start[1], i.size, start[0], line[0], u.size.constant)
    node = low.graph.node("slices", (low.tensor(value.node),), params, dims_out, value.node.kind)
    return OverNode(node, tuple(i if x is a else x for x in value.axes))


def _laid_over(low: Frame, s: SummedProduct, i: Index, sides: Sides) -> OverNode | None:
    """``Σ_i [q >= 0]·[K - 1 - q >= 0]·f(i, q)`` with ``q = k + c − s·i``."""
    for q, one in sides.items():
        line = q.linear_in(i) if i in q.indices else None
        others = q.indices - low.graph.fixed - {i}
        if line is None or line[0] >= -1 or len(others) != 1 or q.names:
            continue
        (k,) = others
        rest_of_line = line[1].linear_in(k)
        if rest_of_line is None or rest_of_line[0] != 1 or k in s.bound or rest_of_line[1].indices or k.size.indices:
            continue
        width = next((c.constant for r in sides if (c := r + q + 1).constant is not None), None)
        if width is None or width < 1:
            continue
        used = [*low.place, *s.bound, *(j for t in s.factors for j in (*t.free, *bound_indices(t)))]
        u = fresh(Index(k.name, width), used)
        low.place[u] = low.place.get(k, len(low.place))
        offset, stride = rest_of_line[1], -line[0]
        moves = {k: stride * i_poly(i) + i_poly(u) - offset}
        other = sides[width - 1 - q]
        factors = [substitute(t, moves) for t in (*(b for b in s.brackets if b is not one and b is not other), *s.factors)]
        value = low.value(summation([j for j in s.bound if j is not i], mul(s.number, *factors)))
        kept = tuple(x for x in value.axes if x not in (i, u))
        node = low.tensor(low.spread(value, (*kept, i, u)))
        params = (len(kept), stride, offset, k.size)
        made = low.graph.node("laid_over", (node,), params, [*node.dims[:-2], k.size], node.kind)
        return OverNode(made, (*kept, k))
    return None
