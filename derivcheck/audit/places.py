"""Where code stands: a file by a name that a reader knows, and a line."""

from __future__ import annotations

import ast
import linecache
import os
import sys
import sysconfig
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from derivcheck.tracing.watching.whose_code import HERE, user_file

INSTALLED = tuple({sysconfig.get_paths()[n] + os.sep for n in ("purelib", "platlib", "stdlib")})
_CHECKS = tuple(HERE + room + os.sep for room in ("checking", "tracing", "diagnosis"))  # they run the user's code themselves


def shown(file: str) -> str:
    """A file from the current folder, or from the package that it is installed in; else by its name and its folder's."""
    path = os.path.realpath(file)
    for start in sorted((*INSTALLED, os.path.realpath(os.getcwd()) + os.sep), key=len, reverse=True):
        if path.startswith((os.path.realpath(start) + os.sep, start)):
            return os.path.relpath(path, start)
    return os.path.join(*path.split(os.sep)[-2:])


def is_installed(file: str) -> bool:
    """Whether a file is of an installed package, in this environment or in another on the path."""
    return file.startswith(INSTALLED) or any(f"{os.sep}{n}{os.sep}" in file for n in ("site-packages", "dist-packages"))


def own_file(file: str, also: str = "") -> bool:
    """Whether a file is the user's, not installed beside; ``also``: the folder of an installed package that is audited."""
    return bool(user_file(file)) and (not is_installed(file) or bool(also) and file.startswith(also))


def code_of(f: Any) -> CodeType | None:
    """The code of a function, a static method's, a partial's; None of what is not written in Python."""
    for _ in range(8):
        f = getattr(f, "__func__", None) or getattr(f, "func", None) or getattr(f, "__wrapped__", None) or f
    code = getattr(f, "__code__", None)
    return code if isinstance(code, CodeType) else None


def place_of_code(code: CodeType | None) -> str:
    """``file.py:12``, or nothing."""
    return "" if code is None else f"{shown(code.co_filename)}:{code.co_firstlineno}"


def place_of_class(cls: Any, code: CodeType | None) -> str:
    """The line of the class that holds a function's code; the function's own where it is written elsewhere."""
    if code is None:
        return ""
    lines = [
        line for name, line, end in _classes(code.co_filename) if name == cls.__name__ and line <= code.co_firstlineno <= end
    ]
    return f"{shown(code.co_filename)}:{lines[-1]}" if lines else place_of_code(code)


@lru_cache(maxsize=256)
def _classes(file: str) -> tuple[tuple[str, int, int], ...]:
    """The classes that a file defines: name, first line, last line."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ()
    found = (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
    return tuple((n.name, n.lineno, n.end_lineno or n.lineno) for n in found)


def caller() -> str:
    """``file.py:12`` of the user's innermost frame."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if user_file(file):
            return f"{shown(file)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def in_a_check() -> bool:
    """Whether it is this library that runs the user's code now, for a check of its own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_CHECKS):
            return True
        frame = frame.f_back
    return False


def place_raised(error: BaseException) -> str:
    """The innermost line of the user's that an error passed."""
    found, at = "", error.__traceback__
    while at is not None:
        if user_file(at.tb_frame.f_code.co_filename):
            found = f"{shown(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}"
        at = at.tb_next
    return found
