"""Loops over the elements of an array or a list: from the first, or backwards from the last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name, is_reference
from derivcheck.kernels.cuda.interpreter.statements import Exits
from derivcheck.kernels.cuda.interpreter.switches import Switches
from derivcheck.kernels.cuda.source.types import Array, Auto, Pointer
from derivcheck.kernels.cuda.values.values import Braces, CRef, Refused, Value, type_of

if TYPE_CHECKING:
    from tree_sitter import Node

_BACKWARDS = re.compile(r"for\(auto(\w+)=(\w+)\.c?rbegin\(\);\1!=\2\.c?rend\(\);(?:\+\+\1|\1\+\+)\)")


class Each(Switches):
    """Reads loops over elements."""

    def _do_for_range_loop(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        declarator = node.child_by_field_name("declarator")
        refs = self.at(node, scope, lambda: self._elements(node, declarator, scope))
        return self._for_each(node, declared_name(declarator), refs, scope, not is_reference(declarator))

    def _elements(self, node: Node, declarator: Node | None, scope: CScope) -> list[CRef]:
        """The loop's variable in each turn."""
        right, written = node.child_by_field_name("right"), node.child_by_field_name("type")
        assert right is not None and written is not None
        place = self.place(right, scope)
        if place is not None and isinstance(place.type, Array):
            parts = [CRef(place.cell, (*place.path, k), place.type.of) for k in range(place.type.n or 0)]
            return parts
        found = self.value(right, scope)
        if not isinstance(found, Braces) or is_reference(declarator):
            raise Refused("a for over a range", "it goes over what is no array and no list")
        kind = self.types.read(written, scope)
        values: Iterable[Value] = (self.stored(v, kind) for v in found.items)
        return [self.memory.new(v, type_of(v) or Auto()) for v in values]

    def _do_for_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """A loop from ``rbegin`` to ``rend`` of an array: a turn for each element, the last first."""
        body = node.child_by_field_name("body")
        assert body is not None
        head = re.sub(r"\s", "", (node.text or b"")[: body.start_byte - node.start_byte].decode())
        found = _BACKWARDS.fullmatch(head)
        place = scope.variable(found[2]) if found else None
        if found is None or place is None or not isinstance(place.type, Array):
            return super()._do_for_statement(node, scope)
        of, n = place.type.of, place.type.n or 0
        refs = [self.memory.new(CRef(place.cell, (*place.path, k), of), Pointer(of)) for k in reversed(range(n))]
        return self._for_each(node, found[1], refs, scope)

    def _for_each(self, node: Node, name: str, refs: list[CRef], scope: CScope, copied: bool = False) -> tuple[Exits, bool]:
        """The body for each element, or for a copy of it."""
        body, exits, goes_on = node.child_by_field_name("body"), Exits(), True
        assert body is not None
        for ref in refs:
            inner = scope.inner()
            inner.variables[name] = self.memory.new(self.memory.read(ref), ref.type) if copied else ref
            more, goes_on = self.statement(body, inner)
            goes_on = self._continued(more, goes_on, node, inner, exits)
            if not goes_on:
                break
        return self._left(exits, goes_on, node, scope)
