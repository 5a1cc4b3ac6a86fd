"""What is said of a size in a message decides nothing: what is printed or logged, and what a check says where it fails.

``check(n > 0, f"n is {n}")`` makes its message whether the check holds or not.  That the message decides nothing is read
from the source of ``check``: its parameter goes into what is raised, and nowhere else.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from derivcheck.tracing.recording.data import CallSite
from derivcheck.tracing.recording.naming import statement
from derivcheck.tracing.watching.log import CodeLine, Span

_LOGS = ("print", "debug", "info", "warning", "warn", "error", "log", "exception", "critical")


@lru_cache(maxsize=4096)
def says(place: CodeLine, span: Span | None) -> bool:
    """Whether what stands there only prints or logs, or makes the message of a check."""
    node = statement(CallSite(place.file, place.line, "", 0, 0))
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    call = node.value
    name = call.func.id if isinstance(call.func, ast.Name) else call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in _LOGS:
        return True
    told = [k for k, a in _arguments(call) if _within(span, a)]
    check = _function(place.file, name) if isinstance(call.func, ast.Name) and told else None
    if check is None:
        return False
    try:
        definition = ast.parse(textwrap.dedent(inspect.getsource(check))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return False
    return isinstance(definition, ast.FunctionDef) and _only_raised(definition, told[0])


def _within(span: Span | None, node: ast.expr) -> bool:
    """Whether a span stands within an expression."""
    if span is None or node.end_lineno is None or node.end_col_offset is None:
        return False
    first, last, start, end = span
    return (node.lineno, node.col_offset) <= (first, start) and (last, end) <= (node.end_lineno, node.end_col_offset)


def _arguments(call: ast.Call) -> Iterator[tuple[int | str | None, ast.expr]]:
    """The arguments of a call with their places or names; None for what is unpacked."""
    for k, a in enumerate(call.args):
        yield (None if any(isinstance(b, ast.Starred) for b in call.args[: k + 1]) else k), a
    for word in call.keywords:
        yield word.arg, word.value


def _function(file: str, name: str) -> Callable[..., Any] | None:
    """The function of a module, given by its file, that goes by this name there."""
    module = next((m for m in list(sys.modules.values()) if getattr(m, "__file__", None) == file), None)
    found = inspect.unwrap(vars(module)[name]) if module is not None and name in vars(module) else None
    return found if inspect.isfunction(found) else None


def _only_raised(definition: ast.FunctionDef, argument: int | str | None) -> bool:
    """Whether a parameter of a function goes into what it raises alone, also by way of other names."""
    parameters = [a.arg for a in (*definition.args.posonlyargs, *definition.args.args)]
    if isinstance(argument, int):
        argument = parameters[argument] if argument < len(parameters) else None
    if argument is None or argument not in {*parameters, *(a.arg for a in definition.args.kwonlyargs)}:
        return False
    told, grown = {argument}, True
    while grown:
        grown = False
        for node in ast.walk(definition):
            if isinstance(node, (ast.Assign, ast.AugAssign)) and _reads(node.value, told):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                new = {t.id for t in targets if isinstance(t, ast.Name)} - told
                told, grown = told | new, grown or bool(new)
    return all(_silent(s, told) for s in definition.body)


def _silent(node: ast.AST, told: set[str]) -> bool:
    """Whether a statement decides nothing by these names: it names them anew, raises them, or asks whether they are None."""
    if not _reads(node, told) or isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) for t in node.targets) and not _calls(node.value)
    if isinstance(node, ast.AugAssign):
        return isinstance(node.target, ast.Name) and not _calls(node.value)
    if isinstance(node, ast.If):
        return _asks_for_none(node.test, told) and all(_silent(s, told) for s in (*node.body, *node.orelse))
    return False


def _asks_for_none(test: ast.expr, told: set[str]) -> bool:
    """Whether a test does not read what is told, or asks of it only whether it is None."""
    if not _reads(test, told):
        return True
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and all(isinstance(op, (ast.Is, ast.IsNot)) for op in test.ops)
        and all(isinstance(c, ast.Constant) and c.value is None for c in test.comparators)
    )


def _reads(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in names for n in ast.walk(node))


def _calls(node: ast.AST) -> bool:
    return any(isinstance(n, (ast.Call, ast.Subscript, ast.Await, ast.NamedExpr, ast.Lambda)) for n in ast.walk(node))
