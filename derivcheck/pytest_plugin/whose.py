"""Whose code something is, for a verdict that is remembered: an installed library's, known by its version, or the user's."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

_STANDARD = os.path.dirname(os.__file__) + os.sep
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
RELEASED = ("torch", "numpy", "sympy", "lark", "scipy")  # too large to look at each file; nobody edits them in place
BIG = 20_000  # files of a package that are looked at

# What gives something else each time, or something from outside: code that names these is not remembered.
IMPURE = frozenset(
    "os sys posix nt posixpath ntpath genericpath time datetime random secrets uuid socket ssl subprocess ctypes importlib "
    "runpy platform io _io tempfile shutil glob pathlib urllib http requests threading _thread multiprocessing asyncio gc "
    "weakref inspect pickle shelve sqlite3 cffi builtins mmap signal contextvars tracemalloc atexit site sysconfig linecache"
    "".split()
)
DRAWS = frozenset({"random", "time", "pathlib"})  # what a test may use to make its data
READS = frozenset({"load", "fromfile", "loadtxt", "genfromtxt", "from_file", "memmap", "hub", "ops", "random"})  # of a library
BUILTINS = frozenset({"open", "input", "eval", "exec", "globals", "locals", "__import__", "compile", "breakpoint", "id"})


@cache
def is_library(file: str | None) -> bool:
    """Whether a file is Python's, derivcheck's or an installed package's; no file at all is Python's own."""
    if file is None or file.startswith("<frozen"):
        return True
    return file.startswith((_STANDARD, _HERE)) or any(part in file for part in _INSTALLED)


def library_module(module: ModuleType | None, name: str) -> bool:
    """Whether a module, loaded or known by its name alone, is a library's."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    file = getattr(module, "__file__", None)
    return file is not None and is_library(file)


def python_module(name: Any) -> bool:
    """Whether a module's code is Python's, which can be read; what is compiled cannot."""
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    return file.endswith((".py", ".pyc")) if isinstance(file, str) else name in ("__main__", "builtins")


@cache
def version_of(package: str) -> tuple[Any, ...]:
    """What tells one installed version of a package from another: its number, and the sizes and times of its files."""
    if package in sys.stdlib_module_names:
        return (sys.version,)
    if package in RELEASED:
        return (metadata.version(package),)
    module = sys.modules.get(package)
    version = str(getattr(module, "__version__", ""))
    paths = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None) or ""]
    files = sorted(f for p in paths for f in ([Path(p)] if Path(p).is_file() else _code_in(Path(p))))
    return version, len(files), *((str(f), s.st_size, s.st_mtime_ns) for f in files[:BIG] for s in (f.stat(),))


def _code_in(folder: Path) -> list[Path]:
    return [
        Path(place) / name
        for place, inner, names in os.walk(folder)
        for name in names
        if name.endswith((".py", ".so", ".pyd", ".lark")) and "__pycache__" not in place
    ]


@cache
def hash_of(package: str) -> str:
    """The version of a package, in a word."""
    return hashlib.blake2b(repr(version_of(package)).encode(), digest_size=12).hexdigest()
