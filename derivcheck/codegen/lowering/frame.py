"""What the rules of lowering share: the graph, what is known of the tensors, and values over indices.

A rule is a function of a :class:`Frame`; it has terms lowered by :meth:`Frame.value`, which the loop over all kinds of
terms (:mod:`derivcheck.codegen.lowering.lower`) provides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import NamedTuple, Self

from derivcheck.codegen.graph.nodes import BOOL, FLOAT, INT, NUMBER, SCALAR, Graph, Node, OverNode
from derivcheck.codegen.graph.numbers import is_number, reciprocal
from derivcheck.codegen.lowering.finite import may_be_infinite
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.build import MINUS_ONE, ONE, mul, neg, size_of
from derivcheck.notation.terms.nodes import Bracket, Number, Term

LAST = 99  # where an index stands that the definition at hand has not: after all that it has


class Choice(NamedTuple):
    """The conditions under which a tensor is not 0, over its indices."""

    indices: tuple[Index, ...]
    conditions: tuple[Bracket, ...]


class Place(NamedTuple):
    """An integer expression ``of`` the elements of an integer tensor that a node holds already, and how that is called."""

    name: str
    indices: tuple[Index, ...]
    of: Poly
    held: str


class Frame(ABC):
    """What is known while a Program is lowered.

    Attributes:
        dims, kinds: of every tensor by name.
        scalars: names that may be a Python number: an upstream gradient that was left out, and what is made of it alone.
        checked: integer tensors that a bracket tests, whose entries may thus be out of range.
        place: the order of the indices in the definition at hand.
        steps: inside a loop, for a recurrent name the dimension along which it runs.
        held: nodes that a term reads under a name of their own.
        fused: whether it is for a compiler: a matrix times a vector is a sum of products, which it joins with the rest.
        to_two: whether exponentials of what is scaled anyway are to the base 2, which takes torch a third of the time.
        certain: integer tensors whose entries are places inside whatever they are read for.
        hollow: by name the sizes at 0 of which it is no number: means of nothing, and what is made of them.
        returned, gradient: whether the definition at hand is returned, and whether it is none of the forward's.
        lower: tensors of lower triangular matrices, Cholesky factors.
        places: what torch's own calls return beside what they are called for: the flat place of a maximum.
    """

    def __init__(
        self,
        dims: Mapping[str, tuple[Poly, ...]],
        kinds: Mapping[str, str],
        scalars: Iterable[str] = (),
        checked: Iterable[str] = (),
        below: Mapping[str, Poly] | None = None,
    ) -> None:
        """Start a graph for tensors of these dimensions and kinds."""
        self.graph = Graph()
        self.dims, self.kinds = dict(dims), dict(kinds)
        self.scalars, self.checked = set(scalars), frozenset(checked)
        self.below = dict(below or {})
        self.infinite: set[str] = set()
        self.hollow: dict[str, frozenset[Poly]] = {}
        self.returned, self.gradient = False, False
        self.chosen: dict[str, Choice] = {}
        self.place: dict[Index, int] = {}
        self.integer_context = False
        self.steps: dict[str, tuple[int, Index]] = {}
        self.held: dict[str, Node] = {}
        self.places: list[Place] = []
        self.certain: set[str] = set()
        self.lower: set[str] = set()
        self.fused = self.to_two = False
        self.at: str | None = None

    def fork(self) -> Self:
        """The same again: what is learnt from now on by one of both is not known to the other."""
        new = copy(self)
        new.graph = self.graph.copy()
        new.dims, new.kinds, new.below, new.hollow = dict(self.dims), dict(self.kinds), dict(self.below), dict(self.hollow)
        new.chosen, new.held, new.places = dict(self.chosen), dict(self.held), list(self.places)
        new.scalars, new.infinite = set(self.scalars), set(self.infinite)
        new.certain, new.lower = set(self.certain), set(self.lower)
        return new

    @abstractmethod
    def value(self, term: Term) -> OverNode:
        """A term as a node with its indices."""

    def real(self, term: Term) -> OverNode:
        """A term as a float, also inside the definition of an integer: what is compared or searched."""
        before, self.integer_context = self.integer_context, False
        try:
            return self.value(term)
        finally:
            self.integer_context = before

    def as_float(self, value: OverNode) -> OverNode:
        """An integer or boolean tensor as a number to calculate with."""
        if value.node.kind not in (INT, BOOL) or (self.integer_context and value.node.kind == INT):
            return value
        op = "to_int" if self.integer_context else "to_float"
        return OverNode(self.graph.unary(op, value.node, kind=INT if self.integer_context else FLOAT), value.axes)

    def tensor(self, node: Node, kind: str = "") -> Node:
        """A node as a tensor (of ``kind``, else of what is being computed), where it may be a Python number."""
        if node.kind not in (NUMBER, SCALAR):
            return node
        kind = kind or (INT if self.integer_context else FLOAT)
        return self.graph.node("as_tensor", (node,), (kind,), (), kind)

    def unbounded(self, term: Term) -> bool:
        """Whether a term may be infinite where its inputs are finite."""
        return may_be_infinite(term, self.infinite)

    # -- elementwise ---------------------------------------------------------------
    def union(self, many: Sequence[tuple[Index, ...]]) -> tuple[Index, ...]:
        """The indices of all, in the order of an operand that has them all, else in the definition's order."""
        every = dict.fromkeys(i for axes in many for i in axes)
        for i in every:
            self.place.setdefault(i, len(self.place))
        wanted = tuple(sorted(every, key=lambda i: self.place[i]))
        if wanted in many:
            return wanted
        return next((axes for axes in many if len(axes) == len(wanted)), wanted)

    def align(self, value: OverNode, axes: tuple[Index, ...]) -> Node:
        """The node with its dimensions in the order of ``axes``, of length 1 where it has none (leading ones are left out)."""
        if value.axes == axes or not value.axes:
            return value.node
        present = [i for i in axes if i in value.axes]
        node = self.graph.permute(value.node, [value.axes.index(i) for i in present])
        first = axes.index(present[0])
        return self.graph.unsqueeze(node, [k - first for k, i in enumerate(axes) if k > first and i not in value.axes])

    def spread(self, value: OverNode, axes: tuple[Index, ...]) -> Node:
        """The node over all of ``axes``."""
        node = self.align(value, axes)
        if set(value.axes) == set(axes):
            return node
        return self.graph.expand(self.tensor(node), tuple(i.size for i in axes))

    def binary(self, op: str, left: OverNode, right: OverNode) -> OverNode:
        """An elementwise operation; a condition that Python knows is added, since torch subtracts no bool."""
        if op == "sub" and _is_condition(right):
            op, right = "add", OverNode(self.graph.number(neg(right.node.params[0])), ())
        elif op == "sub" and _is_condition(left):
            op, left, right = "add", self.scale(right, MINUS_ONE), left
        axes = self.union([left.axes, right.axes])
        return OverNode(self.graph.binary(op, self.align(left, axes), self.align(right, axes)), axes)

    def scale(self, value: OverNode, number: Term) -> OverNode:
        """A value times a number that Python knows."""
        g, node = self.graph, value.node
        if number is ONE:
            return value
        if node.kind == NUMBER:
            return OverNode(g.number(mul(number, node.params[0])), ())
        if node.op == "sum" and node.kind == FLOAT:
            times = node.args[0].dims
            total = size_of(numel(times[k] for k in node.params[0]))
            rest = mul(number, total)
            if isinstance(rest, Number) and not isinstance(total, Number):
                mean = g.mean_of(node, total)
                if mean is not None:
                    return self.scale(OverNode(mean, value.axes), rest)
        if number is MINUS_ONE:
            return OverNode(g.unary("neg", node), value.axes)
        divisor = reciprocal(number)
        if divisor is not None and node.kind == FLOAT:
            return OverNode(g.binary("div", node, g.number(divisor)), value.axes)
        return OverNode(g.binary("mul", g.number(number), node), value.axes)

    def parted(self, args: Sequence[Term]) -> tuple[Term, list[Bracket], list[Term]]:
        """The number, the brackets and the other factors of a product."""
        fixed = self.graph.fixed
        number = mul(*(a for a in args if is_number(a, fixed)))
        rest = [a for a in args if not is_number(a, fixed)]
        return number, [a for a in rest if isinstance(a, Bracket)], [a for a in rest if not isinstance(a, Bracket)]


def _is_condition(value: OverNode) -> bool:
    """Whether it is a condition on sizes alone."""
    return value.node.kind == NUMBER and isinstance(value.node.params[0], Bracket)
