"""Definitions as those before a loop over bands, the loop, and those after it; in the loop the same again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from derivcheck.codegen.file.bands.axes import axes
from derivcheck.codegen.file.bands.banded import Banded, BandResult, Slice
from derivcheck.codegen.file.bands.classes import BandPlan, best, in_order, meaning, weight
from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, Node
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly

DEEP = 3  # loops in each other
Items = list[tuple[str, Node | Banded]]


def banded(items: Sequence[tuple[str, Node]], kept: Iterable[str], fresh: Callable[[], str], depth: int = 0) -> Items:
    """The items with what can be computed in bands in a loop.

    Args:
        items: each definition's name and its node.
        kept: the names that are returned.
        fresh: gives a name that nothing has.
    """
    split = BandSplit(items, kept, fresh, depth) if depth < DEEP else None
    return list(items) if split is None or split.plan is None else split.items(depth)


class BandSplit:
    """One index's loop in the making."""

    def __init__(self, items: Sequence[tuple[str, Node]], kept: Iterable[str], fresh: Callable[[], str], depth: int) -> None:
        """Find the index whose bands save the most; ``plan`` is None where there is none."""
        self.given, self.fresh = items, fresh
        self.meant = dict(items)
        self.names = {self.real(n): name for name, n in reversed(items)}
        order = in_order((n for _, n in items), self.meant)
        self.kept = [name for name in kept if name in self.meant]
        results = {self.real(self.meant[name]) for name in self.kept}
        self.plan: BandPlan | None = best(order, self.meant, results, () if depth else results)
        self.before: list[tuple[str, Node]] = []
        self.slices: dict[tuple[Node, int], Slice] = {}
        self.read: dict[Node, None] = {}
        self.bodies: dict[Node, Node] = {}
        self.moved: dict[Node, Node] = {}

    def real(self, n: Node) -> Node:
        """A node; of a variable that is a definition, what it means."""
        return meaning(n, self.meant)

    def items(self, depth: int) -> Items:
        """Before, the loop, after."""
        plan = self.plan
        assert plan is not None
        self.length = Index("rows", plan.size, depth)
        late: list[tuple[str, Node]] = []
        body: list[tuple[str, Node]] = []
        results: list[BandResult] = []
        for name, n in self.given:
            if n.op == "var" or n not in plan.inside and n not in plan.summed:
                late_one = any(n in group for group in (plan.inside, plan.summed, plan.after))
                (late if late_one else self.before).append((name, n))
            elif self.names[n] != name:  # two names of one thing
                late.append((name, Node("var", (), (self.names[n],), n.dims, n.kind, frozenset())))
        for n in (*plan.inside, *plan.summed):
            if n.op == "var" or n not in self.names and n not in plan.stored and n not in plan.summed:
                continue
            name = self.names.get(n) or self.fresh()
            body.append((name, self.body(n)))
            if n in plan.summed or n in plan.stored:
                results.append(BandResult(name, n.dims, plan.spots[n] if n in plan.stored else None))
            self.moved[n] = Node("var", (), (name,), n.dims, n.kind, frozenset())
        loop = Banded(
            self.length,
            banded(body, [r.name for r in results], self.fresh, depth + 1),
            tuple(self.slices.values()),
            tuple(results),
            tuple(self.read),
            self.rows(),
        )
        lost = {n for n in plan.inside if n not in plan.stored}
        rest = [(name, self.after(n)) for name, n in late if self.real(n) not in lost]
        return [*self.before, (self.fresh(), loop), *rest]

    def rows(self) -> tuple[Poly, ...]:
        """How many elements one row of the largest tensors inside has."""
        plan = self.plan
        assert plan is not None
        found: dict[Poly, int] = {}
        for n in plan.inside:
            if n.op != "var" and n.kind == FLOAT:
                dims = [p for k, p in enumerate(n.dims) if k != plan.spots[n]]
                found[numel(dims)] = weight(dims)
        most = max(found.values())
        return tuple(p for p, w in found.items() if w == most)[:3]

    # -- inside the loop -----------------------------------------------------------------
    def body(self, n: Node) -> Node:
        """The operation on a band."""
        plan = self.plan
        assert plan is not None
        found = self.bodies.get(n)
        if found is not None:
            return found
        for m in in_order((n,), {}):  # operands first: a chain may be long
            if m in plan.inside and m not in self.bodies and m is not n and m.op != "var":
                self.bodies[m] = self._made(m)
        self.bodies[n] = found = self._made(n)
        return found

    def _made(self, n: Node) -> Node:
        """The operation on bands of its operands."""
        plan = self.plan
        assert plan is not None
        rule = axes(n)
        own = plan.spots.get(n) if n in plan.inside else None
        if own is not None:
            places = rule.along[own]
        else:
            places = next(p for p in rule.summed if all(j is None or j == plan.spots.get(a) for a, j in zip(n.args, p)))
        args = tuple(self._operand(a, j) for a, j in zip(n.args, places))
        if own is None:
            return replace(n, args=args)
        dims = self._band(n.dims, own)
        params = (dims, *n.params[1:]) if n.op in ("expand", "reshape") else n.params
        return replace(n, args=args, params=params, dims=dims)

    def _band(self, dims: tuple[Poly, ...], k: int) -> tuple[Poly, ...]:
        return (*dims[:k], i_poly(self.length), *dims[k + 1 :])

    def _operand(self, a: Node, place: int | None) -> Node:
        """An operand as it is known in the loop: computed there, a band of what is outside, or the whole of it."""
        assert self.plan is not None
        a = self.real(a)
        if a in self.plan.inside:
            return self.body(a)
        whole = self._outside(a)
        if place is None:
            return whole
        found = self.slices.get((whole, place))
        if found is None:
            found = self.slices[whole, place] = Slice(self.fresh(), whole, place)
        return Node("var", (), (found.name,), self._band(a.dims, place), a.kind, frozenset())

    def _outside(self, a: Node) -> Node:
        """What is computed before the loop, by a name."""
        if a.kind == NUMBER:
            return a
        if a.op != "var":
            name = self.names.get(a)
            if name is None:
                name = self.names[a] = self.fresh()
                self.before.append((name, a))
            a = Node("var", (), (name,), a.dims, a.kind, frozenset())
        found = next((r for r in self.read if r.params == a.params), a)
        self.read[found] = None
        return found

    # -- after it ---------------------------------------------------------------------------
    def after(self, n: Node) -> Node:
        """The operation with what the loop has made by its name."""
        return substituted(n, self.moved)


def substituted(n: Node, moved: dict[Node, Node]) -> Node:
    """The operation with others in the place of some below it; ``moved`` grows."""
    for m in in_order((n,), {}):
        if m not in moved:
            args = tuple(moved[a] for a in m.args)
            moved[m] = m if args == m.args else replace(m, args=args)
    return moved[n]
