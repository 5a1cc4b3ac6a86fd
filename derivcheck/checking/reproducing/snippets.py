"""The source text of one function or class, and the names in it that come from outside."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import symtable
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import Any

import torch

from derivcheck.checking.reproducing.spelling import CannotCarry

NOTHING = object()  # a name without a value: None is one


@dataclass(frozen=True)
class Snippet:
    """A definition as it stands in the user's file.

    Attributes:
        name: what it defines.
        text: the statement.
        uses: the names that it takes from outside, with what they mean.
        optional: those that only annotations use.
        later: attributes that it was given after its definition.
    """

    name: str
    text: str
    uses: Mapping[str, Any]
    optional: frozenset[str]
    later: Mapping[str, Any] = field(default_factory=dict)


def function_snippet(f: Any) -> Snippet:
    """The snippet of a function, a lambda, or a function that decorators have wrapped.

    Raises:
        CannotCarry: its source is not to be had, or a name that it needs has no value.
    """
    inner = inspect.unwrap(f)
    if not inspect.isfunction(inner):
        raise CannotCarry(f"{getattr(f, '__name__', None) or type(f).__name__} is a {type(f).__name__}, which has no source")
    known = _closure(inner)
    known |= {k: v for k, v in inner.__globals__.items() if k not in known}
    if inner.__name__ == "<lambda>":
        name = next((n for n, v in inner.__globals__.items() if v is f and n.isidentifier()), "backward")
        node, text = _lambda(inner)
        while name in _free(text):
            name += "_under_test"
        text = f"{name} = ({text})"
        values = _defaults(node.args, inner)
    else:
        text = _source(inner)
        definition = _first(text)
        if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise CannotCarry(f"the source of {inner.__name__} was not found")
        if inner is f and definition.decorator_list and inner.__globals__.get(inner.__name__) is not f:
            text = "\n".join(text.split("\n")[definition.lineno - 1 :])  # it stands inside of its own decorator
            definition = _first(text)
            assert isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef))
        name, values = definition.name, _defaults(definition.args, inner)
    later = vars(f) if inner is f else {}  # of a wrapper, the decorator's own
    return replace(_snippet(name, text, {**known, **values}), later=later)


def class_snippet(c: type) -> Snippet:
    """The snippet of a class; see :func:`function_snippet`."""
    text = _source(c)
    definition = _first(text)
    if not isinstance(definition, ast.ClassDef):
        raise CannotCarry(f"the source of {c.__name__} was not found")
    methods = [m for m in (inspect.unwrap(getattr(v, "__func__", v)) for v in vars(c).values()) if inspect.isfunction(m)]
    own = [m for m in methods if m.__module__ == c.__module__]
    known: dict[str, Any] = dict(vars(sys.modules[c.__module__])) if c.__module__ in sys.modules else {}
    for m in own:
        known |= m.__globals__
    for m in own:
        known |= _closure(m)
    known |= {b.__name__: b for b in c.__bases__ if known.get(b.__name__, NOTHING) is NOTHING}
    return replace(_snippet(definition.name, text, known), later=_later(c, definition))


def _later(c: type, definition: ast.ClassDef) -> dict[str, Any]:
    """Plain attributes of a class that its body does not set, or sets to another number or text."""
    if type(c) not in (type, type(torch.autograd.Function)) or definition.decorator_list or issubclass(c, tuple):
        return {}
    known: dict[str, Any] = {}
    for statement in definition.body:
        known |= {n.id: NOTHING for n in ast.walk(statement) if isinstance(n, ast.Name)}
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            known[statement.name] = NOTHING
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            known |= {t.id: statement.value.value for t in statement.targets if isinstance(t, ast.Name)}
    own = {n: v for n, v in vars(c).items() if not n.startswith("_") and not inspect.ismemberdescriptor(v)}
    return {n: v for n, v in own.items() if n not in known or known[n] is not NOTHING and known[n] != v}


@cache
def statements_for(module: ModuleType, name: str) -> dict[str, str]:
    """The statements of a module that define a name, with what of the module they use, in its order."""
    text = inspect.getsource(module)
    known: dict[str, ast.stmt] = {}
    for statement in ast.parse(text).body:
        named = [t.id for t in statement.targets if isinstance(t, ast.Name)] if isinstance(statement, ast.Assign) else []
        named += [statement.name] if isinstance(statement, (ast.ClassDef, ast.FunctionDef)) else []
        known |= dict.fromkeys(named, statement)
    wanted = [name]
    for used in wanted:
        wanted += [n.id for n in ast.walk(known[used]) if isinstance(n, ast.Name) and n.id in known and n.id not in wanted]
    shown = {n: f"\n\n{ast.get_source_segment(text, known[n])}\n" for n in known if n in wanted}
    return {n: re.sub(r"  # type: ignore.*", "", part) for n, part in shown.items()}


def attributes_of(text: str, name: str) -> set[str] | None:
    """The attributes that a text takes from a name; None where it uses the name otherwise."""
    tree = ast.parse(textwrap.dedent(text))
    whole = sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))
    reads = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    found = [n.attr for n in reads if isinstance(n.value, ast.Name) and n.value.id == name]
    return set(found) if len(found) == whole else None


def _snippet(name: str, text: str, known: Mapping[str, Any]) -> Snippet:
    """The text with the outside names that it uses; names needed as soon as it is defined must have a value."""
    tree = ast.parse(text)
    needed = dict.fromkeys(_free(ast.unparse(_Bare().visit(ast.parse(text)))))
    every = dict.fromkeys(_free(text))
    decorated = not isinstance(tree.body[0], ast.FunctionDef) or bool(tree.body[0].decorator_list)
    wanted = [*needed, *(n for n in every if n not in needed)] if decorated else list(needed)
    uses = {n: known[n] for n in wanted if n in known}
    at_once = {n.id for part in _at_once(tree.body[0]) for n in ast.walk(part) if isinstance(n, ast.Name)}
    for n in needed:
        if n in at_once and n not in uses and not hasattr(builtins, n) and n != name:
            raise CannotCarry(f"{n}, which {name} uses, has no value outside of where it was defined")
    return Snippet(name, text, uses, frozenset(every) - frozenset(needed))


def _at_once(definition: ast.stmt) -> Iterator[ast.AST]:
    """The parts that are evaluated when the definition is."""
    if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from [*definition.decorator_list, *definition.args.defaults, *(d for d in definition.args.kw_defaults if d)]
    if isinstance(definition, ast.ClassDef):
        yield from [*definition.decorator_list, *definition.bases]


class _Bare(ast.NodeTransformer):
    """Leaves annotations out."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def _function(self, node: Any) -> Any:
        node.returns = None
        self.generic_visit(node)
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        return ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno)


def _free(text: str) -> Iterator[str]:
    """The names that a statement takes from outside."""
    top = symtable.symtable(text, "<snippet>", "exec")
    for s in top.get_symbols():
        if s.is_referenced() and not s.is_assigned() and not s.is_imported():
            yield s.get_name()
    yield from (s for table in top.get_children() for s in _globals(table))


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    for s in table.get_symbols():
        if s.is_global() and not s.get_name().startswith("__"):
            yield s.get_name()
    for inner in table.get_children():
        yield from _globals(inner)


def _closure(f: Any) -> dict[str, Any]:
    """The variables that a function closes over, without those that have no value yet."""
    found = {}
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    found.pop("__class__", None)
    return found


def _defaults(arguments: ast.arguments, f: Any) -> dict[str, Any]:
    """Names that stand as defaults mean what they meant when the function was defined."""
    nodes = list(zip(arguments.defaults[::-1], (f.__defaults__ or ())[::-1]))
    named = {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults)}
    nodes += [(d, (f.__kwdefaults__ or {})[n]) for n, d in named.items() if d is not None]
    return {node.id: value for node, value in nodes if isinstance(node, ast.Name)}


def _source(value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(value)).rstrip() + "\n"
    except (OSError, TypeError, SyntaxError):
        raise CannotCarry(f"the source of {value.__name__} was not found, as it stands in no file") from None


def _first(text: str) -> ast.stmt:
    try:
        return ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        raise CannotCarry(f"the source {text.strip()[:60]!r} cannot be read") from None


def _lambda(f: Any) -> tuple[ast.Lambda, str]:
    """The lambda whose body is where the code says that it is."""
    try:
        lines, _ = inspect.findsource(f.__code__)
        text = "".join(lines)
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError):
        raise CannotCarry("the source of a lambda was not found, as it stands in no file") from None
    spots = [p for p in f.__code__.co_positions() if p[0] is not None and p[2] is not None and p[3] != 0]
    first = min(((p[0], p[2]) for p in spots), default=None)
    last = max(((p[1], p[3]) for p in spots), default=None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and first and last:
            body = node.body
            if (body.lineno, body.col_offset) == first and (body.end_lineno, body.end_col_offset) == last:
                found = ast.get_source_segment(text, node)
                if found:
                    return node, found
    raise CannotCarry("the source of a lambda was not found")
