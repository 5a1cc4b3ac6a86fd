"""Where in a kernel's source something happens, for those who look at the stack while it is read.

A reader runs each statement through :func:`at`; whoever walks the stack (a recording of torch calls) finds the statement's
line there, as it finds a line of Python in a frame.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TypeVar

from derivcheck.display import file_name

R = TypeVar("R")


@dataclass(frozen=True)
class SourceLine:
    """A statement of a kernel's source.

    Attributes:
        file: the path, or ``<cuda>`` for a text.
        line: the line that it begins at, from 1.
        function: whose body it stands in.
        call: which call of that function.
        name: the variable that it assigns, if it assigns one.
    """

    file: str
    line: int
    function: str
    call: int = 0
    name: str | None = None

    @property
    def place(self) -> str:
        """``file.cu:line``."""
        return f"{file_name(self.file)}:{self.line}"


@dataclass(frozen=True)
class OwnLines:
    """Where a function of a kernel's source stands, as the code of a Python function says it of itself."""

    co_filename: str
    co_name: str
    co_firstlineno: int
    last: int

    def co_lines(self) -> tuple[tuple[int, int, int], ...]:
        """Its first and its last line."""
        return (0, 0, self.co_firstlineno), (0, 0, self.last)


_STATEMENTS: dict[tuple[str, str], dict[int, ast.stmt]] = {}
_COUNT = itertools.count()


def at(line: SourceLine, run: Callable[[], R]) -> R:
    """``run()``, for this statement."""
    order = next(_COUNT)  # noqa: F841  # read off the frame by line_of
    _STATEMENTS.setdefault((line.file, line.function), {})[line.line] = _statement(line.name)
    return run()


AT: CodeType = at.__code__


def line_of(frame: FrameType) -> tuple[SourceLine, int]:
    """The statement that a frame of :func:`at` runs, and a number that grows from statement to statement."""
    found = frame.f_locals
    return found["line"], found["order"]


def statements(file: str, function: str) -> dict[int, ast.stmt] | None:
    """What the statements of a kernel's function assign, by line, as Python would say it; None for no such function."""
    return _STATEMENTS.get((file, function))


def _statement(name: str | None) -> ast.stmt:
    if name is None:
        return ast.Expr(ast.Constant(None))
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))
