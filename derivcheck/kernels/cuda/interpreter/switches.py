"""``switch`` over a number that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from derivcheck.kernels.cuda.interpreter.scopes import CScope
from derivcheck.kernels.cuda.interpreter.statements import Exits, Statements
from derivcheck.kernels.cuda.values.values import Refused

if TYPE_CHECKING:
    from tree_sitter import Node


class Switches(Statements):
    """Reads ``switch``."""

    def _do_switch_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """The statements from the case that is meant on, up to ``break``."""
        clause, body = node.child_by_field_name("condition"), node.child_by_field_name("body")
        assert clause is not None and body is not None
        chosen_case = self.at(clause, scope, lambda: self._case(clause, body, scope))
        exits, goes_on = self.statements(chosen_case, scope.inner())
        return self._left(exits, goes_on, node, scope)

    def _case(self, clause: Node, body: Node, scope: CScope) -> list[Node]:
        """The statements from the case on that a value means."""
        asked = self.number(clause.child_by_field_name("value") or clause.named_children[-1], scope)
        if not asked.known or asked.type.real:
            raise Refused("switch", "what it is taken of is not given", "Give it a value.")
        cases = [n for n in body.named_children if n.type == "case_statement"]
        values = [n.child_by_field_name("value") for n in cases]
        hit = [k for k, v in enumerate(values) if v is not None and self.counted(v, scope) == asked.value]
        hit = hit or [k for k, v in enumerate(values) if v is None]
        if not hit:
            return []
        return [n for k in range(hit[0], len(cases)) for n in cases[k].named_children if n != values[k]]
