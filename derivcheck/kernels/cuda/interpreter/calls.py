"""Calls of the source's own functions and operators: which one is meant, and what its parameters are bound to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from derivcheck.kernels.cuda.interpreter.cooperative import Cooperative
from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name, is_const, is_reference
from derivcheck.kernels.cuda.source import syntax
from derivcheck.kernels.cuda.source.syntax import Function, text
from derivcheck.kernels.cuda.source.types import (
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
)
from derivcheck.kernels.cuda.values.memory import type_of
from derivcheck.kernels.cuda.values.overloads import fit, fits
from derivcheck.kernels.cuda.values.values import (
    Aggregate,
    CNumber,
    CRef,
    Null,
    Referred,
    Refused,
    Unset,
    Value,
)

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Argument:
    """What a call gives for a parameter: the value, and the place where it is one."""

    value: Value
    place: CRef | None = None

    @property
    def type(self) -> Type | None:
        """Its type, as overloads are told apart by it."""
        return self.place.type if self.place is not None else type_of(self.value)


class Calls(Cooperative):
    """Reads calls of functions that the source defines."""

    calls = 0

    def parsed(self, source: str) -> Node:
        """The syntax tree of a piece of source."""
        found: Node = syntax._parser().parse(source.encode()).root_node
        return found

    # -- calls of the source's own functions -----------------------------------------------------

    def call(self, f: Function, given: Sequence[Argument], types: dict[str, Any], this: CRef | None = None) -> Value:
        """Call a function: what it returns; what it writes lies in memory."""
        syntax.refuse_errors(f)
        self.calls += 1
        scope = CScope(f, self.calls, this=this)
        if self.calls > 20_000:
            raise Refused(f.name, "its calls do not end")
        self.bind_template(f, given, types, scope)
        mark = self.memory.mark
        self.bind(f, given, scope)
        return self.run(f, scope, mark)

    def run(self, f: Function, scope: CScope, mark: int) -> Value:
        """The body of a function whose parameters are bound."""
        scope.result = self.result_type(f, scope)
        scope.refers = is_reference(f.node.child_by_field_name("declarator"))
        body = f.node.child_by_field_name("body")
        assert body is not None
        exits, goes_on = self.statements(body.named_children, scope.inner())
        value = self.ended(exits, goes_on, body, scope)
        if isinstance(value, Referred) and value.place.cell > mark:
            raise Refused(f"{f.name}()", "it returns a reference to a variable of its own")
        if not isinstance(value, CRef):
            self.memory.forget(mark)
        return value

    def result_type(self, f: Function, scope: CScope) -> Type:
        """The type that a function returns."""
        kind = f.node.child_by_field_name("type")
        if kind is None:
            return Void()
        return self.types.declared(self.types.read(kind, scope), f.node.child_by_field_name("declarator"), scope)

    def bind_template(self, f: Function, given: Sequence[Argument], types: dict[str, Any], scope: CScope) -> None:
        """What the parameters of a function's template are: as the call says, or as its arguments tell, or a default."""
        asked = {text(p.child_by_field_name("type")): a.type for p, a in zip(f.parameters, given)}
        for name, is_type, default in f.template:
            found: Any = types.get(name)
            if found is None and is_type:
                found = asked.get(name)
                if isinstance(found, Pointer):
                    found = found.to
                if found is None or isinstance(found, Auto):
                    found = self.types.read(default, scope) if default is not None else FLOAT
            elif found is None and default is not None:
                found = self.value(default, scope)
            if is_type:
                scope.types[name] = found
            elif found is not None:
                scope.numbers[name] = found if isinstance(found, (CNumber, Aggregate)) else CNumber(found, INT)
            else:
                self._counted_by(f, name, given, scope)

    def _counted_by(self, f: Function, name: str, given: Sequence[Argument], scope: CScope) -> None:
        """A number that the length of an array tells: ``float (&a)[N]``."""
        for p, a in zip(f.parameters, given):
            if isinstance(a.type, Array) and a.type.n is not None and name in text(p):
                scope.numbers[name] = CNumber(a.type.n, INT)
                return
        raise Refused(f"template parameter {name} of {f.name}", "the call does not tell it", f"Give it, as in {name}=3.")

    def bind(self, f: Function, given: Sequence[Argument], scope: CScope) -> None:
        """Bind parameters to arguments."""
        for k, p in enumerate(f.parameters):
            declarator = p.child_by_field_name("declarator")
            written = p.child_by_field_name("type")
            assert written is not None
            kind = self.types.declared(self.types.read(written, scope), declarator, scope, is_const(p))
            name = declared_name(declarator)
            if k < len(given):
                argument = given[k]
            else:
                default = p.child_by_field_name("default_value")
                argument = Argument(self.value(default, scope)) if default is not None else Argument(Unset())
            if isinstance(kind, Auto) and argument.type is not None:
                kind = argument.type
            scope.variables[name] = self._parameter(kind, argument, is_reference(declarator))

    def _parameter(self, kind: Type, argument: Argument, reference: bool) -> CRef:
        """Where the callee finds its parameter: the caller's own place for a reference, else a cell with a copy."""
        place = argument.place
        if reference and place is not None and place.type == kind:
            return place
        if reference and place is not None and isinstance(kind, Array) and isinstance(place.type, Array):
            return place
        if isinstance(kind, Array):  # an array is passed as a pointer to its first element
            kind = Pointer(kind.of)
        if isinstance(kind, Pointer):
            if place is not None and isinstance(place.type, Array):
                return self.memory.new(CRef(place.cell, (*place.path, 0), place.type.of), Pointer(place.type.of))
            value = self.memory.read(place) if place is not None else argument.value
            if not isinstance(value, (CRef, Null)):
                raise Refused("an argument", "a pointer was expected")
            return self.memory.new(value, kind)
        value = self.memory.read(place) if place is not None else argument.value
        return self.memory.new(self.stored(value, kind), kind)

    def argument(self, node: Node, scope: CScope) -> Argument:
        """An argument of a call: a place is not read before the parameter says that it is."""
        if node.type in (
            "identifier",
            "subscript_expression",
            "field_expression",
            "parenthesized_expression",
            "pointer_expression",
            "call_expression",
        ):
            place = self.place(node, scope)
            if place is not None:
                return Argument(Unset(), place)
        return Argument(self.value(node, scope))

    def chosen(self, name: str, given: Sequence[Argument]) -> Function | None:
        """The function that a call means, of those of its name."""
        found = [f for f in self.sources.functions.get(name, []) if fits(f, len(given))]
        if any(f.template for f in found) and any(n.startswith(f"{name}<") for n in self.sources.functions):
            raise Refused(f"{name}()", "it has a specialization, which is not read")
        if len(found) <= 1:
            return found[0] if found else None
        rated = sorted(((self._rating(f, given), k) for k, f in enumerate(found)), reverse=True)
        if rated[0][0] < 0:
            return None
        if rated[0][0] == rated[1][0]:
            raise Refused(f"{name}()", "two functions of this name fit the arguments")
        return found[rated[0][1]]

    def _rating(self, f: Function, given: Sequence[Argument]) -> int:
        """How well arguments fit a function; below 0: they do not."""
        total = 0
        scope = CScope(f, 0)
        for name, is_type, _ in f.template:
            if is_type:
                scope.types[name] = Auto()
            else:
                scope.numbers[name] = CNumber(1, INT)
        for p, a in zip(f.parameters, given):
            try:
                kind = self.types.read(p.child_by_field_name("type"), scope)  # type: ignore[arg-type]
                kind = self.types.declared(kind, p.child_by_field_name("declarator"), scope)
            except Refused:
                return -1
            total += 2 * fit(kind, a.type)
            if fit(kind, a.type) < 0:
                return -1000
        return total - (1 if f.template else 0)  # of two that fit as well C++ takes the plain one

    def own_operator(self, op: str, given: tuple[Value, ...], scope: CScope) -> Value | None:
        """The value of an operator that the source defines."""
        if all(isinstance(v, CNumber) for v in given):
            return None
        arguments = [Argument(Unset(), v) if isinstance(v, CRef) and op.endswith("=") else Argument(v) for v in given]
        if not any(isinstance(a.type, (Vector, Matrix, Quaternion, Struct)) for a in arguments):
            return None
        method = self._own_method(op, given, arguments)
        if method is not None:
            return method
        if f"operator{op}" not in self.sources.functions:
            return None
        f = self.chosen(f"operator{op}", arguments)
        if f is None or any(_fit_of(self, f, k, a) < 2 for k, a in enumerate(arguments)):
            return None
        found = self.call(f, arguments, {})
        return self.memory.read(found.place) if isinstance(found, Referred) else found

    def _own_method(self, op: str, given: tuple[Value, ...], arguments: list[Argument]) -> Value | None:
        """The value of an operator that the struct on the left defines."""
        first = given[0]
        owner = first.type if isinstance(first, (CRef, Aggregate)) else None
        name = f"{owner.name}::operator{op}" if isinstance(owner, Struct) else ""
        f = self.chosen(name, arguments[1:]) if name in self.sources.functions else None
        if f is None:
            return None
        this = first if isinstance(first, CRef) else self.memory.new(first, type_of(first) or Auto())
        found = self.call(f, arguments[1:], {}, this)
        return self.memory.read(found.place) if isinstance(found, Referred) else found


def _fit_of(machine: Calls, f: Function, k: int, a: Argument) -> int:
    """How well an argument fits the k-th parameter."""
    if k >= len(f.parameters):
        return -1
    scope = CScope(f, 0, types={n: Auto() for n, is_type, _ in f.template if is_type})
    p = f.parameters[k]
    kind = machine.types.declared(
        machine.types.read(p.child_by_field_name("type"), scope),  # type: ignore[arg-type]
        p.child_by_field_name("declarator"),
        scope,
    )
    found = fit(kind, a.type)
    return 2 if found == 1 and isinstance(kind, (Scalar, Auto)) else found
