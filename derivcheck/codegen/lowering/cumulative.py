"""Sums over all earlier or later places: ``Σ_j [j <= i]·v[j]`` is a cumulative sum, not a matrix of ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivcheck.codegen.graph.nodes import Node, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.reading import padded
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Ref, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.notation.terms.walk import factors


class PlacesCompared(NamedTuple):
    """A bracket that leaves, for each place i, the places j before it or later than it; strict leaves out i itself."""

    j: Index
    i: Index
    later: bool
    strict: bool


def cumulative(low: Frame, s: SummedProduct) -> OverNode | None:
    """The sum as a cumulative one, where a bracket compares a summed index with one that nothing else has."""
    for b in s.brackets:
        others = [*(o for o in s.brackets if o is not b), *s.factors]
        order = _compared(low, b, s.bound)
        if order is None:
            continue
        j, i, later, strict = order
        if any(i in t.free for t in others):
            faded = None if strict else _of_exponentials(low, s, others, order)
            if faded is None:
                continue
            return faded
        value = low.value(summation([k for k in s.bound if k is not j], mul(s.number, *others)))
        if j not in value.axes:
            continue
        k = value.axes.index(j)
        node = low.tensor(value.node)
        node = _flip(low, _cumsum(low, _flip(low, node, k), k), k) if later else _cumsum(low, node, k)
        total = OverNode(node, tuple(i if x is j else x for x in value.axes))
        return padded(low, total, k, as_poly(-1 if later else 1), i.size) if strict else total
    return None


def _of_exponentials(low: Frame, s: SummedProduct, factors: Sequence[Term], order: PlacesCompared) -> OverNode | None:
    """``Σ_j [j <= i]·h[j]·exp(u[j] + v[i])``, where ``exp(u)`` alone may be too large."""
    j, i, later, _ = order
    weights: list[Term] = [s.number]
    inner: list[Term] = []
    outer: list[Term] = []
    for t in factors:
        if i not in t.free:
            weights.append(t)
        elif isinstance(t, Func) and t.name == "exp":
            for a in t.args[0].args if isinstance(t.args[0], Add) else t.args:
                if i in a.free and j in a.free:
                    return None
                (outer if i in a.free else inner).append(a)
        else:
            return None
    if j not in add(*inner).free or any(k is not j and k in t.free for k in s.bound for t in factors):
        return None
    weight, u, v = low.value(mul(*weights)), low.value(add(*inner)), low.value(add(*outer))
    v = OverNode(v.node, tuple(j if x is i else x for x in v.axes))
    axes = low.union([weight.axes, u.axes, v.axes])
    k = axes.index(j)
    nodes = [low.tensor(low.spread(x, axes)) for x in (weight, u, v)]
    if later:
        nodes = [_flip(low, n, k) for n in nodes]
    made = low.graph.node("cumsum_exp", nodes, (k,), nodes[0].dims, nodes[0].kind)
    return OverNode(_flip(low, made, k) if later else made, tuple(i if x is j else x for x in axes))


def _compared(low: Frame, b: Bracket, bound: Sequence[Index]) -> PlacesCompared | None:
    """What ``[i >= j]`` (earlier places and i itself), ``[j >= i]``, ``[i > j]`` or ``[j > i]`` says."""
    if b.relation != ">=" or not isinstance(b.operand, Poly) or len(b.free - low.graph.fixed) != 2:
        return None
    for j in b.free:
        for i in b.free:
            if j not in bound or i in bound or i in low.graph.fixed or i.size is not j.size:
                continue
            for later in (False, True):
                line = i_poly(j) - i_poly(i) if later else i_poly(i) - i_poly(j)
                if b.operand is line or b.operand is line - 1:
                    return PlacesCompared(j, i, later, b.operand is not line)
    return None


def _cumsum(low: Frame, node: Node, k: int) -> Node:
    return low.graph.node("cumsum", (node,), (k,), node.dims, node.kind)


def _flip(low: Frame, node: Node, k: int) -> Node:
    return low.graph.node("flip", (node,), (k,), node.dims, node.kind)


def product_so_far(d: Definition) -> tuple[Term, int] | None:
    """``(x, a)`` where the definition is ``p[k] := ([k = 0] + [k >= 1]·p[k − 1])·x[k]`` along its dimension ``a``."""
    parts = factors(d.term)
    own = [t for t in parts if d.name in t.names]
    if len(own) != 1 or not isinstance(own[0], Add) or len(own[0].args) != 2:
        return None
    for a, k in enumerate(d.indices):
        at = [i_poly(i) for i in d.indices]
        at[a] = at[a] - 1
        before = add(bracket("==", i_poly(k)), mul(bracket(">=", i_poly(k) - 1), Ref(d.name, tuple(at))))
        if own[0] is before:
            return mul(*(t for t in parts if t is not own[0])), a
    return None
