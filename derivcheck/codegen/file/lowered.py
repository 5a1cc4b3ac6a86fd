"""The definitions of a file as nodes and loops, in order.

Two files of the same Programs, the one that people read and the one that runs, share what both lower alike: all up to the first
definition that one of them writes otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from derivcheck.codegen.file.bands.banded import Banded
from derivcheck.codegen.file.gather import checked
from derivcheck.codegen.file.loops import Loop, lower_group
from derivcheck.codegen.graph.lean_forms import in_lean_form
from derivcheck.codegen.graph.nodes import Node
from derivcheck.codegen.lowering.cumulative import product_so_far
from derivcheck.codegen.lowering.lower import Lowering, to_base_two
from derivcheck.codegen.lowering.normal import is_erf
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.recurrence import groups
from derivcheck.notation.terms.walk import subterms

Items = list[tuple[str, Node | Loop | Banded]]


class Contents(NamedTuple):
    """What is lowered: Programs, as a file writes them.

    Attributes:
        forward, adjoint, arguments, outputs, optional: as a file has them.
        definitions: all that the Programs define, as the file writes them.
    """

    forward: Program
    adjoint: Program | None
    arguments: Sequence[Input]
    definitions: Sequence[Definition]
    outputs: Sequence[str]
    optional: Sequence[str]

    def alike(self, other: Contents) -> bool:
        """Whether it is of the same Programs, as they are."""
        same = self.forward is other.forward and self.adjoint is other.adjoint
        return same and (self.definitions, self.arguments) == (other.definitions, other.arguments)


class Manner(NamedTuple):
    """How: ``lean`` is for the code that runs, ``fused`` for a compiler."""

    lean: bool
    fused: bool

    @property
    def to_two(self) -> bool:
        """See :class:`~derivcheck.codegen.lowering.frame.Frame`."""
        return self.lean and not self.fused


Group = Sequence[Definition]
Forms = Mapping[bool, Sequence[Group]]  # the groups of definitions as they are computed, where that is lean and where not


class _Step(NamedTuple):
    """What became of a group, and how many nodes the graph had then."""

    item: tuple[str, Node | Loop]
    nodes: int


class _Walk(NamedTuple):
    """What was lowered of some contents: ``items`` in each manner; the ``steps`` that all manners begin with; ``low``, which
    knows these steps alone."""

    contents: Contents
    forms: Forms
    items: dict[Manner, Items]
    steps: Sequence[_Step]
    low: Lowering


_RECENT: deque[_Walk] = deque(maxlen=4)


def lowered(contents: Contents, manner: Manner, form: Callable[[bool], Sequence[Definition]], shared: bool) -> Items:
    """Each group of definitions as a node or a loop.

    Args:
        form: its definitions in the form that is to be computed, where that is lean or not.
        shared: another file of the same Programs is to come, or has come.
    """
    if not shared:
        low = _started(contents)
        return _items(manner, _rest(contents, manner, groups(form(manner.lean)), [], low), low)
    walk = next((w for w in _RECENT if w.contents.alike(contents)), None)
    if walk is None:
        forms = {lean: groups(form(lean)) for lean in (False, True)}
        low = _started(contents)
        steps = _rest(contents, manner, forms[manner.lean][: _common(forms)], [], low)
        _RECENT.append(walk := _Walk(contents, forms, {}, steps, low))
    found = walk.items.get(manner)
    if found is None:
        low = walk.low.fork()
        steps = _rest(contents, manner, walk.forms[manner.lean], walk.steps, low)
        found = walk.items[manner] = _items(manner, steps, low)
    return found


def _rest(contents: Contents, manner: Manner, wanted: Sequence[Group], steps: Sequence[_Step], low: Lowering) -> list[_Step]:
    """These steps and those of the groups after them."""
    low.to_two, low.fused = manner.to_two, manner.fused
    mine = {d.name for d in contents.forward.definitions}
    every = list(steps)
    for group in wanted[len(steps) :]:
        name = group[0].name
        low.returned, low.gradient = name in contents.outputs, name not in mine
        every.append(_Step((name, _lowered(low, group, contents.outputs)), low.graph.count))
    return every


def _items(manner: Manner, steps: Sequence[_Step], low: Lowering) -> Items:
    """What the steps have made, in the code that runs with sums of sums that are there, and joined what is moved."""
    found: Items = [
        (name, _of_sums(low, x, s.nodes) if manner.lean or manner.fused else x) for s in steps for name, x in [s.item]
    ]
    if manner.fused or not manner.lean:
        return found
    nodes = [x for _, x in found if isinstance(x, Node)]
    forms = dict(zip(nodes, in_lean_form(low.graph, nodes)))
    return [(name, forms[x] if isinstance(x, Node) else x) for name, x in found]


def _common(forms: Forms) -> int:
    """How many groups are computed alike in each form."""
    alike = takewhile(lambda pair: pair[0] == pair[1] and not any(map(_depends_on_base, pair[0])), zip(*forms.values()))
    return sum(1 for _ in alike)


def _started(contents: Contents) -> Lowering:
    """Before the first definition."""
    definitions, arguments = contents.definitions, contents.arguments
    dims = {a.name: a.dims for a in arguments} | {d.name: d.dims for d in definitions}
    kinds = {a.name: a.kind for a in arguments} | {d.name: d.kind for d in definitions}
    below = {a.name: a.below for a in arguments if a.below is not None}
    return Lowering(dims, kinds, contents.optional, checked(definitions), below)


def _depends_on_base(d: Definition) -> bool:
    return any(to_base_two(t) or is_erf(t) for t in subterms(d.term))


def _lowered(low: Lowering, group: Sequence[Definition], outputs: Collection[str]) -> Node | Loop:
    """Definitions that refer to each other, or one, as torch computes them."""
    d = group[0]
    if len(group) == 1 and (product := product_so_far(d)) is not None:
        term, axis = product
        factor = low.define(replace(d, term=term))
        return low.graph.node("cumprod", (factor,), (axis,), factor.dims, factor.kind)
    if len(group) > 1 or (d.recurrent and (d.spelling is None or d.spelling.of is not None)):
        return lower_group(low, group)
    node = low.spelled(d) if d.spelling is not None else None
    if node is None:
        node = low.define(d)
    if node.kind == "scalar" and d.name in outputs:
        return low.tensor(node)
    if node.kind == "scalar":
        low.scalars.add(d.name)
    return node


def _of_sums(low: Lowering, item: Node | Loop, count: int) -> Node | Loop:
    """A sum of sums that are there; ``count`` nodes of the graph were, when the item was lowered."""
    if isinstance(item, Node) and item.op == "sum" and not item.loops:
        return low.graph.of_sums(item, count)
    return item


def nodes_of(item: Node | Loop | Banded) -> list[Node]:
    """What an item computes."""
    return [item] if isinstance(item, Node) else item.nodes()


def live(items: Items, outputs: Iterable[str]) -> Items:
    """Only what the outputs need."""
    wanted = set(outputs)
    kept: Items = []
    for name, item in reversed(items):
        defines = {name} if isinstance(item, Node) else set(item.names())
        if defines.isdisjoint(wanted):
            continue
        kept.append((name, replace(item, needed=defines & wanted) if isinstance(item, Loop) else item))
        for n in nodes_of(item):
            wanted |= read_by(n)
    return list(reversed(kept))


def read_by(node: Node) -> set[str]:
    """The names that a node reads."""
    found: set[str] = set()
    seen: set[Node] = set()
    stack = [node]
    while stack:
        n = stack.pop()
        if n in seen:
            continue
        seen.add(n)
        if n.op in ("var", "step"):
            found.add(n.params[0])
        stack.extend(n.args)
    return found
