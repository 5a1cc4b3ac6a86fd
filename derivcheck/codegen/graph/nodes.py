"""Tensor operations before they become text: a graph in which equal operations are one node.

A term says which elements meet; a :class:`Node` says which torch call computes them, without index names.
So ``output - target`` is one node wherever it comes from, and is computed once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.notation.terms.build import size_of
from derivcheck.notation.terms.nodes import Number, Term

NUMBER, SCALAR, FLOAT, INT, BOOL = "number", "scalar", "float", "int", "bool"


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One operation.

    Attributes:
        op: its name (see :mod:`derivcheck.codegen.graph.spell`).
        args: the nodes that it reads.
        params: what else it depends on: dimensions, sizes, names.
        dims: the size of each dimension; ``1`` for one that only broadcasts.
        kind: ``number`` (a Python number), ``scalar`` (a Python number or a tensor without dimensions), ``float``,
            ``int`` or ``bool`` tensors.
        loops: the loop indices that it depends on.
    """

    op: str
    args: tuple[Node, ...]
    params: tuple[Any, ...]
    dims: tuple[Poly, ...]
    kind: str
    loops: frozenset[Index]

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.dims)


class OverNode(NamedTuple):
    """A node with the index that each of its dimensions stands for."""

    node: Node
    axes: tuple[Index, ...]


ONE_SIZE = as_poly(1)


class Graph:
    """Makes nodes; equal ones are one object.  The methods apply the few laws that make the text better."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self.fixed: frozenset[Index] = frozenset()

    def node(
        self,
        op: str,
        args: Sequence[Node] = (),
        params: Sequence[Any] = (),
        dims: Sequence[Poly] = (),
        kind: str = FLOAT,
        loops: Iterable[Index] = (),
    ) -> Node:
        """The node with these parts."""
        key = (op, tuple(args), tuple(params), tuple(dims), kind)
        found = self._nodes.get(key)
        if found is None:
            deps = frozenset(loops).union(*(a.loops for a in args), *(_indices(p) for p in params))
            found = self._nodes[key] = Node(op, tuple(args), tuple(params), tuple(dims), kind, deps & self.fixed)
        return found

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return len(self._nodes)

    def copy(self) -> Graph:
        """Another graph with the same nodes."""
        new = Graph()
        new._nodes, new.fixed = dict(self._nodes), self.fixed
        return new

    # -- leaves ----------------------------------------------------------------
    def var(self, name: str, dims: Sequence[Poly], kind: str = FLOAT) -> Node:
        """A tensor that has a name."""
        return self.node("var", (), (name,), dims, kind)

    def number(self, term: Term) -> Node:
        """A number known to Python: made of numbers, sizes and loop indices."""
        return self.node("number", (), (term,), (), NUMBER)

    def arange(self, length: Poly) -> Node:
        """``0 … length−1``."""
        return self.node("arange", (), (length,), (length,), INT)

    # -- elementwise -------------------------------------------------------------
    def binary(self, op: str, left: Node, right: Node) -> Node:
        """An elementwise operation of two nodes that broadcast against each other."""
        fused = self._fused(op, left, right)
        if fused is not None:
            return fused
        return self.node(op, (left, right), (), broadcast(left.dims, right.dims), joined(left, right))

    def _fused(self, op: str, left: Node, right: Node) -> Node | None:
        """A sum with a matrix product as ``addmm``, a quotient of a sum as ``mean``; None where it is neither."""
        if op == "add":
            for product, other in ((left, right), (right, left)):
                if (
                    product.op == "matmul"
                    and product.rank == 2
                    and other.kind == FLOAT
                    and all(a.rank == 2 for a in product.args)
                ):
                    if broadcast(product.dims, other.dims) == product.dims and other.op != "matmul":
                        return self.node("addmm", (other, *product.args), (), product.dims, FLOAT)
        if op == "div" and right.op == "number":
            return self.mean_of(left, right.params[0])
        return None

    def mean_of(self, total: Node, divisor: Term) -> Node | None:
        """``sum(x)/number`` as ``mean(x)`` where the number is how many are summed."""
        if total.op == "sum" and total.kind == FLOAT and total.args[0].kind == FLOAT:
            (x,), (dims, keep) = total.args, total.params
            if (
                size_of(numel(x.dims[k] for k in dims)) is divisor
                and divisor.free <= self.fixed
                and not isinstance(divisor, Number)
            ):
                return self.node("mean", (x,), (dims, keep), total.dims, FLOAT)
        return None

    def unary(self, op: str, x: Node, *params: Any, kind: str | None = None) -> Node:
        """An elementwise operation of one node."""
        return self.node(op, (x,), params, x.dims, kind or x.kind)

    # -- shape ---------------------------------------------------------------------
    def permute(self, x: Node, order: Sequence[int]) -> Node:
        """Dimensions in another order."""
        if list(order) == list(range(x.rank)):
            return x
        if x.op == "permute":
            before = x.params[0]
            return self.permute(x.args[0], [before[k] for k in order])
        return self.node("permute", (x,), (tuple(order),), [x.dims[k] for k in order], x.kind)

    def unsqueeze(self, x: Node, places: Sequence[int]) -> Node:
        """New dimensions of length 1 at these places of the result."""
        if not places or x.kind == NUMBER or x.kind == SCALAR:
            return x
        if x.op == "select" and tuple(places) == (x.params[0],) and x.args[0].dims[x.params[0]] is ONE_SIZE:
            return x.args[0]  # its only element, taken out and put back
        dims = list(x.dims)
        for k in sorted(places):
            dims.insert(k, ONE_SIZE)
        if x.op in _KEEPS and not x.params[1] and tuple(sorted(places)) == x.params[0]:
            return self.node(x.op, x.args, (x.params[0], True), dims, x.kind)
        return self.node("unsqueeze", (x,), (tuple(sorted(places)),), dims, x.kind)

    def reduce(self, op: str, x: Node, dims: Iterable[int]) -> Node:
        """``sum``, ``amax``, ``amin`` over dimensions."""
        over = tuple(sorted(dims))
        if not over:
            return x
        if op == "sum" and x.op == "sum" and not x.params[1]:
            inner, left = x.params[0], [k for k in range(x.args[0].rank) if k not in x.params[0]]
            return self.reduce("sum", x.args[0], [*inner, *(left[k] for k in over)])
        kept = [p for k, p in enumerate(x.dims) if k not in over]
        return self.node(op, (x,), (over, False), kept, INT if x.kind == BOOL else x.kind)

    def of_sums(self, total: Node, count: int) -> Node:
        """A sum as one of sums over the dimensions behind, where these are among the first ``count`` nodes, for the same tensor
        in another shape."""
        (x,), (over, keep) = total.args, total.params
        first = islice(self._nodes.values(), count)
        for n in [n for n in first if n.op == "sum" and not n.loops and not (keep or n.params[1])]:
            (y,), (inner, _) = n.args, n.params
            k = len(inner)
            behind = inner == tuple(range(y.rank - k, y.rank)) and over[-k:] == tuple(range(x.rank - k, x.rank))
            if behind and k < len(over) and _shaped(y) is _shaped(x) and y.dims[-k:] == x.dims[-k:]:
                return self.reduce("sum", self.reshape(n, x.dims[:-k]), over[:-k])
        return total

    def reshape(self, x: Node, dims: Sequence[Poly]) -> Node:
        """The same elements in row-major order in another shape."""
        if x.op == "reshape":
            return self.reshape(x.args[0], dims)
        if x.op == "if_any":
            return self.node("if_any", (self.reshape(x.args[0], dims),), x.params, dims, x.kind)
        return x if tuple(dims) == x.dims else self.node("reshape", (x,), (tuple(dims),), dims, x.kind)

    def expand(self, x: Node, dims: Sequence[Poly]) -> Node:
        """Broadcast to a shape."""
        if x.op == "as_tensor" and x.args[0].kind == NUMBER and dims:
            return self.node("full", x.args, (tuple(dims), x.kind), dims, x.kind)
        return x if tuple(dims) == x.dims else self.node("expand", (x,), (tuple(dims),), dims, x.kind)


def _shaped(x: Node) -> Node:
    return x.args[0] if x.op == "reshape" else x


_KEEPS = ("sum", "mean", "amax", "amin")


def broadcast(left: Sequence[Poly], right: Sequence[Poly]) -> tuple[Poly, ...]:
    """The shape of an elementwise result."""
    long, short = (tuple(left), tuple(right)) if len(left) >= len(right) else (tuple(right), tuple(left))
    lead = len(long) - len(short)
    return long[:lead] + tuple(b if a is ONE_SIZE else a for a, b in zip(long[lead:], short))


_ORDER = {NUMBER: 0, SCALAR: 1, BOOL: 2, INT: 3, FLOAT: 4}


def joined(left: Node, right: Node) -> str:
    """The kind of an elementwise result."""
    return max(left.kind, right.kind, key=lambda k: _ORDER[k])


def _indices(param: Any) -> frozenset[Index]:
    if isinstance(param, Poly):
        return param.indices
    if isinstance(param, Term):
        return param.free
    if isinstance(param, tuple):
        return frozenset().union(*(_indices(p) for p in param)) if param else frozenset()
    return frozenset()


def folds(node: Node) -> bool:
    """Whether torch computes a product of matrices with dimensions folded into one: it then fails with an ``out=`` whose rows
    do not lie one behind the other."""
    ranks = [a.rank for a in node.args]
    return node.op == "matmul" and max(ranks) > 2 and min(ranks) <= 2


def within(roots: Iterable[Node], known: Container[Node] = ()) -> dict[Node, None]:
    """The nodes that some are made of, with themselves, the outer ones first; what is known is not looked into."""
    seen: dict[Node, None] = {}
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n not in seen:
            seen[n] = None
            if n not in known:
                stack.extend(n.args)
    return seen


def convolves_batches(node: Node) -> bool:
    """Whether it is a weight's gradient, a convolution of images or rows whose channels are the batch."""
    if node.op != "conv" or node.args[0].op != "permute":
        return False
    return node.args[0].params in (((1, 0, 2),), ((1, 0, 2, 3),)) and node.params[-1] is ONE_SIZE
