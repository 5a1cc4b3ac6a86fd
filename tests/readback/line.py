"""A printed line, and what numbers it may differ from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from derivcheck.checking.arithmetic.pairs import Pair
from derivcheck.notes.pages.rows import one_line
from derivcheck.notes.writing.steps import Formula


class Readable(Protocol):
    """A page whose lines can be read, in ``latex``, ``unicode`` or ``text``."""

    ink: str

    def wrong(self, text: str, note: str = "") -> list[str]:
        """What a line with that note says that is not so."""
        ...


@dataclass(frozen=True)
class Line:
    """A printed line and the page that it stands on."""

    formula: Formula
    page: Readable

    @property
    def text(self) -> str:
        """As it is printed, its rows as one line."""
        return one_line(self.formula) if self.page.ink == "latex" else self.formula.line()

    def wrong(self, text: str | None = None) -> list[str]:
        """What the line, or another text in its place, says that is not so.

        Raises:
            NotationError: text that the reader does not take.
            Misprint: text that names what is not there.
        """
        return self.page.wrong(self.text if text is None else text, self.formula.note)


def differences(text: str, meant: Pair, said: Pair, slack: float = 0.0, finite: bool = False) -> list[str]:
    """Where a line's right side is not its left one, beyond rounding; ``finite``: what is no number says nothing."""
    meant, said = (Pair(p.value.to(torch.float64), p.error) for p in (meant, said))
    gap = (meant.value - said.value).abs()
    bound = sum((p.error for p in (meant, said) if p.error is not None), torch.zeros_like(gap))
    bound = bound + slack * (1 + meant.value.abs())
    off = torch.isfinite(meant.value) & ~(gap <= bound)
    if finite:
        off &= torch.isfinite(said.value)
    if not off.any():
        return []
    place = tuple(int(k) for k in off.nonzero()[0])
    return [f"{text}: {float(said.value[place])} at {place}, meant {float(meant.value[place])}"]
