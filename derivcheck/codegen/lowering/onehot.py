"""A one-hot among the addends of a sum, or alone: ``y[n, c] + [c = t[n]]·s[n]`` adds each ``s[n]`` into place ``t[n]``."""

from __future__ import annotations

from typing import NamedTuple

from derivcheck.codegen.graph.nodes import FLOAT, INT, Node, OverNode
from derivcheck.codegen.lowering.frame import LAST, Frame
from derivcheck.codegen.lowering.positions import trusted
from derivcheck.codegen.lowering.reading import integer
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.walk import factors


class Hot(NamedTuple):
    """``[c = p]·rest``, where nothing but the bracket runs along c."""

    c: Index
    p: Poly
    rest: Term


def hot(low: Frame, term: Term) -> Hot | None:
    """The product as a one-hot along an index that is not summed."""
    parts = factors(term)
    for b in parts:
        if not (isinstance(b, Bracket) and b.relation == "==" and isinstance(b.operand, Poly) and b.operand.names):
            continue
        others = [f for f in parts if f is not b]
        for c in sorted(b.operand.indices - low.graph.fixed, key=lambda i: low.place.get(i, LAST)):
            line = b.operand.linear_in(c)
            if line is None or line[0] not in (1, -1) or any(c in f.free for f in others):
                continue
            p = -line[0] * line[1]
            if c in p.indices or c.size.indices or not p.names:
                continue
            inside = [] if trusted(low, p, c.size) else [bracket(">=", p), bracket(">=", c.size - 1 - p)]
            return Hot(c, p, mul(*inside, *others))
    return None


def added(low: Frame, base: OverNode, one: Hot) -> OverNode | None:
    """``base + [c = p]·rest`` where the base has all the indices."""
    value, spot = low.value(one.rest), integer(low, one.p)
    rest = tuple(i for i in base.axes if i is not one.c)
    if one.c not in base.axes or base.node.kind != FLOAT or not set(value.axes) | set(spot.axes) <= set(rest):
        return None
    at = base.axes.index(one.c)
    node = low.spread(value, rest)
    index = low.spread(_clamped(low, spot, one), rest)
    nodes = [low.graph.unsqueeze(low.tensor(n, kind), (at,)) for n, kind in ((index, INT), (node, FLOAT))]
    return OverNode(low.graph.node("add_at", (base.node, *nodes), (at,), base.node.dims, FLOAT), base.axes)


def alone(low: Frame, term: Term) -> OverNode | None:
    """A product that is one-hot, in zeros."""
    one = hot(low, term)
    if one is None or low.integer_context:
        return None
    value, spot = low.value(one.rest), integer(low, one.p)
    axes = low.union([value.axes, spot.axes, (one.c,)])
    zeros = low.graph.node("zeros", (), (), tuple(i.size for i in axes), FLOAT)
    return added(low, OverNode(zeros, axes), one)


def _clamped(low: Frame, spot: OverNode, one: Hot) -> OverNode:
    if trusted(low, one.p, one.c.size):
        return spot
    node: Node = low.graph.node("clamp", (spot.node,), (as_poly(0), one.c.size - 1), spot.node.dims, INT)
    return OverNode(node, spot.axes)
