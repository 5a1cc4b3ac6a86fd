"""Turns of a loop, and threads, that are taken at once: that no one reads or writes where another one writes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from derivcheck.kernels.lanes.flat import Access, FlatMemory
from derivcheck.kernels.lanes.lanes import Axis
from derivcheck.kernels.lanes.refused import Refused, UnplacedFault
from derivcheck.notation.integers.polynomials import Poly, Size


def refuse_meeting(memory: Iterable[FlatMemory], axis: Axis) -> None:
    """Refuse memory in which lanes of an axis meet, other than by adding."""
    for flat in memory:
        seen = [a for a in flat.log if axis in a.axes]
        for group in _groups(flat, seen):
            if any(a.kind != "read" for a in group) and not _apart(group, axis):
                _refuse(flat, group, axis)


def refuse_shared(memory: Iterable[FlatMemory], groups: Iterable[str]) -> None:
    """Refuse memory in which lanes of a group meet without a barrier between: each owns the places of its own turns."""
    lanes = frozenset(groups)
    for flat in memory:
        for a, b in itertools.combinations(flat.log, 2):
            if a.epoch != b.epoch or {a.kind, b.kind} <= {"read"} or {a.kind, b.kind} <= {"atomic"}:
                continue
            if a.key != b.key and not flat.joined:
                continue
            mine, theirs = _owner(a, lanes), _owner(b, lanes)
            if mine != theirs or mine is None and a.first != b.first:
                raise UnplacedFault(
                    f"{flat.name} is met at {a.line} and at {b.line} by other lanes of a group: a barrier is missing"
                )
    for flat in memory:
        for a in flat.log:
            if a.kind in ("add", "atomic") and _owner(a, lanes) is None and not a.first and not a.shared:
                raise UnplacedFault(f"every lane of the group adds to {flat.name} ({a.line})")


def _owner(a: Access, lanes: frozenset[str]) -> int | None:
    """Which digit of a position is the lane's own turn of a loop that the group shares; -1: it is in such a loop, elsewhere."""
    own = [x.index for x in a.axes if x.thread in lanes]
    if not own:
        return None
    return next((k for k, d in enumerate(a.digits) if d.index is own[-1]), -1)


def _groups(flat: FlatMemory, seen: list[Access]) -> list[list[Access]]:
    """Accesses that may meet: those of the same literal positions."""
    found: dict[tuple[int, ...], list[Access]] = {}
    if flat.joined:
        return [seen]
    for a in seen:
        found.setdefault(a.key, []).append(a)
    return list(found.values())


def _apart(group: list[Access], axis: Axis) -> bool:
    """Whether accesses of lanes along an axis never meet: each has a digit of its own, or all of them are atomic."""
    kinds = {a.kind for a in group}
    if kinds == {"atomic"} or kinds == {"add"} and axis.thread is None:
        return True
    if kinds == {"write"} and not any(axis.index in d.indices for a in group for d in a.digits):
        # the same value from all, or one lane alone: that was seen where it is written
        return axis.thread is None or len({a.digits for a in group}) == len(group)
    for k in range(len(group[0].digits)):
        own = {_own(a.digits[k], axis, a.axes) for a in group}
        if len(own) == 1 and None not in own:
            return True
    return False


def _own(digit: Poly, axis: Axis, axes: tuple[Axis, ...]) -> Poly | None:
    """A digit that tells the lane: its index, times a number, and what is the same for all lanes of the axis."""
    linear = digit.linear_in(axis.index)
    if linear is None or linear[0] == 0:
        return None
    before = () if axis.thread else tuple(a.index for a in axes if a.place < axis.place)
    return digit if all(isinstance(a, Size) or a in before for a in linear[1].atoms()) else None


def _refuse(flat: FlatMemory, group: list[Access], axis: Axis) -> None:
    """Say which lanes meet where: a fault of the kernel among threads, unread among turns of a loop."""
    last = [a for a in group if a.kind != "read"][-1]
    kinds = {a.kind for a in group}
    if axis.thread and "read" not in kinds:
        how = "add to one place without an atomic" if "add" in kinds else "write to one place"
        raise UnplacedFault(f"threads that differ in {axis.thread} {how} of {flat.name} ({last.line})")
    if axis.thread:
        raise UnplacedFault(
            f"a thread reads {flat.name} where another one, which differs in {axis.thread}, writes ({last.line})"
        )
    reads = [a for a in group if a.kind == "read"]
    where = f"read at {reads[0].line} and written at {last.line}" if reads else f"written at {last.line}"
    raise Refused(f"for over {axis.index.name}", f"{flat.name} is {where}: a turn may depend on others")
