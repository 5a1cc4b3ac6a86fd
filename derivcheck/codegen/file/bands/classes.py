"""The dimensions that are one index throughout a graph, and what can be computed along it, a band after the other.

``x @ x.T`` runs along the rows of ``x`` twice: such an index is none, since a band of the result needs the whole of ``x``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from derivcheck.codegen.file.bands.axes import AxisRule, axes
from derivcheck.codegen.graph.nodes import FLOAT, ONE_SIZE, Node
from derivcheck.notation.integers.polynomials import Poly

_VIEWS = frozenset({"permute", "unsqueeze", "reshape", "expand", "slice", "select", "window"})
_LEAVES = frozenset({"var", "number", "step"})
_TYPICAL = 16  # what a size is taken for where amounts are weighed

Spot = tuple[Node, int]


@dataclass
class BandPlan:
    """What is computed in bands of one index.

    Attributes:
        spots: the dimension of each node that runs along it.
        inside: computed in the loop; ``summed`` added up in it; ``after``: what needs these.
        stored: of ``inside``, what is needed as a whole.
        size: the index's size.
    """

    spots: Mapping[Node, int]
    size: Poly
    inside: dict[Node, None] = field(default_factory=dict)
    summed: dict[Node, None] = field(default_factory=dict)
    after: dict[Node, None] = field(default_factory=dict)
    stored: dict[Node, None] = field(default_factory=dict)
    worth: int = 0


def weight(dims: Iterable[Poly]) -> int:
    """How many elements, sizes taken for typical ones."""
    try:
        return max(math.prod(int(p.evaluate(lambda a: _TYPICAL)) for p in dims), 1)
    except (ZeroDivisionError, TypeError):
        return 1


def meaning(n: Node, meant: Mapping[str, Node]) -> Node:
    """A node; of a variable that is a definition, what it means."""
    while n.op == "var" and n.params[0] in meant:
        n = meant[n.params[0]]
    return n


def in_order(roots: Iterable[Node], meant: Mapping[str, Node]) -> list[Node]:
    """All operations below these, operands first; a variable comes after the definition that it means."""
    done: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(n, False) for n in roots]
    stack.reverse()
    while stack:
        n, ready = stack.pop()
        if n in done:
            continue
        if ready:
            done[n] = None
            continue
        stack.append((n, True))
        below = n.args if n.op != "var" else (meant[n.params[0]],) if n.params[0] in meant else ()
        stack.extend((a, False) for a in reversed(below))
    return list(done)


def best(order: Sequence[Node], meant: Mapping[str, Node], kept: Collection[Node], whole: Collection[Node]) -> BandPlan | None:
    """The index whose bands save the most memory; None where none saves any.

    Args:
        order: all operations, operands first.
        meant: what the variables mean that are definitions.
        kept: what is returned; ``whole``: what of it may come from one operation before the loop.
    """
    rules = {n: axes(n) for n in order}
    found: BandPlan | None = None
    for spots in _indices(order, meant, rules):
        plan = _planned(order, meant, kept, whole, rules, spots)
        if plan is not None and (found is None or plan.worth > found.worth):
            found = plan
    return None if found is not None and not whole and _fits_into_results(found) else found


def _fits_into_results(plan: BandPlan) -> bool:
    """Whether what is made on the way to a result is one tensor, which can stand in the result's place."""
    made = [n for n in plan.inside if n.op not in _VIEWS and n.op not in _LEAVES and n not in plan.stored]
    return not plan.summed and len(made) <= len(plan.stored)


def _indices(order: Sequence[Node], meant: Mapping[str, Node], rules: Mapping[Node, AxisRule]) -> list[dict[Node, int]]:
    """The dimensions that run along the same index, those that come first in tensors before the others."""
    parent: dict[Spot, Spot] = {}

    def top(s: Spot) -> Spot:
        while parent.setdefault(s, s) != s:
            parent[s] = s = parent[parent[s]]
        return s

    def join(spots: Iterable[Spot]) -> None:
        first, *others = spots
        for s in others:
            parent[top(s)] = top(first)

    for n in order:
        if n.op == "var" and n.params[0] in meant:
            for k in range(n.rank):
                join(((n, k), (meant[n.params[0]], k)))
        for k, places in rules[n].along.items():
            join(((n, k), *((a, j) for a, j in zip(n.args, places) if j is not None)))
        for places in rules[n].summed:
            join((a, j) for a, j in zip(n.args, places) if j is not None)
    groups: dict[Spot, list[Spot]] = {}
    for s in list(parent):
        groups.setdefault(top(s), []).append(s)
    out = []
    for spots in groups.values():
        if len({n for n, _ in spots}) == len(spots) > 2 and all(n.dims[k] is spots[0][0].dims[spots[0][1]] for n, k in spots):
            out.append(dict(spots))
    return sorted(out, key=lambda spots: sum(spots.values()) / len(spots))


def _planned(
    order: Sequence[Node],
    meant: Mapping[str, Node],
    kept: Collection[Node],
    whole: Collection[Node],
    rules: Mapping[Node, AxisRule],
    spots: Mapping[Node, int],
) -> BandPlan | None:
    """What is inside the loop and what is after it; None where nothing is gained."""
    node, k = next(iter(spots.items()))
    size = node.dims[k]
    if size is ONE_SIZE or size.indices:
        return None
    plan = BandPlan(spots, size)
    for n in order:
        if n.op == "var" and n.params[0] in meant:
            for group in (plan.inside, plan.summed, plan.after):
                if meant[n.params[0]] in group:
                    group[n] = None
        elif n.op not in _LEAVES:
            if n not in whole or not all(meaning(a, meant).op in _LEAVES for a in n.args):
                _place(n, plan, rules[n])
    real = [n for n in plan.inside if n.op != "var"]
    for n in plan.after:
        plan.stored.update((a, None) for a in n.args if a in plan.inside)
    plan.stored = {meaning(n, meant): None for n in plan.stored}
    plan.stored.update((n, None) for n in real if n in kept)
    if any(n.kind != FLOAT for n in (*plan.stored, *plan.summed)):
        return None
    made = [n for n in real if n.op not in _VIEWS and n.kind == FLOAT]
    largest = max(weight(n.dims) for n in order)
    extra = [n for n in plan.stored if n not in kept]
    plan.worth = sum(weight(n.dims) for n in made if n not in plan.stored) - 2 * sum(weight(n.dims) for n in extra)
    return plan if 2 * plan.worth >= largest else None


def _place(n: Node, plan: BandPlan, rule: AxisRule) -> None:
    """Put one operation inside, among the sums or after; it is none of them where it needs nothing of the loop."""
    spots = plan.spots
    late = [a for a in n.args if a in plan.summed or a in plan.after]
    own = spots.get(n)
    if own is not None and own in rule.along and not late:
        places = rule.along[own]
        if any(j is not None for j in places) and all(
            j == spots.get(a) if j is not None else a not in plan.inside for a, j in zip(n.args, places)
        ):
            plan.inside[n] = None
            return
    within = any(a in plan.inside for a in n.args)
    if own is None and within and not late and n.kind == FLOAT:
        for places in rule.summed:
            if all(j == spots.get(a) if j is not None else a not in plan.inside for a, j in zip(n.args, places)):
                plan.summed[n] = None
                return
    if within or late:
        plan.after[n] = None
