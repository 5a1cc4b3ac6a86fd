"""How the time of a proof is shared out, so that what is hard does not eat the time of what is easy."""

from __future__ import annotations

from time import perf_counter


class Clock:
    """The time of a proof, and of what is looked at.

    Attributes:
        deadline: when the proof has to end.
        end: when what is looked at has to.
        extra: the seconds that were given on top, for what is not the proof's time.
    """

    def __init__(self, seconds: float) -> None:
        self.start = perf_counter()
        self.deadline = self.end = self.start + seconds
        self.extra = 0.0

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return perf_counter() - self.start

    def until(self, end: float) -> None:
        """Give what is looked at the time until then, and no more than the proof has."""
        self.end = min(end, self.deadline)

    def extend(self, seconds: float) -> None:
        """Give so much more time: to load SymPy is not the proof's."""
        self.extra += seconds
        self.deadline += seconds
        self.end += seconds

    def after(self, share: float, end: float | None = None) -> float:
        """When a share of the time until an end (of what is looked at) is over.

        >>> clock = Clock(60.0)
        >>> clock.until(clock.after(0.5))
        >>> 29 < clock.after(1.0) - clock.start < 31
        True
        """
        now = perf_counter()
        return now + share * max((self.end if end is None else end) - now, 0.0)
