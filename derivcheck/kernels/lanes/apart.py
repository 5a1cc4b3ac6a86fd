"""Turns of a loop, and threads, that are taken at once: that no one reads or writes where another one writes."""

from __future__ import annotations

from collections.abc import Iterable

from derivcheck.kernels.lanes.flat import Access, Flat
from derivcheck.kernels.lanes.lanes import Axis
from derivcheck.kernels.lanes.refused import Found, Refused
from derivcheck.notation.integers.polynomials import Poly, Size


def refuse_meeting(memory: Iterable[Flat], axis: Axis) -> None:
    """Refuse memory in which lanes of an axis meet, other than by adding."""
    for flat in memory:
        seen = [a for a in flat.log if axis in a.axes]
        for group in _groups(flat, seen):
            if any(a.kind != "read" for a in group) and not _apart(group, axis):
                _refuse(flat, group, axis)


def _groups(flat: Flat, seen: list[Access]) -> list[list[Access]]:
    """Accesses that may meet: those of the same literal positions."""
    found: dict[tuple[int, ...], list[Access]] = {}
    if flat.joined:
        return [seen]
    for a in seen:
        found.setdefault(a.key, []).append(a)
    return list(found.values())


def _apart(group: list[Access], axis: Axis) -> bool:
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


def _refuse(flat: Flat, group: list[Access], axis: Axis) -> None:
    last = [a for a in group if a.kind != "read"][-1]
    kinds = {a.kind for a in group}
    if axis.thread and "read" not in kinds:
        how = "add to one place without an atomic" if "add" in kinds else "write to one place"
        raise Found(f"threads that differ in {axis.thread} {how} of {flat.name} ({last.line})")
    if axis.thread:
        raise Found(f"a thread reads {flat.name} where another one, which differs in {axis.thread}, writes ({last.line})")
    reads = [a for a in group if a.kind == "read"]
    where = f"read at {reads[0].line} and written at {last.line}" if reads else f"written at {last.line}"
    raise Refused(f"for over {axis.index.name}", f"{flat.name} is {where}: a turn may depend on others")
