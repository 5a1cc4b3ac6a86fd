"""Inverses, determinants and Cholesky factors by torch.linalg; a sum with an inverse in it solves a system.

A triangle is solved as one: where brackets say so, and where the matrix is a Cholesky factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from derivcheck.codegen.graph.nodes import FLOAT, Node, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.reading import read
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Over, Ref, Term
from derivcheck.notation.terms.walk import factors

UPPER, LOWER = "upper", "lower"


class Triangle(NamedTuple):
    """The matrix as it is read: the element, and of which triangle; ``unit``: with ones on the diagonal."""

    element: Term
    side: str = ""
    unit: bool = False


def made_of_matrix(low: Frame, term: Over) -> OverNode:
    """What is made of a matrix as torch computes it, or an element of that."""
    rows, columns = term.indices
    for i in term.indices:
        low.place.setdefault(i, len(low.place))
    seen = triangle_of(low, term) if term.kind == "inv" else Triangle(term.body)
    value = low.value(seen.element)
    lead = tuple(i for i in value.axes if i not in term.indices)
    matrix = low.tensor(low.spread(value, (*lead, rows, columns)))
    shape = [i.size for i in (*lead, *(term.indices if term.at else ()))]
    params = (seen.side, seen.unit) if term.kind == "inv" else ()
    node = low.graph.node(term.kind, (matrix,), params, shape, FLOAT)
    if not term.at:
        return OverNode(node, lead)
    places = [x for p in term.at if (x := p.index) is not None and x.size is rows.size and x not in low.graph.fixed]
    if len(places) == 2 and len({*lead, *places}) == len(lead) + 2:
        for place in places:
            low.place.setdefault(place, len(low.place))
        return OverNode(node, (*lead, *places))
    name = f"matrix {len(low.held)}"
    low.held[name], low.dims[name], low.kinds[name] = node, tuple(shape), "float"
    return read(low, name, (*map(i_poly, lead), *term.at))


def triangle_of(low: Frame, term: Over) -> Triangle:
    """Which triangle the elements are, and what they are in it."""
    i, j = term.indices
    body = term.body
    if isinstance(body, Ref) and body.name in low.lower and len(body.at) >= 2:
        last = tuple(p.index for p in body.at[-2:])
        if {i, j}.isdisjoint(k for p in body.at[:-2] for k in p.indices) and last in ((i, j), (j, i)):
            return Triangle(body, LOWER if last == (i, j) else UPPER)
    diagonal = bracket("==", i_poly(i) - i_poly(j))
    unit = isinstance(body, Add) and len(body.args) == 2 and diagonal in body.args
    part = add(*(a for a in body.args if a is not diagonal)) if unit and isinstance(body, Add) else body
    for side, below in ((LOWER, i_poly(i) - i_poly(j)), (UPPER, i_poly(j) - i_poly(i))):
        mask = bracket(">=", below - 1 if unit else below)
        if mask in factors(part):
            rest = mul(*(f for f in factors(part) if f is not mask))
            if not any(isinstance(f, Bracket) for f in factors(rest)):
                return Triangle(rest, side, unit)
    return Triangle(body)


class _System(NamedTuple):
    """A sum of an inverse and another factor: ``matrix·x = other``; ``turned``: of the transposed matrix."""

    inverse: Node
    lead: tuple[Index, ...]
    turned: bool
    out: Index


def solved(low: Frame, left: OverNode, right: OverNode, inner: Sequence[Index]) -> OverNode | None:
    """``Σ_k A⁻¹[p, k]·b[k, c]`` as the solution of a system; None where neither factor is an inverse that it sums over."""
    if len(inner) != 1 or left.node.kind != FLOAT or right.node.kind != FLOAT:
        return None
    for one, other in ((left, right), (right, left)):
        found = _system(one, inner[0])
        if found is not None and found.out not in other.axes and other.node.rank == len(other.axes):
            return _solution(low, found, other, inner[0])
    return None


def _system(value: OverNode, k: Index) -> _System | None:
    """The inverse in a factor, with k as one of its last two dimensions."""
    node, axes = value.node, list(value.axes)
    if node.op == "permute" and node.args[0].op == "inv":
        own: list[Index] = list(axes)
        for place, before in enumerate(node.params[0]):
            own[before] = axes[place]
        node, axes = node.args[0], own
    if node.op != "inv" or k not in axes[-2:]:
        return None
    turned = axes[-2] is k
    return _System(node, tuple(axes[:-2]), turned, axes[-1] if turned else axes[-2])


def _solution(low: Frame, system: _System, other: OverNode, k: Index) -> OverNode:
    """The system solved for all columns at once; dimensions that the matrices do not have are columns."""
    g, lead = low.graph, system.lead
    columns = tuple(i for i in other.axes if i not in lead and i is not k)
    before = tuple(i for i in lead if i in other.axes)
    right = other.axes == (*before, *columns, k) and len(columns) == 1  # x·A = b, as it lies
    order = (*before, *columns, k) if right else (*before, k, *columns)
    b = g.permute(other.node, [other.axes.index(i) for i in order])
    wide = numel(i.size for i in columns)
    if len(columns) > 1:
        b = g.reshape(b, [*(i.size for i in before), k.size, wide])
    elif not columns:
        b = g.unsqueeze(b, [b.rank])
    b = g.unsqueeze(b, [n for n, i in enumerate(lead) if i not in before])
    a, side, unit = system.inverse.args[0], *system.inverse.params
    if system.turned is not right:
        rank = a.rank
        a = g.permute(a, [*range(rank - 2), rank - 1, rank - 2])
        side = {UPPER: LOWER, LOWER: UPPER}.get(side, side)
    batch = [i.size for i in lead]
    dims = [*batch, columns[0].size, k.size] if right else [*batch, k.size, wide]
    node = g.node("solve", (a, b), (side, unit, not right), dims, FLOAT)
    if right:
        return OverNode(node, (*lead, *columns, system.out))
    if not columns:
        return OverNode(g.node("select", (node,), (node.rank - 1, as_poly(0)), dims[:-1], FLOAT), (*lead, system.out))
    if len(columns) > 1:
        node = g.reshape(node, [*batch, k.size, *(i.size for i in columns)])
    return OverNode(node, (*lead, system.out, *columns))
