"""The search for edits that make every gradient right; where its time is up it stops, and goes on when it is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from derivcheck.diagnosis.repair.bench import Bench
from derivcheck.diagnosis.repair.change import Change
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.diagnosis.repair.trying import together, tried

Whole = tuple[tuple[Change, ...], tuple[Bench, ...]]  # edits that make all right, and the data that confirm it
Group = Callable[[float], tuple[list[Change], bool]]  # the edits that can be made until the clock says so, and whether all
USUAL_GROUPS = 3  # one edit of these is better than two


@dataclass
class RepairSearch:
    """The edits of each group in turn, run on data.

    Attributes:
        groups: cheapest first.
        whole: what makes all right.
        mends: of edits that are made together, what each makes right.
        ended: whether all was tried.
    """

    backward: Backward
    groups: Sequence[Group]
    whole: list[Whole] = field(default_factory=list)
    mends: dict[tuple[int, int, str], frozenset[str]] = field(default_factory=dict)
    ended: bool = False
    _parts: list[tuple[frozenset[str], Change]] = field(default_factory=list)
    _queue: list[int] = field(init=False)  # the groups that are to be tried
    _later: list[int] = field(default_factory=list)  # those of which not all was made
    _left: list[Change] | None = None
    _seen: set[tuple[int, tuple[object, ...]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._queue = list(range(len(self.groups)))

    def run(self, end: float, join: bool = True) -> None:
        """Search on until the clock says ``end``, or something is found; without ``join`` single edits have time first."""
        while not self.whole and not self.ended:
            late = not self._group(end)
            if not self.whole and (late and join or not self._queue or self._queue[0] >= USUAL_GROUPS):
                self._join()
            if not self._queue:
                self._queue, self._later = self._later, []
                self.ended = not self._queue
            if late:
                return

    def _group(self, end: float) -> bool:
        """Try a group, or what is left of it; False where the time is up before all of it is tried."""
        if self._left is None:
            made, complete = self.groups[self._queue[0]](end)
            self._left = [c for c in sorted(made, key=lambda c: c.cost) if (id(c.piece), c.places) not in self._seen]
            if not complete:
                self._later.append(self._queue[0])
        found = tried(self.backward, self._left, end)
        self._seen |= {(id(c.piece), c.places) for c in self._left[: found.tried]}
        self.whole += [((c,), b) for c, b in found.whole]
        self._parts += found.parts
        if not found.ended:
            self._left = self._left[found.tried :]
            return False
        self._left = None
        self._queue.pop(0)
        return clock() <= end

    def _join(self) -> None:
        """Edits that each make some gradients right, together."""
        self.mends = {(id(c.piece), c.line, c.words): names for names, c in self._parts}
        self.whole = together(self.backward, self._parts)
