"""Where in a kernel's source something happens, for those who look at the stack while it is read.

A reader runs each statement through :func:`at`; whoever walks the stack (a recording of torch calls) finds the statement's
line there, as it finds a line of Python in a frame.
"""

from __future__ import annotations

import ast
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TypeVar

R = TypeVar("R")


@dataclass(frozen=True)
class Line:
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
        return f"{os.path.basename(self.file)}:{self.line}"


_STATEMENTS: dict[str, dict[int, ast.stmt]] = {}
_COUNT = itertools.count()


def at(line: Line, run: Callable[[], R]) -> R:
    """``run()``, for this statement."""
    order = next(_COUNT)  # noqa: F841  # read off the frame by line_of
    _STATEMENTS.setdefault(line.file, {})[line.line] = _statement(line.name)
    return run()


AT: CodeType = at.__code__


def line_of(frame: FrameType) -> tuple[Line, int]:
    """The statement that a frame of :func:`at` runs, and a number that grows from statement to statement."""
    found = frame.f_locals
    return found["line"], found["order"]


def statements(file: str) -> dict[int, ast.stmt] | None:
    """What the statements of a kernel's file assign, by line, as Python would say it; None for no such file."""
    return _STATEMENTS.get(file)


def _statement(name: str | None) -> ast.stmt:
    if name is None:
        return ast.Expr(ast.Constant(None))
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))
