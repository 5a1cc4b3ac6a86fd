"""Assignments: what is written, converted to the type of the variable, with the operators that change one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from derivcheck.kernels.cuda.interpreter.expressions import Expressions
from derivcheck.kernels.cuda.interpreter.scopes import CScope
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import INT, Array, Auto, Matrix, Pointer, Quaternion, Scalar, Struct, Type, Vector
from derivcheck.kernels.cuda.values.aggregates import binary
from derivcheck.kernels.cuda.values.arithmetic import converted, minus
from derivcheck.kernels.cuda.values.construct import braced, constructed
from derivcheck.kernels.cuda.values.memory import moved
from derivcheck.kernels.cuda.values.values import Aggregate, Braces, CNumber, CRef, Load, Refused, Unset, Value
from derivcheck.kernels.lanes.flat import FlatMemory

if TYPE_CHECKING:
    from tree_sitter import Node

ADDS = {"+=": "+", "-=": "-"}


class Assignments(Expressions):
    """Reads assignments."""

    def stored(self, found: Value, kind: Type) -> Value:
        """A value as a variable of a type holds it."""
        if isinstance(found, Braces):
            return braced(kind, found)
        if isinstance(found, Load):
            found = found.take()
        if isinstance(kind, Scalar) and not isinstance(found, CNumber):
            raise Refused("an assignment", "a number was expected")
        if isinstance(kind, (Vector, Matrix)) and isinstance(found, CNumber):
            return constructed(kind, [found])
        if isinstance(kind, (Vector, Matrix, Quaternion, Struct)) and isinstance(found, Aggregate) and found.type != kind:
            if not (isinstance(kind, Vector) and isinstance(found.type, Vector) and found.type.n == kind.n):
                raise Refused("an assignment", "the types of its sides differ")
        return found if isinstance(kind, Auto) else converted(found, kind)

    def _assignment_expression(self, node: Node, scope: CScope) -> Value:
        """``=``, ``+=`` and their kin; the value is what stands there afterwards."""
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        op = text(node.child_by_field_name("operator")) or "="
        assert left is not None and right is not None
        at: CRef | None = None

        def run(n: Node) -> Any:
            return self.place(n, scope) if n is left else self.value(n, scope)

        if op == "=" and left.type == "identifier":
            given: Any = self.value(right, scope)
            at = self.place(left, scope)
        else:  # C++ 17 takes the right side first, compilers do not always
            at, given = self.unordered([left, right], scope, run)
        if at is None:
            raise Refused(text(left)[:40], "it is assigned to, and is no variable")
        if op == "=" and isinstance(at.type, Struct) and f"{at.type.name}::operator=" in self.sources.functions:
            raise Refused(f"operator = of {at.type.name}", "it is defined by the struct, and not read")
        if op != "=":
            if op in ADDS and self._added(at, op, given):
                return Unset()
            given = self._changed(at, op, given, scope)
        if isinstance(given, Aggregate) and isinstance(given.type, Array) and isinstance(at.type, Pointer):
            given = self.address(right, scope) or given
        new = self.stored(given, at.type)
        self.memory.write(at, new)
        return new

    def _added(self, at: CRef, op: str, given: Value) -> bool:
        """Something added to memory behind a pointer."""
        if not isinstance(self.memory.store[at.cell], FlatMemory) or isinstance(at.type, Pointer):
            return False
        return self.memory.add(at, self.stored(minus(given) if op == "-=" else given, at.type))

    def _changed(self, at: CRef, op: str, given: Value, scope: CScope) -> Value:
        """What ``at op= given`` puts there; a pointer is moved, and an operator of the source's own is run."""
        plain = op.removesuffix("=")
        if isinstance(at.type, Pointer):
            return self._of_pointers(plain, self.memory.read(at), given)
        own = self.own_operator(op, (at, given), scope)
        if own is not None:
            return self.memory.read(at)
        old = self.memory.old(at) if op in ADDS else self.memory.read(at)
        own = self.own_operator(plain, (old, given), scope)
        return own if own is not None else binary(plain, old, given)

    def _update_expression(self, node: Node, scope: CScope) -> Value:
        """``++`` and ``--``: the new value in front of the operand, the old one behind it."""
        argument, op = node.child_by_field_name("argument"), text(node.child_by_field_name("operator"))
        at = self.place(argument, scope)  # type: ignore[arg-type]
        if at is None:
            raise Refused(text(node), "it changes no variable")
        before = self.memory.read(at)
        one = CNumber(1, INT)
        if isinstance(at.type, Pointer):
            after: Value = moved(before, 1 if op == "++" else -1, self.memory)
        else:
            after = self.stored(binary(op[0], before, one), at.type)
        self.memory.write(at, after)
        return after if text(node).startswith(op) else before
