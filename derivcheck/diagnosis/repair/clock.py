"""The seconds that a search has taken, of the processor: a busy machine does not end it; a sixth of the wall's at least."""

from __future__ import annotations

import time


class RepairClock:
    """A clock that goes on with each look at it.

    Attributes:
        wall: the part of the wall's seconds that counts at least; 0 where nobody waits and the same is to be found again.
    """

    def __init__(self) -> None:
        self.wall = 1 / 6
        self.now = 0.0
        self.seen = (time.thread_time(), time.monotonic())

    def __call__(self) -> float:
        """The seconds so far."""
        last, self.seen = self.seen, (time.thread_time(), time.monotonic())
        self.now += max(self.seen[0] - last[0], (self.seen[1] - last[1]) * self.wall)
        return self.now


clock = RepairClock()
