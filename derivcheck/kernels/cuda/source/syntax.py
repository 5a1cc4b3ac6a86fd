"""A file of CUDA C++ as a syntax tree, and what it defines: functions, structs, names for types, constants, macros.

Parsed by tree-sitter: no headers, no compiler, no toolkit.  A ``#include "…"`` that is found beside the file (or where
``include`` says) is read with it; others are left out.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.kernels.cuda.source.conditionals import KINDS, taken

if TYPE_CHECKING:
    from tree_sitter import Node

INSTALL = "reading CUDA needs tree-sitter and tree-sitter-cuda: pip install 'derivcheck-torch[cuda]'"


@dataclass(frozen=True)
class Function:
    """A function that a file defines.

    Attributes:
        name, node: its name and its definition.
        file: where it stands.
        template: the parameters of its template, in order: name, whether it is a type, default.
        owner: the struct whose method it is.
    """

    name: str
    node: Node
    file: str
    template: tuple[tuple[str, bool, Node | None], ...] = ()
    owner: str | None = None

    @property
    def declarator(self) -> Node:
        """The name with its parameters."""
        return _function_declarator(self.node)

    @property
    def parameters(self) -> list[Node]:
        """The declarations of its parameters."""
        found = self.declarator.child_by_field_name("parameters")
        kinds = ("parameter_declaration", "optional_parameter_declaration")
        return [n for n in found.named_children if n.type in kinds] if found is not None else []

    @property
    def line(self) -> int:
        """The line that it begins at, from 1."""
        return int(self.node.start_point[0]) + 1

    @property
    def words(self) -> frozenset[str]:
        """The bare words before its name: ``__global__``, ``static`` …."""
        body = self.node.child_by_field_name("body")
        end = self.declarator.start_byte if body is not None else self.node.end_byte
        return frozenset(c.type for c in self.node.children if c.end_byte <= end)

    @property
    def kernel(self) -> bool:
        """Whether it is a ``__global__`` function."""
        return "__global__" in self.words


@dataclass
class Sources:
    """What one file and the files that it includes define, by name."""

    file: str
    functions: dict[str, list[Function]] = field(default_factory=dict)
    structs: dict[str, tuple[Node, str]] = field(default_factory=dict)
    aliases: dict[str, Node] = field(default_factory=dict)
    constants: dict[str, tuple[Node, Node, str]] = field(default_factory=dict)
    enums: dict[str, tuple[Node | None, str | None]] = field(default_factory=dict)
    macros: dict[str, tuple[Node, str]] = field(default_factory=dict)
    patterns: set[str] = field(default_factory=set)  # macros with parameters, which are not read
    enumerations: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def function(self, name: str) -> Function:
        """The one function of a name.

        Raises:
            InputError: there is none (the nearest is offered), or there are two.
        """
        found = self.functions.get(name, [])
        if len(found) == 1:
            return found[0]
        if found:
            lines = ", ".join(str(f.line) for f in found)
            raise InputError(f"{self.file} defines {name!r} {len(found)} times, at lines {lines}: say which with line=")
        near = difflib.get_close_matches(name, self.functions, 1)
        wrong = f"; {self.errors[0]}" if self.errors else ""
        have = ", ".join(sorted(self.functions)[:12])
        hint = f"did you mean {near[0]!r}?" if near else f"it has {have}" if have else "it defines no function"
        raise InputError(f"{self.file} has no function {name!r}; {hint}{wrong}")


def text(node: Node | None) -> str:
    """The source of a node."""
    return "" if node is None or node.text is None else node.text.decode()


def place(file: str, node: Node) -> str:
    """``file.cu:line`` of a node."""
    return f"{os.path.basename(file)}:{node.start_point[0] + 1}"


@lru_cache(maxsize=1)
def _parser() -> Any:
    try:
        import tree_sitter  # an extra: most users read no CUDA
        import tree_sitter_cuda  # the same
    except ImportError:
        raise InputError(INSTALL) from None
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_cuda.language()))


def is_text(source: str) -> bool:
    """Whether this is CUDA source rather than the path of a file."""
    return "{" in source or "\n" in source


def read_sources(source: str | Path, include: Iterable[str | Path] = ()) -> Sources:
    """Everything that a file (or text) and what it includes define.

    Raises:
        InputError: no such file, one that is no text, or tree-sitter is not installed.
    """
    parser, written = _parser(), isinstance(source, str) and is_text(source)
    path = Path("<cuda>" if written else source)
    found, seen = Sources(str(path)), set[Path]()
    folders = [Path(p) for p in include]

    def read(path: Path, folders: list[Path]) -> None:
        """Collect a file, those that it includes before it."""
        if path.resolve() in seen:
            return
        seen.add(path.resolve())
        root = parser.parse(_plain(_bytes(path))).root_node
        for name in _included(root):
            near = (d / name for d in (path.parent, *folders, path.parent.parent / "include"))
            other = next((p for p in near if p.is_file()), None)
            if other is None:
                found.missing.append(name)
            else:
                read(other, folders)
        _collect(root, found, str(path))

    for more in folders:
        if more.is_file():
            read(more, [])
    if written:
        _collect(parser.parse(_plain(str(source).encode())).root_node, found, str(path))
    else:
        read(path, [d for d in folders if d.is_dir()])
    return found


def _plain(source: bytes) -> bytes:
    """The source with what only compilers mind left blank: ``__attribute__((…))``."""
    return re.sub(rb"__attribute__\s*\(\((?:[^()\n]|\([^()\n]*\))*\)\)", lambda m: b" " * len(m[0]), source)


def _bytes(path: Path) -> bytes:
    """The file's text in UTF-8; anything else is refused."""
    if not path.is_file():
        raise InputError(f"there is no file {path}; expected a file of CUDA source, or the source itself")
    found = path.read_bytes()
    try:
        found.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; expected CUDA source") from None
    return found


def _included(root: Node) -> Iterator[str]:
    for node in root.named_children:
        if node.type == "preproc_include":
            path = node.child_by_field_name("path")
            if path is not None and path.type == "string_literal":
                yield text(path).strip('"')
        elif node.type in _OPEN:
            yield from _included(node)


_OPEN = (
    "namespace_definition", "declaration_list", "linkage_specification", "preproc_ifdef", "preproc_if", "preproc_else",
    "preproc_elif",
)  # fmt: skip


def _collect(root: Node, found: Sources, file: str, template: Node | None = None, owner: str | None = None) -> None:
    for node in root.named_children:
        _take(node, found, file, template, owner)


def _take(node: Node, found: Sources, file: str, template: Node | None, owner: str | None) -> None:
    """Put one declaration into its table; what is defined twice and differently is noted, and refused where it is used."""
    kind = node.type
    branch = taken(node, found.macros.keys() | found.patterns) if kind in KINDS else None
    if branch is not None:
        for inner in branch:
            _take(inner, found, file, template, owner)
    elif kind in _OPEN:
        _collect(node, found, file, None, owner)
    elif kind == "template_declaration":
        parameters = node.child_by_field_name("parameters")
        for inner in node.named_children:
            if inner != parameters:
                _take(inner, found, file, parameters, owner)
    elif kind == "function_definition" and node.child_by_field_name("body") is not None:
        _function(node, found, file, template, owner)
    elif kind in ("struct_specifier", "class_specifier"):
        _struct(node, found, file)
    elif kind in ("alias_declaration", "type_definition"):
        name = node.child_by_field_name("name" if kind == "alias_declaration" else "declarator")
        named = node.child_by_field_name("type")
        if named is not None and named.type in ("struct_specifier", "class_specifier"):
            _struct(named, found, file, text(name))
        elif named is not None and template is None:
            if text(name) in found.aliases and text(found.aliases[text(name)]) != text(named):
                found.twice.add(text(name))
            found.aliases[text(name)] = named
    elif kind == "enum_specifier":
        _enum(node, found)
    elif kind == "declaration":
        _declaration(node, found, file)
    elif kind == "preproc_def":
        macro = text(node.child_by_field_name("name"))
        if macro in found.macros and text(found.macros[macro][0]).split() != text(node).split():
            found.twice.add(macro)
        found.macros[macro] = (node, file)
    elif kind == "preproc_call" and text(node.child_by_field_name("directive")) == "#undef":
        found.twice.add(text(node.child_by_field_name("argument")).strip())
    elif kind == "preproc_function_def":
        found.patterns.add(text(node.child_by_field_name("name")))
    elif kind == "ERROR":
        found.errors.append(f"{place(file, node)} is not read as C++")


def _function_declarator(node: Node) -> Node:
    found = node.child_by_field_name("declarator")
    while found is not None and found.type != "function_declarator":
        found = found.child_by_field_name("declarator") or next(iter(found.named_children[::-1]), None)
    if found is None:
        raise InputError("a function without parameters in parentheses")
    return found


def _function(node: Node, found: Sources, file: str, template: Node | None, owner: str | None) -> None:
    """Put a function under its name; overloads stand side by side."""
    try:
        declarator = _function_declarator(node)
    except InputError:
        return
    name = text(declarator.child_by_field_name("declarator"))
    parameters = tuple(_template(template)) if template is not None else ()
    f = Function(name.replace(" ", ""), node, file, parameters, owner)
    found.functions.setdefault(f.name if owner is None else f"{owner}::{f.name}", []).append(f)


def _template(node: Node) -> Iterator[tuple[str, bool, Node | None]]:
    for p in node.named_children:
        if p.type in ("type_parameter_declaration", "optional_type_parameter_declaration"):
            name = next((text(c) for c in p.named_children if c.type == "type_identifier"), "")
            yield name, True, p.child_by_field_name("default_type")
        elif p.type in ("parameter_declaration", "optional_parameter_declaration"):
            yield text(p.child_by_field_name("declarator")), False, p.child_by_field_name("default_value")


def _struct(node: Node, found: Sources, file: str, name: str = "") -> None:
    """Put a struct under its name, with its methods."""
    body = node.child_by_field_name("body")
    name = name or text(node.child_by_field_name("name"))
    if body is not None:
        if name in found.structs and text(found.structs[name][0]).split() != text(body).split():
            found.twice.add(name)
        found.structs[name] = (body, file)
        for inner in body.named_children:
            if inner.type == "function_definition":
                _take(inner, found, file, None, name)


def _enum(node: Node, found: Sources) -> None:
    """Put the enumerators under their names, each with the one before, from which its value follows."""
    body, last = node.child_by_field_name("body"), None
    if body is not None:
        found.enumerations.add(text(node.child_by_field_name("name")))
    for e in body.named_children if body is not None else ():
        if e.type == "enumerator":
            name = text(e.child_by_field_name("name"))
            found.enums[name] = (e.child_by_field_name("value"), last)
            scope = text(node.child_by_field_name("name"))
            if scope:
                found.enums[f"{scope}::{name}"] = found.enums[name]
            last = name


def _declaration(node: Node, found: Sources, file: str) -> None:
    """Put the constants of a declaration under their names; other variables are not read."""
    kind = node.child_by_field_name("type")
    if kind is not None and kind.type == "enum_specifier":
        _enum(kind, found)
    for d in node.children_by_field_name("declarator"):
        fixed = any(c.type == "type_qualifier" and text(c) in ("const", "constexpr") for c in node.children)
        fixed = fixed or "__constant__" in text(node).split()
        if d.type == "init_declarator" and kind is not None and fixed:
            inner = d.child_by_field_name("declarator")
            while inner is not None and inner.type != "identifier":
                inner = inner.child_by_field_name("declarator")
            name = text(inner)
            if name in found.constants and text(found.constants[name][1]).split() != text(d).split():
                found.twice.add(name)
            found.constants[name] = (node, d, file)


def source_of(f: Function) -> tuple[str, str] | None:
    """The lines that a function stands in, and all of its file as it was read; None where the file is another by now."""
    root = f.node
    while root.parent is not None:
        root = root.parent
    row, column = root.start_point  # the tree begins where the first token does
    whole = b"\n" * row + b" " * column + (root.text or b"")
    path = Path(f.file)
    if path.is_file():
        now = path.read_bytes()
        if _plain(now)[root.start_byte : root.end_byte] != root.text:
            return None
        whole = now
    lines = whole.decode().splitlines(keepends=True)
    return "".join(lines[f.line - 1 : int(f.node.end_point[0]) + 1]), whole.decode()


def reparsed(f: Function, lines: str) -> Function:
    """A function as it reads with other lines in the place of its own.

    Raises:
        SyntaxError: lines that are not read as C++, or as one function of this name.
    """
    root = _parser().parse(_plain(("\n" * (f.line - 1) + lines).encode())).root_node
    found = Sources(f.file)
    _collect(root, found, f.file)
    same = found.functions.get(f.name, [])
    if len(same) != 1 or same[0].node.has_error:
        raise SyntaxError(f"line {f.line} of {f.file} is not read as {f.name}")
    return replace(f, node=same[0].node)


def refuse_errors(f: Function) -> None:
    """Refuse a function whose text is not read as C++.

    Raises:
        InputError: with the line of the first error.
    """
    if f.node.has_error:
        bad = next(_broken(f.node), f.node)
        raise InputError(f"{place(f.file, bad)}: {f.name} is not read as C++ from {text(bad)[:40].strip()!r} on")


def _broken(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    for c in node.children:
        if c.has_error or c.is_missing:
            yield from _broken(c)


def refused(construct: str, reason: str, place: str, instead: str = "") -> UnsupportedOperation:
    """The refusal of a construct, as all refusals are said."""
    return UnsupportedOperation(construct, reason, place, instead)
