"""Expressions: what each kind of node is worth."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from derivcheck.kernels.cuda.interpreter.names import CNames
from derivcheck.kernels.cuda.interpreter.scopes import CScope
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import BOOL, Array, Auto, Pointer, Quaternion, Struct, Vector
from derivcheck.kernels.cuda.values.aggregates import binary, has_arithmetic
from derivcheck.kernels.cuda.values.arithmetic import convert, minus, negated
from derivcheck.kernels.cuda.values.construct import braced, constructed, element_type
from derivcheck.kernels.cuda.values.memory import moved, part, settled, type_of
from derivcheck.kernels.cuda.values.quaternions import words
from derivcheck.kernels.cuda.values.values import Aggregate, Braces, CNumber, CRef, Null, Referred, Refused, Value, chosen
from derivcheck.kernels.lanes.wholes import WholeNumber

if TYPE_CHECKING:
    from tree_sitter import Node

_SWIZZLE = {**dict(zip("xyzw", range(4))), **dict(zip("rgba", range(4)))}


class Expressions(CNames):
    """Reads expressions; :class:`~derivcheck.kernels.cuda.interpreter.machine.Machine` adds statements and calls."""

    # -- places ------------------------------------------------------------------------

    def place(self, node: Node, scope: CScope) -> CRef | None:
        """The place that an expression names, None where it is a value only."""
        kind = node.type
        if kind == "identifier":
            return self._variable(text(node), scope)
        if kind == "parenthesized_expression":
            return self.place(node.named_children[0], scope)
        if kind == "subscript_expression":
            return self._element(node, scope)
        if kind == "field_expression":
            return self._field(node, scope)
        if kind == "call_expression":
            found = self.called(node, scope)
            if isinstance(found, Referred):
                return found.place
            return self.memory.new(found, type_of(found) or Auto())
        if kind == "pointer_expression" and text(node).startswith("*"):
            argument = node.child_by_field_name("argument")
            assert argument is not None
            return scope.this if argument.type == "this" else self._pointed(self.value(argument, scope))
        return None

    def _variable(self, name: str, scope: CScope) -> CRef | None:
        found = scope.variable(name)
        if found is None and scope.this is not None and isinstance(scope.this.type, Struct):
            k = scope.this.type.index(name)
            return None if k is None else part(scope.this, k, scope.this.type.fields[k][1])
        return found

    def _pointed(self, pointer: Value) -> CRef:
        if isinstance(pointer, Aggregate) and isinstance(pointer.type, Array):
            raise Refused("operator *", "of an array; write a[0]")
        if not isinstance(pointer, CRef):
            raise Refused("operator *", "what it is taken of points to nothing")
        return pointer

    def _index(self, node: Node, scope: CScope) -> Any:
        """A position: a Python int where it is known, else a whole number that depends on sizes and lanes."""
        found = self.number(node, scope)
        if found.type.real:
            raise Refused(f"[{text(node)}]", "a position is a whole number")
        if isinstance(found.value, WholeNumber):
            return found.value
        if not found.known:
            raise Refused(
                f"[{text(node)}]", "the position depends on what is not given", "Give whole numbers a value, as in name=3."
            )
        return int(found.value)

    def where(self, c: CNumber, holds: bool) -> contextlib.AbstractContextManager[None]:
        """What is read under a condition."""
        return contextlib.nullcontext() if self.lanes is None else self.lanes.under(c.value, holds)

    def _element(self, node: Node, scope: CScope) -> CRef | None:
        """The place ``a[k]``, of an array or behind a pointer; None where ``a`` is a value without a place."""
        base = node.child_by_field_name("argument")
        indices = node.child_by_field_name("indices")
        if base is None or indices is None or len(indices.named_children) != 1:
            raise Refused(text(node)[:40], "it is not read")
        at = self.place(base, scope)
        k = self._index(indices.named_children[0], scope)
        if at is None:
            found = self.value(base, scope)
            return moved(found, k, self.memory) if isinstance(found, CRef) else None
        if isinstance(at.type, Pointer):
            return moved(self.memory.read(at), k, self.memory)
        if isinstance(k, WholeNumber):
            raise Refused(f"[{k}]", "an array of its own is read at literal positions only", "Give whole numbers a value.")
        return part(at, k, element_type(at.type, k))

    def _field(self, node: Node, scope: CScope) -> CRef | None:
        """The place ``a.f`` or ``a->f``, of a struct or a vector; None where ``a`` is a value without a place."""
        base, field = node.child_by_field_name("argument"), text(node.child_by_field_name("field"))
        assert base is not None
        arrow = any(c.type == "->" for c in node.children)
        if arrow:
            at: CRef | None = scope.this if base.type == "this" else self._pointed(self.value(base, scope))
        else:
            at = self.place(base, scope)
        if at is None:
            return None
        kind = at.type
        if isinstance(kind, Struct):
            k = kind.index(field)
            if k is None:
                raise Refused(f".{field}", f"{kind.name} has no such field")
            return part(at, k, kind.fields[k][1])
        if isinstance(kind, Vector) and field in _SWIZZLE and _SWIZZLE[field] < kind.n:
            return part(at, _SWIZZLE[field], kind.of)
        if isinstance(kind, Quaternion) and field in ("x", "y", "z", "w"):
            return part(at, _SWIZZLE[field], kind.of)
        raise Refused(f".{field}", "it is not read")

    def called(self, node: Node, scope: CScope) -> Value:
        """What a call gives: a value, or the place that it refers to."""
        raise NotImplementedError

    # -- what is read from places ----------------------------------------------------------

    def _subscript_expression(self, node: Node, scope: CScope) -> Value:
        """The value of ``a[k]``; of a value without a place too, as a call gives one."""
        at = self.place(node, scope)
        if at is not None:
            return self._decayed(at)
        base, indices = node.child_by_field_name("argument"), node.child_by_field_name("indices")
        found = self.value(base, scope)  # type: ignore[arg-type]
        k = self._index(indices.named_children[0], scope)  # type: ignore[union-attr]
        if not isinstance(found, Aggregate) or not 0 <= k < len(found.items):
            raise Refused(text(node)[:40], "there is no such element")
        return settled(found.items[k])

    def _field_expression(self, node: Node, scope: CScope) -> Value:
        """The value of ``a.f``; of a value without a place too, as a call gives one."""
        at = self.place(node, scope)
        if at is not None:
            return self._decayed(at)
        found = self.value(node.child_by_field_name("argument"), scope)  # type: ignore[arg-type]
        field = text(node.child_by_field_name("field"))
        kind = found.type if isinstance(found, Aggregate) else None
        k = kind.index(field) if isinstance(kind, Struct) else _SWIZZLE.get(field)
        if not isinstance(found, Aggregate) or k is None or k >= len(found.items):
            raise Refused(f".{field}", "it is not read")
        return settled(found.items[k])

    def _pointer_expression(self, node: Node, scope: CScope) -> Value:
        """``&a``, ``*p`` and ``*this``; the address of an array is that of its first element."""
        argument = node.child_by_field_name("argument")
        assert argument is not None
        if text(node).startswith("&"):
            at = self.place(argument, scope)
            if at is None:
                raise Refused(text(node)[:40], "it is the address of no variable")
            return CRef(at.cell, (*at.path, 0), at.type.of) if isinstance(at.type, Array) else at
        if argument.type == "this" and scope.this is not None:
            return self.memory.read(scope.this)
        return self._decayed(self._pointed(self.value(argument, scope)))

    # -- operators -------------------------------------------------------------------------

    def _parenthesized_expression(self, node: Node, scope: CScope) -> Value:
        return self.value(node.named_children[0], scope)

    def _condition_clause(self, node: Node, scope: CScope) -> Value:
        return self.value(node.child_by_field_name("value") or node.named_children[-1], scope)

    def _binary_expression(self, node: Node, scope: CScope) -> Value:
        """An operator of two operands; what stands behind ``&&`` and ``||`` may change nothing where it may not run."""
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        op = text(node.child_by_field_name("operator"))
        assert left is not None and right is not None
        if op in ("&&", "||"):
            a = self.condition(left, scope)
            if a.known:
                return a if bool(a.value) == (op == "||") else self.behind(right, scope)
            with self.where(a, op == "&&"):
                b = self.unchanged(lambda: self.behind(right, scope), op)
            return binary(op, a, b)
        x, y = self.unordered([left, right], scope, lambda n: self.value(n, scope))
        if isinstance(x, (CRef, Null)) or isinstance(y, (CRef, Null)):
            return self._of_pointers(op, x, y)
        if op == "+" and any(isinstance(v, Aggregate) and isinstance(v.type, Array) for v in (x, y)):
            return self._of_pointers(op, self.address(left, scope) or x, self.address(right, scope) or y)
        own = self.own_operator(op, (x, y), scope)
        return own if own is not None else binary(op, x, y)

    def behind(self, right: Node, scope: CScope) -> CNumber:
        """The right side of ``&&`` or ``||``, where the left side lets it be asked."""
        return self.condition(right, scope)

    def address(self, node: Node, scope: CScope) -> Value | None:
        """The address of the first element, where an expression names an array."""
        at = self.place(node, scope)
        return CRef(at.cell, (*at.path, 0), at.type.of) if at is not None and isinstance(at.type, Array) else None

    def own_operator(self, op: str, given: tuple[Value, ...], scope: CScope) -> Value | None:
        """The value of an operator that the source defines, None where it defines none for these types."""
        raise NotImplementedError

    def _of_pointers(self, op: str, x: Value, y: Value) -> Value:
        """Pointers compared, asked whether they are null, or moved by a whole number."""
        if op in ("==", "!=") and all(isinstance(v, (CRef, Null)) or _zero(v) for v in (x, y)):
            same = x == y if isinstance(x, CRef) and isinstance(y, CRef) else isinstance(x, CRef) == isinstance(y, CRef)
            return CNumber(same == (op == "=="), BOOL)
        if op in ("&&", "||"):
            return binary(op, *(CNumber(isinstance(v, CRef), BOOL) if isinstance(v, (CRef, Null)) else v for v in (x, y)))
        if op in ("+", "-"):
            pointer, by = (x, y) if isinstance(x, CRef) else (y, x)
            if isinstance(by, CNumber) and (op == "+" or pointer is x):
                return moved(pointer, by.value if op == "+" else -by.value, self.memory)
        raise Refused(f"operator {op} of pointers", "it is not read")

    def _unary_expression(self, node: Node, scope: CScope) -> Value:
        """``!``, ``-`` and ``+``; an operator of the source's own is taken first."""
        op, argument = text(node.child_by_field_name("operator")), node.child_by_field_name("argument")
        assert argument is not None
        if op == "!":
            return negated(self.condition(argument, scope))
        found = self.value(argument, scope)
        if op in ("-", "+"):
            own = self.own_operator(op, (found,), scope)
            if own is not None:
                return own
            if isinstance(found, Aggregate) and not has_arithmetic(found.type):
                raise Refused(f"operator {op} of {words(found.type)}", "the source defines no such operator")
            return minus(found) if op == "-" else found
        raise Refused(f"operator {op}", "it is not read")

    def _conditional_expression(self, node: Node, scope: CScope) -> Value:
        """``c ? a : b``, numbers in the wider type; neither side may change anything where c is data."""
        asked, yes, no = (node.child_by_field_name(n) for n in ("condition", "consequence", "alternative"))
        assert asked is not None and yes is not None and no is not None
        c = self.condition(asked, scope)
        if c.known:
            return self.value(yes if c.value else no, scope)
        with self.where(c, True):
            a = settled(self.unchanged(lambda: self.value(yes, scope), "?:"))
        with self.where(c, False):
            b = settled(self.unchanged(lambda: self.value(no, scope), "?:"))
        if isinstance(a, CNumber) and isinstance(b, CNumber):
            kind = max(a.type, b.type, key=lambda t: t.rank)
            a, b = convert(a, kind), convert(b, kind)
        return chosen(c.value, a, b)

    def _comma_expression(self, node: Node, scope: CScope) -> Value:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        self.value(left, scope)  # type: ignore[arg-type]
        return self.value(right, scope)  # type: ignore[arg-type]

    def _initializer_list(self, node: Node, scope: CScope) -> Value:
        return Braces(tuple(self.value(n, scope) for n in node.named_children if n.type != "comment"))

    def _compound_literal_expression(self, node: Node, scope: CScope) -> Value:
        kind, given = node.child_by_field_name("type"), node.child_by_field_name("value")
        found = self.value(given, scope)  # type: ignore[arg-type]
        assert isinstance(found, Braces)
        return braced(self.types.read(kind, scope), found)  # type: ignore[arg-type]

    def _cast_expression(self, node: Node, scope: CScope) -> Value:
        kind, given = node.child_by_field_name("type"), node.child_by_field_name("value")
        return constructed(self.types.read(kind, scope), [self.value(given, scope)])  # type: ignore[arg-type]


def _zero(v: Value) -> bool:
    return isinstance(v, CNumber) and v.known and v.value == 0
