"""What the traced code did with numbers made of sizes: the comparisons that it made, and where one became a plain number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType

from derivcheck.display import file_name
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.tracing.watching.whose_code import READERS, user_file

Span = tuple[int, int, int, int]
_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class CodeLine:
    """A line of the traced code."""

    file: str
    line: int

    @staticmethod
    def of(frame: FrameType) -> CodeLine:
        """The line that a frame stands at."""
        return CodeLine(frame.f_code.co_filename, frame.f_lineno)

    def __str__(self) -> str:
        return f"{file_name(self.file)}:{self.line}"


@dataclass(frozen=True)
class SizeComparison:
    """A comparison that the code made: ``left relation right`` came out as ``outcome``; ``loop``: it ended a loop."""

    relation: str
    left: Poly
    right: Poly
    outcome: bool
    place: CodeLine
    loop: bool = False

    @property
    def held(self) -> str:
        """The relation that held."""
        return self.relation if self.outcome else _OPPOSITE[self.relation]

    def __str__(self) -> str:
        return f"{self.left} {self.held} {self.right}"


@dataclass(frozen=True)
class Escape:
    """A number made of ``sizes`` that became a plain one, which nothing watches; ``what`` did it, in words.

    ``span`` is where in the source that was: the first and the last line, and the columns there, in bytes of UTF-8.
    """

    sizes: frozenset[str]
    what: str
    place: CodeLine
    span: Span | None = None


@dataclass
class Log:
    """What the code did with sizes; ``heard`` is told of each comparison, and may end the run."""

    comparisons: list[SizeComparison] = field(default_factory=list)
    escapes: list[Escape] = field(default_factory=list)
    heard: Callable[[SizeComparison], None] | None = None

    def escaped(self, sizes: frozenset[str], what: str, frame: FrameType) -> None:
        """A number made of these sizes is not watched any more."""
        asked = outside(frame)
        self.escapes.append(Escape(sizes, what, CodeLine.of(asked), _span(asked.f_code, asked.f_lasti)))

    def noted(self, relation: str, left: Poly, right: Poly, outcome: bool, frame: FrameType, loop: bool = False) -> None:
        """A comparison was made."""
        common = math.gcd(*(c for p in (left, right) for _, c in p.terms)) or 1
        left, right = (Poly((m, c // common) for m, c in p.terms) for p in (left, right))
        made = SizeComparison(relation, left, right, outcome, CodeLine.of(outside(frame)), loop)
        self.comparisons.append(made)
        if self.heard is not None:
            self.heard(made)


@lru_cache(maxsize=4096)
def _span(code: CodeType, at: int) -> Span | None:
    """Where in the source an instruction stands."""
    first, last, start, end = next(islice(code.co_positions(), at // 2, None), (None,) * 4)
    return None if first is None or last is None or start is None or end is None else (first, last, start, end)


def outside(frame: FrameType) -> FrameType:
    """The frame that asked: the user's, or that of torch's own Python that computes with sizes."""
    f: FrameType | None = frame
    while f is not None and not (user_file(f.f_code.co_filename) or f.f_code.co_filename.startswith(READERS)):
        f = f.f_back
    return frame if f is None else f
