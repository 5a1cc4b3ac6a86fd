"""Threads that work on one row together: a warp, or a block.

Their turns of ``for (i = lane; i < C; i += lanes)`` are all values of i, once each.  What a lane has added up over its turns is
a *part* of the whole; nothing is read of it but what makes it whole: a reduction of the group, a tree of shuffles, or one in
shared memory.  What only the first lane holds is used by that lane alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from derivcheck.kernels.lanes.refused import Refused, UnplacedFault
from derivcheck.kernels.lanes.wholes import Symbolic

WARP, BLOCK, WARPS = "laneIdx", "threadIdx.x", "warpIdx"
_STEPS = frozenset((16, 8, 4, 2, 1))


@dataclass(frozen=True, eq=False)
class LanePart(Symbolic):
    """What a lane holds of a sum (product, extreme) over a group.

    Attributes:
        name: the variable's name.
        group: over which lanes it is to be made whole.
        op, total: how, and what comes of it.
        steps: by how many lanes it is still to be shifted; all five at first.
        way: ``down`` or ``xor``, once one was taken.
        wide: whether the group is a block of several warps: a warp makes it whole for itself alone.
    """

    name: str
    group: str
    op: str
    total: torch.Tensor
    lanes: Any
    steps: frozenset[int] = _STEPS
    way: str = ""
    wide: bool = False

    def refuse(self) -> Refused:
        """Its use in any other way."""
        return Refused(f"{self.name!r}", "each lane of the group holds a part of it", "Reduce it over the group first.")

    def made(self, way: str) -> Any:
        """What the lanes of a warp hold once all five steps are made: ``down`` leaves it to the first lane."""
        if self.wide:
            return OfWarp(self.name, self.op, self.total, way == "down")
        return First(self.name, self.total, self.lanes) if way == "down" else self.total

    def joined(self, op: str, other: Any) -> Any:
        """It with itself, shifted: a step of a tree."""
        if not isinstance(other, Shifted) or other.part is not self or op != self.op:
            raise self.refuse()
        wrong = other.way == "down" and other.by != max(self.steps) or other.by not in self.steps
        if wrong or self.way not in ("", other.way):
            raise Refused(f"a shuffle by {other.by}", "the lanes are not halved step by step")
        left = self.steps - {other.by}
        if left:
            return replace(self, steps=left, way=other.way)
        return self.made(other.way)


@dataclass(frozen=True, eq=False)
class OfWarp(Symbolic):
    """What a warp has of a sum (product, extreme) over a block; ``leader``: its first lane alone has it."""

    name: str
    op: str
    total: torch.Tensor
    leader: bool

    def refuse(self) -> Refused:
        """Its use in any other way."""
        advice = "Put it into shared memory at the place of the warp, and reduce that."
        return Refused(f"{self.name!r}", "each warp of the block holds a part of it", advice)


@dataclass(frozen=True, eq=False)
class Shifted(Symbolic):
    """What another lane holds of a part: ``__shfl_down_sync``."""

    part: LanePart
    way: str
    by: int


@dataclass(frozen=True, eq=False)
class First(Symbolic):
    """A number that the first lane alone holds."""

    name: str
    total: torch.Tensor
    lanes: Any

    def refuse(self) -> Refused:
        """Its use by the others."""
        return Refused(f"{self.name!r}", "only the first lane holds the whole of it", "Use it where the lane is 0.")


@dataclass(frozen=True)
class IsFirst(Symbolic):
    """The condition that a lane is the first one of its group."""

    group: str


@dataclass
class Shared:
    """Shared memory with a place for each thread: parts are put there, and a tree makes them whole.

    Attributes:
        part: what the threads put there; warps: what the warps did.
        whole: whether a tree has made it whole, at place 0.
        open: whether something was written since the last barrier; read: whether something was read.
    """

    name: str
    part: LanePart | None = None
    warps: OfWarp | None = None
    whole: bool = False
    open: bool = False
    read: bool = False
    kept: list[Any] = field(default_factory=list)

    def put(self, value: Any, own: bool) -> None:
        """Each thread writes at its place."""
        if not own or not isinstance(value, LanePart) or value.group != BLOCK:
            raise Refused(f"{self.name}[…]", "shared memory is read where each thread puts its part of a sum at its own place")
        if self.read:
            raise UnplacedFault(f"{self.name}[…] is written while other threads may still read it: a barrier is missing")
        self.part, self.warps, self.whole, self.open = value, None, False, True

    def put_by_warp(self, value: OfWarp, own: bool) -> None:
        """Each warp writes at its place."""
        if not own:
            raise value.refuse()
        if self.read:
            raise UnplacedFault(f"{self.name}[…] is written while other threads may still read it: a barrier is missing")
        self.part, self.warps, self.whole, self.open = None, value, False, True

    def by_lane(self, lanes: Any) -> LanePart:
        """What the warps put there, one for each lane: a part again, over the warps."""
        if self.warps is None:
            raise Refused(f"{self.name}[…]", "no warp has put its part of a sum there")
        if self.open:
            raise UnplacedFault(f"{self.name}[…] is read where another thread writes: a barrier is missing")
        self.read = True
        return LanePart(self.warps.name, WARPS, self.warps.op, self.warps.total, lanes)

    def tree(self, op: str, synced_before: bool, synced_after: bool) -> None:
        """The loop that halves the threads, with a barrier in each turn."""
        if self.part is None or self.whole or self.part.op != op:
            raise Refused(f"a tree in {self.name}", "it is not what the threads put there that it makes whole")
        if not (synced_before or synced_after) or self.open and not synced_before:
            raise UnplacedFault(f"{self.name}[…] is read where another thread writes: a barrier is missing")
        self.whole, self.open = True, not synced_after

    def take(self, at_zero: bool, alone: bool) -> torch.Tensor:
        """The whole, at place 0."""
        if not at_zero or not self.whole or self.part is None:
            raise Refused(f"{self.name}[…]", "shared memory is read at place 0, once a tree made it whole")
        if self.open and not alone:
            raise UnplacedFault(f"{self.name}[0] is read where another thread writes: a barrier is missing")
        self.read = True
        return self.part.total

    def barrier(self) -> None:
        """All threads have come here."""
        self.open = self.read = False


def unwrapped(value: Any) -> Any:
    """A number of a group as one that may be used: the first lane's own by the first lane."""
    if isinstance(value, First):
        if not value.lanes.first:
            raise value.refuse()
        return value.total
    if isinstance(value, (LanePart, Shifted, OfWarp)):
        raise (value.part if isinstance(value, Shifted) else value).refuse()
    return value
