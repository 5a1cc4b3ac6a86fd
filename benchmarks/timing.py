"""Two functions timed in turn, A B A B …, by this thread's processor time: what the benchmarks of speed share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def pairs(a: Callable[[], object], b: Callable[[], object], seconds: float = 4.0) -> tuple[float, float, float]:
    """The median of each in µs, and the median ratio a/b over pairs of blocks timed in turn."""

    def block(f: Callable[[], object], n: int) -> float:
        start = time.thread_time()
        for _ in range(n):
            f()
        return (time.thread_time() - start) / n

    for f in (a, b):
        block(f, 3)
    n = max(1, int(0.02 / max(block(b, 3), 1e-7)))
    end = time.perf_counter() + seconds
    ta: list[float] = []
    tb: list[float] = []
    ratios: list[float] = []
    while time.perf_counter() < end or len(ratios) < 5:
        x, y = block(a, n), block(b, n)
        ta.append(x)
        tb.append(y)
        ratios.append(x / y)
    return statistics.median(ta) * 1e6, statistics.median(tb) * 1e6, statistics.median(ratios)
