"""Names and what they stand for where a statement is: variables, types, numbers of a template; and types read from syntax."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from derivcheck.kernels.cuda.source.syntax import Function, Sources, text
from derivcheck.kernels.cuda.source.types import (
    DOUBLE,
    FLOAT,
    INT,
    Array,
    Auto,
    Matrix,
    Pointer,
    Quaternion,
    Scalar,
    Struct,
    Type,
    Vector,
    Void,
    known_type,
)
from derivcheck.kernels.cuda.values.values import CRef, Refused, Value

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass
class CScope:
    """The names of a block, and those around it."""

    function: Function
    call: int
    around: CScope | None = None
    variables: dict[str, CRef] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    numbers: dict[str, Value] = field(default_factory=dict)
    this: CRef | None = None
    result: Type = Void()
    refers: bool = False  # a call of the function: it returns a reference

    def inner(self) -> CScope:
        """A block inside."""
        return CScope(self.function, self.call, self, this=self.this, result=self.result, refers=self.refers)

    def variable(self, name: str) -> CRef | None:
        """The variable of a name."""
        scope: CScope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.around
        return None

    def number(self, name: str) -> Value | None:
        """The number that a template was given."""
        scope: CScope | None = self
        while scope is not None:
            if name in scope.numbers:
                return scope.numbers[name]
            scope = scope.around
        return None

    def type(self, name: str) -> Type | None:
        """The type that a template was given, or that the block names."""
        scope: CScope | None = self
        while scope is not None:
            if name in scope.types:
                return scope.types[name]
            scope = scope.around
        return None


Counted = Callable[["Node", CScope], int]


class Types:
    """Types as the source writes them; ``counted`` gives the whole number that an expression is worth."""

    def __init__(self, sources: Sources, counted: Counted) -> None:
        self.sources, self.counted = sources, counted

    def read(self, node: Node, scope: CScope) -> Type:
        """The type that a node names."""
        kind = node.type
        if kind == "type_descriptor":
            inner = node.child_by_field_name("type")
            outer = node.child_by_field_name("declarator")
            if inner is None:
                raise Refused(f"type {text(node)}", "it is not read")
            return self.declared(self.read(inner, scope), outer, scope)
        if kind in ("placeholder_type_specifier", "auto", "decltype"):
            return Auto()
        if kind in ("primitive_type", "sized_type_specifier"):
            return self._named(" ".join(text(node).split()), scope)
        if kind == "template_type":
            return self._template(node, scope)
        if kind == "qualified_identifier":
            inner = node.child_by_field_name("name")
            if inner is not None and inner.type == "qualified_identifier":
                return self.read(inner, scope)
            if inner is not None and inner.type in ("template_type", "template_function"):
                return self._template(inner, scope)
            return self._named(text(node), scope)
        if kind in ("type_identifier", "identifier", "struct_specifier", "dependent_type"):
            inner = node.child_by_field_name("name")
            return self._named(text(inner or node).removeprefix("typename "), scope)
        raise Refused(f"type {text(node)}", "it is not read")

    def find(self, name: str, scope: CScope) -> Type | None:
        """The type of a name, None where it names none."""
        try:
            return self._named(name, scope)
        except Refused:
            return None

    def _named(self, name: str, scope: CScope) -> Type:
        """The type of a name: of the template, a struct, an alias or an enumeration of the files, or one that is built in."""
        if name == "void":
            return Void()
        given = scope.type(name)
        if given is not None:
            return given
        last = name.rpartition("::")[2]
        if last in self.sources.twice:
            raise Refused(f"type {name}", "it is defined twice, and differently")
        if last in self.sources.structs:
            return self.struct(last, scope)
        if last in self.sources.aliases and (name == last or known_type(name) is None):
            return self.read(self.sources.aliases[last], scope)
        if last in self.sources.enumerations:
            return INT
        found = known_type(" ".join(name.split()))
        if found is None:
            raise Refused(f"type {name}", "it is not known", "Give the file that defines it with include=.")
        return found

    def struct(self, name: str, scope: CScope) -> Struct:
        """A struct of the source."""
        body, _ = self.sources.structs[name]
        fields: list[tuple[str, Type]] = []
        own: set[str] = set()
        for member in body.named_children:
            kind = member.child_by_field_name("type")
            if member.type != "field_declaration" or kind is None:
                continue
            declared, valued = (
                member.children_by_field_name("declarator"),
                member.child_by_field_name("default_value") is not None,
            )
            if valued and len(declared) > 1:
                raise Refused(f"struct {name}", "several fields in one line, one with a value", "Give each a line.")
            for d in declared:
                if d.type != "function_declarator":
                    fields.append((declared_name(d), self.declared(self.read(kind, scope), d, scope)))
                    own |= {declared_name(d)} if valued else set()
        constructors = self.sources.functions.get(f"{name}::{name}", [])
        if any(name in text(p.child_by_field_name("type")) for f in constructors for p in f.parameters):
            raise Refused(f"the constructor of {name}", "it copies in its own way, and is not read")
        return Struct(name, tuple(fields), frozenset(own), bool(constructors))

    def _template(self, node: Node, scope: CScope) -> Type:
        """A type with arguments: the vectors, matrices and quaternions of GLM, and arrays."""
        name = text(node.child_by_field_name("name"))
        found = node.child_by_field_name("arguments")
        arguments = [_plain(a) for a in found.named_children] if found is not None else []
        if name == "vec" and len(arguments) >= 2:
            of = self.read(arguments[1], scope)
            return Vector(self.counted(arguments[0], scope), of if isinstance(of, Scalar) else FLOAT)
        if name in ("mat", "matrix") and len(arguments) >= 3:
            return Matrix(self.counted(arguments[0], scope), self.counted(arguments[1], scope))
        if name == "qua" and arguments:
            return Quaternion(DOUBLE if self.read(arguments[0], scope) == DOUBLE else FLOAT)
        if name == "array" and len(arguments) == 2:
            return Array(self.read(arguments[0], scope), self.counted(arguments[1], scope))
        if name == "tvec3":
            return Vector(3)
        raise Refused(f"type {text(node)}", "it is not read")

    def declared(self, kind: Type, declarator: Node | None, scope: CScope, const: bool = False) -> Type:
        """The type of a declarator around a type: pointers and arrays; a reference is of the type that it refers to."""
        while declarator is not None:
            which = declarator.type
            if which in ("pointer_declarator", "abstract_pointer_declarator"):
                kind = Pointer(kind, const)
            elif which in ("array_declarator", "abstract_array_declarator"):
                kind = self._array(kind, declarator, scope)
                while declarator is not None and declarator.type == which:
                    declarator = declarator.child_by_field_name("declarator")
                continue
            inner = declarator.child_by_field_name("declarator")
            if inner is None and which in ("reference_declarator", "parenthesized_declarator"):
                inner = next((c for c in declarator.named_children if "declarator" in c.type), None)
            declarator = inner
        return kind

    def _array(self, kind: Type, declarator: Node, scope: CScope) -> Type:
        """``float a[2][3]`` is an array of two arrays of three: the outermost bracket stands innermost in the tree."""
        which, sizes = declarator.type, []
        at: Node | None = declarator
        while at is not None and at.type == which:
            size = at.child_by_field_name("size")
            sizes.append(None if size is None else self.counted(size, scope))
            at = at.child_by_field_name("declarator")
        for n in sizes:
            kind = Array(kind, n)
        return kind


def _plain(argument: Node) -> Node:
    """A template's argument; the name of a number is parsed as a type."""
    inner = argument.named_children
    return (
        inner[0] if argument.type == "type_descriptor" and len(inner) == 1 and inner[0].type == "type_identifier" else argument
    )


def declared_name(declarator: Node | None) -> str:
    """The name that a declarator declares, empty where it has none."""
    while declarator is not None:
        if declarator.type in ("identifier", "field_identifier", "type_identifier"):
            return text(declarator)
        inner = declarator.child_by_field_name("declarator")
        if inner is None:
            inner = next((c for c in declarator.named_children if "declarator" in c.type or "identifier" in c.type), None)
        declarator = inner
    return ""


def is_reference(declarator: Node | None) -> bool:
    """Whether a declarator declares a reference."""
    while declarator is not None:
        if declarator.type in ("reference_declarator", "abstract_reference_declarator"):
            return True
        inner = declarator.child_by_field_name("declarator")
        if inner is None:
            inner = next((c for c in declarator.named_children if "declarator" in c.type), None)
        declarator = inner
    return False


def is_const(declaration: Node) -> bool:
    """Whether ``const`` stands before the type."""
    return any(c.type == "type_qualifier" and text(c) in ("const", "constexpr") for c in declaration.children)


def words_of(declaration: Node) -> frozenset[str]:
    """The bare words of a declaration: ``__shared__``, ``extern`` …."""
    kind = declaration.child_by_field_name("type")
    end = kind.start_byte if kind is not None else declaration.end_byte
    return frozenset(text(c) for c in declaration.children if c.end_byte <= end)


__all__ = ["CScope", "Types", "declared_name", "is_const", "is_reference", "words_of"]
