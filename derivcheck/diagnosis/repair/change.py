"""A change of somebody's source: what is replaced by what, and what that says was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from derivcheck.diagnosis.repair.source_piece import SourcePiece, Span

Place = tuple[Span, str]
Edits = Iterator[tuple[list[Place], str, float]]  # what is replaced, in words what was wrong, a cost


@dataclass(frozen=True)
class Change:
    """A change of the user's text.

    Attributes:
        piece: which text.
        places: what is replaced by what.
        words: what it says was wrong, in words of the field and the user's own code.
        cost: how much of a change it is.
        line: where.
    """

    piece: SourcePiece
    places: tuple[Place, ...]
    words: str
    cost: float
    line: int

    @property
    def text(self) -> str:
        """The piece as it reads then."""
        return self.piece.changed(self.places)


def clipped(text: str, most: int = 60) -> str:
    """A text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
