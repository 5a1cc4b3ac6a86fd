"""Names and numbers in expressions: variables, constants, macros; and what the parts of an expression may do to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from derivcheck.kernels.cuda.interpreter.scopes import CScope, Types
from derivcheck.kernels.cuda.source.named import named_construct
from derivcheck.kernels.cuda.source.syntax import Sources, text
from derivcheck.kernels.cuda.source.types import BOOL, INT, Array, Struct, Type
from derivcheck.kernels.cuda.values import mathematics
from derivcheck.kernels.cuda.values.aggregates import binary
from derivcheck.kernels.cuda.values.arithmetic import truth
from derivcheck.kernels.cuda.values.literals import literal
from derivcheck.kernels.cuda.values.memory import Memory, part
from derivcheck.kernels.cuda.values.values import Braces, CNumber, CRef, Null, Refused, Value
from derivcheck.kernels.lanes.lanes import Lanes

if TYPE_CHECKING:
    from tree_sitter import Node

R = TypeVar("R")
# what a macro may stand for wherever it stands; where it may stand for any expression
_WHOLE = (
    "number_literal", "identifier", "qualified_identifier", "parenthesized_expression", "call_expression", "true", "false",
    "null", "cast_expression", "unary_expression",
)  # fmt: skip
_AROUND = (
    "parenthesized_expression", "argument_list", "return_statement", "init_declarator", "initializer_list", "array_declarator",
    "subscript_argument_list", "condition_clause", "case_statement", "assignment_expression",
)  # fmt: skip


class CNames:
    """Reads names and numbers; :class:`~derivcheck.kernels.cuda.interpreter.machine.Machine` adds all else."""

    def __init__(self, sources: Sources) -> None:
        self.sources, self.memory = sources, Memory()
        self.lanes: Lanes | None = None  # of a kernel: the axes that are open
        self.groups: dict[str, str] = {}
        self.parameters: frozenset[str] = frozenset()
        self.left: dict[int, set[str]] = {}  # after an if that threads beyond a bound leave by
        self.types = Types(sources, self.counted)
        self.steps = 0

    def counted(self, node: Node, scope: CScope) -> int:
        """The whole number that an expression is worth."""
        found = self.value(node, scope)
        if not isinstance(found, CNumber) or not found.known or found.type.real:
            raise Refused(f"the number {text(node)}", "the source does not tell it", "Give it a value.")
        return int(found.value)

    def value(self, node: Node, scope: CScope) -> Value:
        """What an expression is worth."""
        rule: Callable[[Node, CScope], Value] | None = getattr(self, f"_{node.type}", None)
        if rule is None:
            raise Refused(named_construct(node), "it is not read")
        return rule(node, scope)

    def unchanged(self, run: Callable[[], R], op: str) -> R:
        """``run()``, which is taken under a condition, and may change no variable that was there before."""
        memory = self.memory
        before, memory.lowest = memory.lowest, memory.mark + 1
        first = memory.lowest
        found = run()
        if memory.lowest < first:
            raise Refused(f"operator {op}", "it changes a variable under a condition", "Write it with if.")
        memory.lowest = before
        return found

    def unordered(self, nodes: list[Node], scope: CScope, run: Callable[[Node], R]) -> list[R]:
        """``run`` of expressions that C++ takes in any order: none may change a variable that another one has."""
        before, changed, found = self.memory.written, list[set[int]](), list[R]()
        for n in nodes:
            self.memory.written = set()
            found.append(run(n))
            changed.append(self.memory.written)
        self.memory.written = before
        if any(changed):
            self.memory.written = before.union(*changed)
            for k, n in enumerate(nodes):
                others = set[int]().union(*(c for j, c in enumerate(changed) if j != k))
                for name in _names_in(n) if others else ():
                    ref = scope.variable(name)
                    if ref is not None and ref.cell in others:
                        raise Refused(f"{name!r}", "it is changed and used in one expression, in whichever order")
        return found

    def number(self, node: Node, scope: CScope) -> CNumber:
        """The number that an expression is worth."""
        found = self.value(node, scope)
        if not isinstance(found, CNumber):
            raise Refused(text(node)[:40], "a number was expected")
        return found

    def condition(self, node: Node, scope: CScope) -> CNumber:
        """An expression as a condition."""
        found = self.value(node, scope)
        if isinstance(found, (CRef, Null)):
            return CNumber(isinstance(found, CRef), BOOL)
        return truth(found)

    # -- leaves ------------------------------------------------------------------------

    def _number_literal(self, node: Node, scope: CScope) -> Value:
        return literal(text(node))

    def _true(self, node: Node, scope: CScope) -> Value:
        return CNumber(True, BOOL)

    def _false(self, node: Node, scope: CScope) -> Value:
        return CNumber(False, BOOL)

    def _null(self, node: Node, scope: CScope) -> Value:
        return Null()

    def _type_identifier(self, node: Node, scope: CScope) -> Value:
        return self._identifier(node, scope)

    def _identifier(self, node: Node, scope: CScope) -> Value:
        """What a name means: a variable, a number of the template, something global, or a field of ``this``."""
        name = text(node)
        found = scope.variable(name)
        if found is not None:
            return self._decayed(found)
        known = scope.number(name)
        if known is None:
            known = self._global(name, scope, node)
        if known is None and scope.this is not None and isinstance(scope.this.type, Struct):
            k = scope.this.type.index(name)
            if k is not None:
                return self._decayed(part(scope.this, k, scope.this.type.fields[k][1]))
        if known is None:
            raise Refused(f"{name!r}", "nothing defines it", "Give the file that does with include=.")
        return known

    def _qualified_identifier(self, node: Node, scope: CScope) -> Value:
        name = text(node).replace(" ", "")
        found = self._global(name, scope) or self._global(name.rpartition("::")[2], scope)
        if found is None:
            raise Refused(f"{name!r}", "nothing defines it", "Give the file that does with include=.")
        return found

    def _decayed(self, ref: CRef) -> Value:
        """What a variable is worth: an array stands for itself, and is read where its elements are."""
        return self.memory.raw(ref) if isinstance(ref.type, Array) else self.memory.read(ref)

    def _global(self, name: str, scope: CScope, node: Node | None = None) -> Value | None:
        """A macro, a constant or an enumerator of the files, or one that C++ itself has; None where there is none."""
        sources = self.sources
        if name in sources.twice:
            raise Refused(f"{name!r}", "it is defined twice, and differently")
        if name in sources.macros:
            return self._macro(name, scope, node)
        if name in sources.constants:
            declaration, declarator, _ = sources.constants[name]
            kind = self.types.read(declaration.child_by_field_name("type"), scope)  # type: ignore[arg-type]
            kind = self.types.declared(kind, declarator.child_by_field_name("declarator"), scope)
            given = declarator.child_by_field_name("value")
            found = self.value(given, scope) if given is not None else Braces(())
            return self.stored(found, kind)
        if name in sources.enums:
            node, before = sources.enums[name]
            if node is not None:
                return self.value(node, scope)
            last = self._global(before, scope) if before is not None else CNumber(-1, INT)
            return binary("+", last, CNumber(1, INT)) if last is not None else None
        return mathematics.constant(name)

    def _macro(self, name: str, scope: CScope, at: Node | None) -> Value:
        """A macro that stands for an expression; it is read as one, where what stands around it does not cut it."""
        node, _ = self.sources.macros[name]
        body = text(node.child_by_field_name("value")).strip()
        self.steps += 1
        if self.steps > 1_000_000:
            raise Refused(f"macro {name}", "it does not end")
        tree = self.parsed(f"auto _ = {body};")
        found = tree.named_children[0] if len(tree.named_children) == 1 and not tree.has_error else None
        value = found.child_by_field_name("declarator") if found is not None else None
        inner = value.child_by_field_name("value") if value is not None else None
        if inner is None:
            raise Refused(f"macro {name}", "it stands for more than an expression")
        if (
            inner.type == "comma_expression"
            or inner.type not in _WHOLE
            and (at is None or at.parent is None or at.parent.type not in _AROUND)
        ):
            how = f"its text, {body}, has no parentheses, and stands among operators"
            raise Refused(f"macro {name}", how, "Put it in parentheses.")
        return self.value(inner, scope)

    def parsed(self, source: str) -> Node:
        """The syntax tree of a piece of source."""
        raise NotImplementedError

    def stored(self, found: Value, kind: Type) -> Value:
        """A value as a variable of a type holds it."""
        raise NotImplementedError


def _names_in(node: Node) -> set[str]:
    """The names that stand in an expression."""
    return {text(node)} if node.type == "identifier" else {n for c in node.named_children for n in _names_in(c)}
