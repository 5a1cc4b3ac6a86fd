"""Statements, predicated: both ways of an ``if`` are taken, and what they leave behind is brought together.

A ``return``, ``break`` or ``continue`` under a condition is an exit: the condition, and the memory there.  What follows is
read as if it was not taken; where the exits meet again, the memory is that of the first one whose condition holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from derivcheck.errors import UnsupportedOperation
from derivcheck.kernels.cuda.interpreter.assignments import Assignments
from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name, is_const, is_reference, words_of
from derivcheck.kernels.cuda.source.named import named_construct
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import BOOL, Array, Auto, Matrix, Pointer, Quaternion, Struct, Type, Vector
from derivcheck.kernels.cuda.values.aggregates import binary
from derivcheck.kernels.cuda.values.arithmetic import negated
from derivcheck.kernels.cuda.values.memory import Store, type_of
from derivcheck.kernels.cuda.values.values import (
    Aggregate,
    Braces,
    CNumber,
    Null,
    Referred,
    Refused,
    Unset,
    Value,
    chosen,
    filled,
)
from derivcheck.kernels.lanes.refused import MemoryFault, UnplacedFault
from derivcheck.kernels.lines import SourceLine, at

if TYPE_CHECKING:
    from tree_sitter import Node

R = TypeVar("R")
RESULT = "result"
LONGEST = 4096
_IGNORED = (
    "comment",
    "static_assert_declaration",
    "alias_declaration",
    "using_declaration",
    "preproc_call",
    ";",
    "namespace_alias_definition",
)


@dataclass(frozen=True)
class Exit:
    """A way out of a block that is taken where ``condition`` holds."""

    kind: str
    condition: CNumber
    store: Store
    value: Value = Unset()


Exits = list[Exit]
ALWAYS = CNumber(True, BOOL)


class Statements(Assignments):
    """Reads statements: each gives its exits, and whether what follows is reached."""

    def statements(self, nodes: list[Node], scope: CScope) -> tuple[Exits, bool]:
        """One after the other."""
        exits: Exits = []
        for node in nodes:
            if node.type in _IGNORED:
                continue
            more, goes_on = self.statement(node, scope)
            exits += more
            if not goes_on:
                return exits, False
        return exits, True

    def statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """One statement."""
        rule: Callable[[Node, CScope], tuple[Exits, bool]] | None = getattr(self, f"_do_{node.type}", None)
        if rule is None:
            return self.at(node, scope, lambda: self._refuse(node))
        return rule(node, scope)

    def _refuse(self, node: Node) -> tuple[Exits, bool]:
        advice = "Only loops over constants are read." if "while" in node.type or node.type == "do_statement" else ""
        raise Refused(named_construct(node), "it is not read", advice)

    def at(self, node: Node, scope: CScope, run: Callable[[], R], name: str | None = None) -> R:
        """``run()`` as this statement: refusals get its place."""
        line = SourceLine(scope.function.file, node.start_point[0] + 1, scope.function.name, scope.call, name)
        before, self.memory.line = self.memory.line, line.place
        try:
            found = at(line, run)
            self.met_elsewhere()
            return found
        except Refused as e:
            raise UnsupportedOperation(e.construct, e.reason, line.place, e.instead) from None
        except UnplacedFault as e:
            raise MemoryFault(f"{line.place}: {e}") from None
        except RecursionError:
            raise UnsupportedOperation(scope.function.name, "its calls do not end", line.place) from None
        finally:
            self.memory.line = before

    def _do_compound_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        return self.statements(node.named_children, scope.inner())

    def _do_expression_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        for inner in node.named_children:
            if inner.type != "comment":
                self.at(inner, scope, lambda inner=inner: self.value(inner, scope), _assigned(inner))  # type: ignore[misc]
        return [], True

    def _do_return_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        given = [n for n in node.named_children if n.type != "comment"]
        value: Value = Unset()
        if given:
            value = self.at(node, scope, lambda: self._returned(given[0], scope))
        return [Exit("return", ALWAYS, self.memory.store, value)], False

    def _returned(self, node: Node, scope: CScope) -> Value:
        """What ``return`` gives: a place where the function returns a reference, else a value of its type."""
        found: Value | None = None
        if scope.refers:
            place = self.place(node, scope)
            found = Referred(place) if place is not None else None
        if found is None:
            found = self.stored(self.value(node, scope), scope.result)
        if scope.call == 0:  # the function that is read, and none that it calls
            self.memory.writers.setdefault(RESULT, {})[(), self.memory.line] = None
        return found

    def _do_break_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        return [Exit("break", ALWAYS, self.memory.store)], False

    def _do_continue_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        return [Exit("continue", ALWAYS, self.memory.store)], False

    # -- declarations ----------------------------------------------------------------------

    def _do_declaration(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        if "__shared__" in words_of(node):
            return self.at(node, scope, self._shared)
        if any(text(c) == "static" for c in node.children) and not is_const(node):
            return self.at(node, scope, self._kept)
        for d in node.children_by_field_name("declarator"):
            self.at(d, scope, lambda d=d: self._declare(node, d, scope), self._named(node, d, scope))  # type: ignore[misc]
        return [], True

    def _named(self, node: Node, declarator: Node, scope: CScope) -> str | None:
        """The variable that a declaration names; None for a vector or a matrix, of which no component bears its name."""
        written = node.child_by_field_name("type")
        try:
            kind = self.types.read(written, scope) if written is not None else None
        except Refused:  # said where it is read
            kind = None
        return None if isinstance(kind, (Vector, Matrix, Quaternion)) else declared_name(declarator)

    def _shared(self) -> tuple[Exits, bool]:
        raise Refused("__shared__ memory", "what other threads write is not read", "Read the function that it is used in.")

    def _kept(self) -> tuple[Exits, bool]:
        raise Refused("static", "the variable keeps its value from call to call", "Pass it as a parameter.")

    def _declare(self, node: Node, declarator: Node, scope: CScope) -> None:
        """One variable of a declaration, with its value; a reference shares the place that it refers to."""
        given = declarator.child_by_field_name("value") if declarator.type == "init_declarator" else None
        inner = declarator.child_by_field_name("declarator") if declarator.type == "init_declarator" else declarator
        written = node.child_by_field_name("type")
        assert written is not None and inner is not None
        if inner.type == "function_declarator":  # ``vec4 v(x, y)`` is parsed as one, since x and y could be types
            kind = self.types.read(written, scope)
            made = self.construction(kind, self._arguments(inner), scope)
            scope.variables[declared_name(inner)] = self.memory.new(self.stored(made, kind), kind)
            return
        if inner.type == "structured_binding_declarator":
            self._bind(inner, given, scope)
            return
        kind = self.types.declared(self.types.read(written, scope), inner, scope, is_const(node))
        name = declared_name(inner)
        if is_reference(inner) and given is not None:
            place = self.place(given, scope)
            if place is not None and (isinstance(kind, Auto) or place.type == kind):
                scope.variables[name] = place
                return
            if place is not None and not is_const(node):
                raise Refused(f"the reference {name}", "it refers to a variable of another type")
        scope.variables[name] = self.memory.new(*self._initial(kind, given, scope))

    def _arguments(self, declarator: Node) -> list[Node]:
        """The arguments of a constructor that was parsed as the parameters of a function."""
        tree = self.parsed(f"auto _ = f{text(declarator.child_by_field_name('parameters'))};")
        value = tree.named_children[0].child_by_field_name("declarator")
        called = value.child_by_field_name("value") if value is not None else None
        given = called.child_by_field_name("arguments") if called is not None and not tree.has_error else None
        if given is None:
            raise Refused(f"a declaration of {declared_name(declarator)}", "it declares a function", "Declare it outside.")
        return [n for n in given.named_children if n.type != "comment"]

    def _initial(self, kind: Type, given: Node | None, scope: CScope) -> tuple[Value, Type]:
        """The first value of a variable and its type, which ``auto`` and ``float a[]`` take from the value."""
        if given is None:
            start: Value = Braces(()) if isinstance(kind, Array) and kind.n is None else Unset()
            return (start if isinstance(start, Braces) else self._unset(kind)), kind
        if given.type == "argument_list":
            found = self.construction(kind, [n for n in given.named_children if n.type != "comment"], scope)
        else:
            found = self.value(given, scope)
        if isinstance(kind, Pointer) and isinstance(found, Aggregate):
            found = self.address(given, scope) or found
        found = self.stored(found, kind)
        own = type_of(found)
        if isinstance(found, Null):
            own = Pointer(Auto())
        if isinstance(kind, (Auto, Array)) and own is not None:
            kind = own
        return found, kind

    def _unset(self, kind: Type) -> Value:
        if isinstance(kind, Struct) and kind.name in self.sources.structs:
            return self.defaults(kind)
        return filled(kind, Unset())

    def defaults(self, kind: Struct) -> Value:
        """A struct of which nothing was given: its fields hold what the struct says, if it says anything."""
        raise NotImplementedError

    def construction(self, kind: Type, given: list[Node], scope: CScope) -> Value:
        """The value of a type made of arguments."""
        raise NotImplementedError

    def _bind(self, declarator: Node, given: Node | None, scope: CScope) -> None:
        found = self.value(given, scope) if given is not None else Unset()
        names = [text(n) for n in declarator.named_children]
        if not isinstance(found, Aggregate) or len(found.items) != len(names):
            raise Refused("a structured binding", "the names are not as many as the parts")
        for n, item in zip(names, found.items):
            scope.variables[n] = self.memory.new(item, type_of(item) or Auto())

    # -- if ---------------------------------------------------------------------------------

    def _do_if_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """The branch that is taken, where the condition is known; else both, joined afterwards."""
        scope = scope.inner()
        clause = node.child_by_field_name("condition")
        yes, no = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
        assert clause is not None and yes is not None
        inside = clause.child_by_field_name("value") or clause.named_children[-1]
        c = self.at(clause, scope, lambda: self._asked(node, inside, scope))
        if c.known:
            if c.value:
                return self.statement(yes, scope)
            return self.statement(no, scope) if no is not None else ([], True)
        return self.either(
            c,
            lambda: self.statement(yes, scope),
            lambda: self.statement(no, scope) if no is not None else ([], True),
            clause,
            scope,
        )

    def _asked(self, node: Node, inside: Node, scope: CScope) -> CNumber:
        """The condition of an ``if``."""
        c = self.condition(inside, scope)
        self.guard(node, inside, scope)
        return c

    def guard(self, node: Node, clause: Node, scope: CScope) -> None:
        """What the condition of an ``if`` says of threads."""

    def met_elsewhere(self) -> None:
        """After a statement that is no ``if``."""

    def _do_else_clause(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        return self.statements(node.named_children, scope)

    def either(
        self,
        c: CNumber,
        yes: Callable[[], tuple[Exits, bool]],
        no: Callable[[], tuple[Exits, bool]],
        node: Node,
        scope: CScope,
    ) -> tuple[Exits, bool]:
        """Both ways, brought together."""
        before = self.memory.store
        self.memory.store = dict(before)
        with self.where(c, True):
            exits_yes, on_yes = yes()
        store_yes, self.memory.store = self.memory.store, dict(before)
        with self.where(c, False):
            exits_no, on_no = no()
        store_no = self.memory.store
        exits = [replace(x, condition=both(c, x.condition)) for x in exits_yes]
        exits += [replace(x, condition=both(negated(c), x.condition)) for x in exits_no]
        if on_yes and on_no:
            self.memory.store = self.at(node, scope, lambda: self.memory.joined(c.value, store_yes, store_no))
        else:
            self.memory.store = store_yes if on_yes else store_no
        return exits, on_yes or on_no

    # -- loops ------------------------------------------------------------------------------

    def _do_for_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """The loop turn by turn, each condition known; what left it early (``break``, ``return``) is joined at the end."""
        scope = scope.inner()
        first, asked, step, body = (node.child_by_field_name(n) for n in ("initializer", "condition", "update", "body"))
        assert body is not None
        if first is not None:
            if first.type == "declaration":
                self.statement(first, scope)
            else:
                self.at(first, scope, lambda: self.value(first, scope))
        exits: Exits = []
        goes_on = True
        for turn in range(LONGEST + 1):
            if asked is not None and not self.at(asked, scope, lambda: self._again(asked, scope)):
                break
            if turn == LONGEST:
                self.at(node, scope, lambda: self._endless())
            more, goes_on = self.statement(body, scope)
            goes_on = self._continued(more, goes_on, node, scope, exits)
            if not goes_on:
                break
            if step is not None:
                self.at(step, scope, lambda: self.value(step, scope))
        return self._left(exits, goes_on, node, scope)

    def _endless(self) -> None:
        raise Refused("for", f"it takes more than {LONGEST} turns")

    def _again(self, asked: Node, scope: CScope) -> bool:
        c = self.condition(asked, scope)
        if not c.known:
            raise Refused(
                "for", f"how long it goes on depends on data: {text(asked)}", "Give whole numbers a value, as in n=3."
            )
        return bool(c.value)

    def _continued(self, more: Exits, goes_on: bool, node: Node, scope: CScope, exits: Exits) -> bool:
        """``continue`` meets the end of the body; the other exits are kept."""
        skipped = ALWAYS
        rest = [x for x in more if x.kind == "continue"]
        for x in more:
            if x.kind == "continue":
                skipped = both(skipped, negated(x.condition))
            else:
                exits.append(replace(x, condition=both(skipped, x.condition)))
        return self._met(rest, goes_on, node, scope)

    def _left(self, exits: Exits, goes_on: bool, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """``break`` meets the end of the loop; a ``return`` after it is taken only where it was not."""
        found: Exits = []
        inside = ALWAYS
        for x in exits:
            if x.kind == "break":
                inside = both(inside, negated(x.condition))
            else:
                found.append(replace(x, condition=both(inside, x.condition)))
        return found, self._met([x for x in exits if x.kind == "break"], goes_on, node, scope)

    def _met(self, exits: Exits, goes_on: bool, node: Node, scope: CScope) -> bool:
        """The memory where exits and the end of a block meet."""
        if not exits:
            return goes_on
        if not goes_on:
            *exits, last = exits
            self.memory.store = last.store
        for x in reversed(exits):
            now = self.memory.store
            if x.condition.known:
                self.memory.store = x.store if x.condition.value else now
            else:
                self.memory.store = self.at(
                    node,
                    scope,
                    lambda x=x, now=now: self.memory.joined(x.condition.value, x.store, now),  # type: ignore[misc]
                )
        return True

    def ended(self, exits: Exits, goes_on: bool, body: Node, scope: CScope) -> Value:
        """The end of a function: what it returns, with the memory as it is then."""
        returns = [x for x in exits if x.kind == "return"]
        if goes_on:
            returns.append(Exit("return", ALWAYS, self.memory.store))
        *rest, last = returns
        self.memory.store, value = last.store, last.value
        for x in reversed(rest):
            if x.condition.known:
                if x.condition.value:
                    self.memory.store, value = x.store, x.value
                continue

            def meet(x: Exit = x, now: Store = self.memory.store, value: Value = value) -> tuple[Store, Value]:
                asked = x.condition.value
                return self.memory.joined(asked, x.store, now), chosen(asked, x.value, value)

            self.memory.store, value = self.at(body, scope, meet)
        return value


def both(a: CNumber, b: CNumber) -> CNumber:
    """``a && b``."""
    found = binary("&&", a, b)
    assert isinstance(found, CNumber)
    return found


def _assigned(node: Node) -> str | None:
    """The variable that an expression assigns."""
    if node.type != "assignment_expression":
        return None
    left = node.child_by_field_name("left")
    while left is not None and left.type in ("subscript_expression", "field_expression"):
        left = left.child_by_field_name("argument")
    return text(left) if left is not None and left.type == "identifier" else None
