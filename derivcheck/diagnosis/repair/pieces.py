"""The user's source as pieces that can be changed and run: a top-level statement of a file, with the functions made of it.

A changed piece is compiled, and its code put into the user's own function objects while they run, and taken out again: no
module is executed a second time, and no text but the user's own file with the change in it is ever compiled.
"""

from __future__ import annotations
import __future__

import ast
import functools
import inspect
import linecache
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

from derivcheck.diagnosis.repair.source_piece import SourcePiece, Span
from derivcheck.diagnosis.repair.texts.cuda import cuda_pieces
from derivcheck.files import digest
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.tracing.watching.whose_code import user_file

MANY = 80  # functions that are looked at
LONG = 200_000  # lines that run
# Code that names these reaches beyond torch's operators: it is not run with something changed.
UNSAFE = {
    "data_ptr",
    "ctypes",
    "subprocess",
    "os",
    "open",
    "shutil",
    "load_inline",
    "from_dlpack",
    "set_",
    "exec",
    "eval",
    "requests",
    "socket",
    "distributed",
}


@dataclass(eq=False)
class CodePiece(SourcePiece):
    """A top-level statement of a file of Python.

    Attributes:
        functions: the function objects that were made of it, each with its place among the codes of the compiled piece.
    """

    functions: list[tuple[FunctionType, int]] = field(default_factory=list)
    flags: int = 0

    @functools.cached_property
    def tree(self) -> ast.Module:
        """Its syntax, with the lines of the file."""
        return ast.parse("\n" * (self.line - 1) + self.text)

    @functools.cached_property
    def open_ended(self) -> bool:
        """Whether a loop runs until a condition fails: with an edit it may not end."""
        return any(isinstance(n, ast.While) for n in ast.walk(self.tree))

    @functools.cached_property
    def around(self) -> Mapping[ast.AST, ast.AST]:
        """The node around each node."""
        return parents(self.tree)

    def offset(self, line: int, column: int) -> int:
        """The character at a line of the file and a column in bytes, as Python's syntax trees count."""
        k = line - self.line
        return self.starts[k] + len(self.lines[k].encode()[:column].decode())

    def span(self, node: ast.AST) -> Span:
        """Where a node stands."""
        return (
            self.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def source(self, node: ast.AST) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def codes(self, text: str) -> list[CodeType]:
        """Every code object of the piece, compiled from a text.

        Where an edit takes away the last use of a variable of the function around, a use that never runs stands for it: a
        function keeps the cells that it was made with.
        """
        tree = ast.parse("\n" * (self.line - 1) + text)
        codes = self._compiled(tree)
        lost = [(f.__code__, codes[k]) for f, k in self.functions if k < len(codes)]
        lost = [(old, new) for old, new in lost if set(old.co_freevars) - set(new.co_freevars)]
        if not lost:
            return codes
        for node in ast.walk(tree):
            for old, new in lost:
                name = getattr(node, "name", "<lambda>")
                if isinstance(node, (ast.FunctionDef, ast.Lambda)) and (name, _first(node)) == (
                    new.co_name,
                    new.co_firstlineno,
                ):
                    _use(node, sorted(set(old.co_freevars) - set(new.co_freevars)))
        return self._compiled(ast.fix_missing_locations(tree))

    def _compiled(self, tree: ast.Module) -> list[CodeType]:
        return list(_nested(compile(tree, self.file, "exec", flags=self.flags, dont_inherit=True)))

    def same(self, one: str, two: str) -> bool:
        """Whether two texts are the same code."""
        try:
            return ast.dump(ast.parse(one)) == ast.dump(ast.parse(two))
        except (SyntaxError, ValueError):
            return False

    @contextmanager
    def running(self, text: str) -> Iterator[None]:
        """The user's functions run this text.

        Raises:
            SyntaxError, ValueError: a text that cannot stand in place of the piece.
        """
        codes = self.codes(text)
        before = [(f, f.__code__) for f, _ in self.functions]
        try:
            for f, k in self.functions:
                f.__code__ = codes[k]
            with _ending(self.file) if self.open_ended else nullcontext():
                yield
        finally:
            for f, code in before:
                f.__code__ = code


def _first(node: ast.FunctionDef | ast.Lambda) -> int:
    """The line that a function's code begins with: its first decorator's, where it has some."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _use(node: ast.FunctionDef | ast.Lambda, names: Iterable[str]) -> None:
    """Let a function read these names where it never comes."""
    for name in names:
        read = ast.Name(name, ast.Load())
        if isinstance(node, ast.Lambda):
            node.body = ast.IfExp(ast.Constant(True), node.body, read)
        else:
            node.body.append(ast.If(ast.Constant(False), [ast.Expr(read)], []))


@contextmanager
def _ending(file: str) -> Iterator[None]:
    """A function of this file that goes on and on raises: an edit may have taken away what ends its loop."""
    left = LONG

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != file:
            return None
        left -= 1
        if left < 0:
            raise RecursionError("the loop of this edit does not end")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def _nested(code: CodeType) -> Iterator[CodeType]:
    for c in code.co_consts:
        if isinstance(c, CodeType):
            yield c
            yield from _nested(c)


def functions_of(root: Any, kept: Iterable[Any] = ()) -> tuple[list[FunctionType], list[DeviceFunction]]:
    """The user's functions that something leads to, by name, in its closure or wrapped; those of CUDA source apart."""
    left: list[Any] = [root]
    seen: set[int] = set()
    found: list[FunctionType] = []
    devices: list[DeviceFunction] = []
    kept = set(kept)
    while left and len(found) < MANY:
        f = left.pop(0)
        if id(f) in seen:
            continue
        seen.add(id(f))
        if isinstance(f, DeviceFunction):
            devices += [f] if f.own_lines not in kept else []
        elif isinstance(f, functools.partial):
            left += [f.func, *(a for a in (*f.args, *f.keywords.values()) if callable(a))]
        elif isinstance(f, MethodType):
            left.append(f.__func__)
        elif isinstance(f, (staticmethod, classmethod)):
            left.append(f.__func__)
        elif isinstance(f, type):
            left += [v for n, v in vars(f).items() if n in ("backward", "vjp", "__call__")]
        elif isinstance(f, FunctionType):
            if hasattr(f, "__wrapped__"):
                left.append(f.__wrapped__)
            if f.__code__ in kept:  # not to be changed; but the backwards of what it applies may be
                left += [v for v in (*_cells(f), *_globals(f)) if isinstance(v, type) and hasattr(v, "backward")]
                continue
            if not user_file(f.__code__.co_filename):
                left += [v for v in _cells(f) if isinstance(v, (FunctionType, DeviceFunction))]
                continue
            found.append(f)
            left += [*_cells(f), *_globals(f)]
    return found, devices


def _cells(f: FunctionType) -> list[Any]:
    """The functions that a function closes over, alone or in a list."""
    found = []
    for cell in f.__closure__ or ():
        try:
            v = cell.cell_contents
        except ValueError:
            continue
        found += [v] if callable(v) else [u for u in v if callable(u)] if isinstance(v, (list, tuple)) else []
    return found


def _globals(f: FunctionType) -> list[Any]:
    """The user's functions and classes that a function reads from its file, or as attributes of another file of the user's."""
    found: list[Any] = []
    names = {n for c in (f.__code__, *_nested(f.__code__)) for n in c.co_names}
    for n in sorted(names):
        v = f.__globals__.get(n)
        if isinstance(v, (FunctionType, functools.partial, DeviceFunction)):
            found.append(v)
        elif isinstance(v, type) and user_file(getattr(inspect.getmodule(v), "__file__", None) or "<frozen"):
            found.append(v)
        elif isinstance(v, ModuleType) and user_file(getattr(v, "__file__", None) or "<frozen"):
            found += [u for m in names if isinstance(u := getattr(v, m, None), FunctionType)]
    return found


def safe(functions: Iterable[FunctionType]) -> bool:
    """Whether the code keeps to torch's operators."""
    return not any(UNSAFE & set(c.co_names) for f in functions for c in (f.__code__, *_nested(f.__code__)))


def pieces_of(root: Any, kept: Iterable[Any] = ()) -> list[SourcePiece]:
    """The pieces that a backward's code stands in, those whose source is at hand and is what was loaded."""
    found: dict[tuple[str, int], CodePiece] = {}
    if isinstance(root, SourcePiece):
        return [root]
    functions, devices = functions_of(root, kept)
    if not safe(functions):
        return []
    for f in functions:
        code = f.__code__
        where = _statement(code.co_filename, code.co_firstlineno)
        if where is None:
            continue
        line, text, whole = where
        piece = found.setdefault((code.co_filename, line), CodePiece(code.co_filename, line, text, whole, flags=_flags(code)))
        try:
            codes = piece.codes(text)
        except (SyntaxError, ValueError):
            continue
        same = [k for k, c in enumerate(codes) if c == code] or [
            k
            for k, c in enumerate(codes)
            if (c.co_name, c.co_firstlineno, c.co_varnames) == (code.co_name, code.co_firstlineno, code.co_varnames)
        ]
        if same:
            piece.functions.append((f, same[0]))
    return [*(p for p in found.values() if p.functions), *cuda_pieces(devices, kept)]


def _flags(code: CodeType) -> int:
    return code.co_flags & __future__.annotations.compiler_flag


def _statement(file: str, line: int) -> tuple[int, str, str] | None:
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    for first, last in _statements("".join(lines)):
        if first <= line <= last:
            return first, "".join(lines[first - 1 : last]), digest("".join(lines))
    return None


@lru_cache(maxsize=64)
def _statements(text: str) -> tuple[tuple[int, int], ...]:
    """First and last line of each top-level statement, decorators included."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    return tuple(
        (min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", ()))]), s.end_lineno or s.lineno) for s in tree.body
    )


def parents(tree: ast.AST) -> Mapping[ast.AST, ast.AST]:
    """The node around each node."""
    return {kid: node for node in ast.walk(tree) for kid in ast.iter_child_nodes(node)}
