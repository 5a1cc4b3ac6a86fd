"""The seconds that a search has taken, of the processor: a busy machine does not end it; a sixth of the wall's at least.

Where nobody waits and the same is to be found on every machine, looks at the clock are counted instead.
"""

from __future__ import annotations

import time

WALL = 1 / 6  # the part of the wall's seconds that counts at least


class RepairClock:
    """A clock that goes on with each look at it.

    Attributes:
        step: the seconds that each look counts as, whatever it took; 0 where real seconds count.
    """

    def __init__(self) -> None:
        self.step = 0.0
        self.now = 0.0
        self.seen = (time.thread_time(), time.monotonic())

    def __call__(self) -> float:
        """The seconds so far."""
        if self.step:
            self.now += self.step
            return self.now
        last, self.seen = self.seen, (time.thread_time(), time.monotonic())
        self.now += max(self.seen[0] - last[0], (self.seen[1] - last[1]) * WALL)
        return self.now


clock = RepairClock()
