"""Convolutions: sums of products at positions ``s·i + t·u − p``, through torch's convolutions.

Three tensors meet along each spatial dimension in one relation ``x = s·i + t·u − p``.  Whichever of the three
is the output says which call it is: over ``u`` it is a convolution with stride s and dilation t, over ``i`` (the
gradient of the kernel) one with stride t and dilation s, over both a transposed convolution.  The relation may
stand in the sum in any solved form: ``x[s·i + u]``, ``w[x − s·i]`` or ``[x = s·i + t·u]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from derivcheck.codegen.graph.nodes import FLOAT, Node, OverNode
from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.grouping import grouped
from derivcheck.codegen.lowering.positions import radix
from derivcheck.codegen.lowering.reading import merged
from derivcheck.codegen.lowering.summed import SummedProduct
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.nodes import Bracket, Ref


@dataclass
class Relation:
    """``Σ coefficient·coordinate + constant = 0``; guards are the brackets that it makes superfluous."""

    coefficients: dict[Index, int]
    constant: Poly
    guards: tuple[Poly, ...] = ()


@dataclass
class SpatialLine:
    """One spatial dimension, ``x = stride·i + dilation·u − offset``: the coordinates and who holds them."""

    x: Index
    others: dict[str, tuple[Index, int]]  # holder → coordinate and its coefficient
    holder: str
    offset: Poly

    @property
    def coordinates(self) -> tuple[Index, ...]:
        """The three indices, that of the holder first."""
        return (self.x, *(i for i, _ in self.others.values()))

    def of(self, who: str) -> Index:
        """The coordinate of an operand or of the output."""
        return self.x if self.holder == who else self.others[who][0]


@dataclass
class Operand:
    """A tensor with an index per dimension, digits apart, and the node that has these dimensions."""

    name: str
    axes: list[Index]
    node: Node


def convolution(low: Frame, s: SummedProduct) -> OverNode | None:
    """The sum as a convolution, where it is one."""
    if len(s.factors) != 2 or not all(isinstance(f, Ref) and _plain_tensor(low, f) for f in s.factors):
        return None
    sum_ = grouped(low, s)
    a, b = (f for f in sum_.factors if isinstance(f, Ref))
    bound = frozenset(sum_.indices)
    if any(not isinstance(x, Bracket) for x in sum_.brackets):
        return None
    relations: list[Relation] = []
    operands: dict[str, Operand] = {}
    for key, f in (("a", a), ("b", b)):
        found = _coordinates(low, f, relations, key)
        if found is None:
            return None
        operands[key] = found
    guards: list[Bracket] = []
    for bracket in sum_.brackets:
        assert isinstance(bracket, Bracket)
        relation = _of_bracket(low, bracket)
        if relation is not None:
            relations.append(relation)
        else:
            guards.append(bracket)
    free = frozenset().union(*(f.free for f in (*sum_.factors, *sum_.brackets))) - bound - low.graph.fixed
    if not 1 <= len(relations) <= 3:
        return None
    lines = []
    for r in relations:
        line = _line(r, operands, free, bound)
        if line is None:
            return None
        lines.append(line)
    used = [i for line in lines for i in line.coordinates]
    if len(set(used)) != len(used) or len({line.holder for line in lines}) != 1:
        return None
    allowed = {g for r in relations for g in r.guards}
    for line in lines:
        position = -line.offset
        for i, c in line.others.values():
            position = position + c * i_poly(i)
        allowed |= {position, line.x.size - 1 - position}
    if any(g.relation != ">=" or g.operand not in allowed for g in guards):
        return None
    value = _emit(low, operands, lines, free, bound)
    if value is None:
        return None
    for whole, high, digit in reversed(sum_.merges):
        value = merged(low, value, whole, high, digit)
    return low.scale(value, s.number)


def _plain_tensor(low: Frame, f: Ref) -> bool:
    return f.name not in low.steps and f.name not in low.scalars and low.kinds.get(f.name) == "float"


def _coordinates(low: Frame, f: Ref, relations: list[Relation], key: str) -> Operand | None:
    """The operand with an index per dimension: digits unfolded, a new index where it is read at ``c_1·a + c_2·b + k``."""
    out: list[Index] = []
    dims: list[Poly] = []
    for k, (p, size) in enumerate(zip(f.at, low.dims[f.name])):
        i = p.index
        digits = radix(low, f.at, k)
        if i is not None or digits is not None:
            order = [i] if i is not None else digits[1] if digits is not None else []
            total = numel(j.size for j in order)
            if any(j in low.graph.fixed or j in out for j in order) or total is not size or digits and digits[0].terms:
                return None
            out += order
            dims += [j.size for j in order]
            continue
        line = _combination(low, p, 2)
        if line is None:
            return None
        q = fresh(Index(f"{key}{k}", size), [*p.indices, *low.place])
        relations.append(Relation({q: 1, **{j: -c for j, c in line[0].items()}}, -line[1], (p, size - 1 - p)))
        out.append(q)
        dims.append(size)
    return Operand(f.name, out, low.graph.reshape(low.graph.var(f.name, low.dims[f.name]), dims))


def _combination(low: Frame, p: Poly, count: int) -> tuple[dict[Index, int], Poly] | None:
    """``c_1·a + c_2·b + … + k`` with so many indices, integers c and a k that Python knows."""
    rest = p
    coefficients: dict[Index, int] = {}
    for i in p.indices - low.graph.fixed:
        found = rest.linear_in(i)
        if found is None or not found[0]:
            return None
        coefficients[i], rest = found
    return (coefficients, rest) if len(coefficients) == count and not rest.names else None


def _of_bracket(low: Frame, b: Bracket) -> Relation | None:
    """``[x = s·i + t·u − p]`` as a relation of three coordinates."""
    if b.relation != "==" or not isinstance(b.operand, Poly):
        return None
    found = _combination(low, b.operand, 3)
    return None if found is None else Relation(*found)


def _line(r: Relation, operands: dict[str, Operand], free: frozenset[Index], bound: frozenset[Index]) -> SpatialLine | None:
    """The relation as ``x = s·i + t·u − p`` between the two operands and the output."""
    holders: dict[str, Index] = {}
    for i in r.coefficients:
        mine = [k for k in ("a", "b") if i in operands[k].axes]
        if len(mine) > 1 or (mine and i in free):
            return None
        if not mine and i not in free:
            return None
        who = mine[0] if mine else "out"
        if who in holders:
            return None
        holders[who] = i
    if len(holders) != 3:
        return None
    for who, x in holders.items():
        e = r.coefficients[x]
        others = {w: (i, -e * r.coefficients[i]) for w, i in holders.items() if w != who}
        if e in (1, -1) and all(c > 0 for _, c in others.values()):
            return SpatialLine(x, others, who, e * r.constant)
    return None


def _emit(
    low: Frame, operands: dict[str, Operand], lines: Sequence[SpatialLine], free: frozenset[Index], bound: frozenset[Index]
) -> OverNode | None:
    """The call: batch, groups and channels from the indices that are no coordinates, then the result's dimensions."""
    used = {i for line in lines for i in line.coordinates}
    rest = {k: [i for i in v.axes if i not in used] for k, v in operands.items()}
    both = [i for i in rest["a"] if i in rest["b"]]
    shared, group = [i for i in both if i in bound], [i for i in both if i in free]
    alone = {k: [i for i in rest[k] if i not in both] for k in ("a", "b")}
    if any(i in bound for k in ("a", "b") for i in alone[k]):
        return None
    transposed = lines[0].holder == "out"
    first = _image(operands) if transposed else lines[0].holder
    second = "b" if first == "a" else "a"
    g = low.graph

    def node(who: str, classes: Sequence[Sequence[Index]], merged: Sequence[Sequence[Index]]) -> Node:
        order = [i for c in classes for i in c] + [line.of(who) for line in lines]
        turned = g.permute(operands[who].node, [operands[who].axes.index(i) for i in order])
        return g.reshape(turned, [numel(i.size for i in c) for c in merged] + [line.of(who).size for line in lines])

    n, o = alone[first], alone[second]
    x = node(first, [n, group, shared], [n, [*group, *shared]])
    if transposed:
        w = node(second, [group, shared, o], [[*group, *shared], o])
    else:
        w = node(second, [group, o, shared], [[*group, *o], shared])
    out = [line.of("out") for line in lines]
    sizes = tuple(i.size for i in out)
    stride_of = first if transposed else "out"
    stride = tuple(line.others[stride_of][1] for line in lines)
    dilation = tuple(line.others[second][1] for line in lines)
    offset = tuple(line.offset for line in lines)
    dims = (numel(i.size for i in n), numel(i.size for i in (*group, *o)), *sizes)
    settings = (sizes, stride, offset, dilation, numel(i.size for i in group))
    made = g.node("conv_transpose" if transposed else "conv", (x, w), settings, dims, FLOAT)
    order = (*n, *group, *o, *out)
    for i in order:
        low.place.setdefault(i, len(low.place))
    return OverNode(g.reshape(made, [i.size for i in order]), order)


def _image(operands: dict[str, Operand]) -> str:
    """Which operand a transposed convolution takes as its input: a gradient, where only one is."""
    return "b" if _is_gradient(operands["b"].name) and not _is_gradient(operands["a"].name) else "a"


def _is_gradient(name: str) -> bool:
    return name.endswith("_bar") or name.startswith("grad_")
