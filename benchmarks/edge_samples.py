"""Edge samples of our own: kinks, ties, infinities, saturation and empty tensors, for every row, against torch.

``docs/conventions.md`` says where torch's number is not taken, and why; what it does not say is wrong.  ``make coverage``
puts the figure into docs/coverage.md, apart from that of PyTorch's own samples.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Figure:
    """Samples tried, numbers that differ where the page says why, and those that it does not say."""

    what: str
    samples: int
    said: int
    wrong: int

    def __str__(self) -> str:
        """One line."""
        return f"{self.what}: {self.samples} samples; {self.wrong} wrong; {self.said} where docs/conventions.md says otherwise"


def element_by_element() -> Figure:
    """Every point of the grid, in float64 and float32."""
    from tests.operators.conventions import OURS, OWN
    from tests.operators.edge_points import differences, grid, pointwise

    forms = pointwise()
    found = [d for p in forms for dtype in (torch.float64, torch.float32) for d in differences(p, dtype)]
    wrong = [d for d in found if not any(a.covers(d.operator, d.point, d.what, d.dtype) for a in (*OWN, *OURS))]
    points = sum(2 * len(grid(len(p.names))) for p in forms)
    return Figure(f"element by element, {len(forms)} forms of operators", points, len(found) - len(wrong), len(wrong))


def whole_tensors() -> Figure:
    """Every sample of every other row, all its tensors and each alone."""
    from tests.operators.edge_fills import FINITE, INFINITE, SIZES, swept, wholes
    from tests.operators.said_of_tensors import FILLED

    fills = len(FINITE) + len(INFINITE)
    tried = list(wholes(True))
    samples = sum(fills * (1 + (len(w.likes) if len(w.likes) > 1 else 0)) + len(SIZES) * (not k) for k, w in tried)
    found = list(swept(tried, True))
    wrong = [o for o in found if not any(f.covers(o.operator, o.fill, o.what) for f in FILLED)]
    return Figure("whole tensors, all samples of the other rows", samples, len(found) - len(wrong), len(wrong))


def figures() -> list[Figure]:
    """Both."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [element_by_element(), whole_tensors()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    start = time.perf_counter()
    for figure in figures():
        print(figure)
    print(f"({time.perf_counter() - start:.0f} s)")
