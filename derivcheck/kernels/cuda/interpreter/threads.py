"""What a thread knows of itself, and the guards that bound its index."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from derivcheck.kernels.cuda.interpreter.each import Each
from derivcheck.kernels.cuda.interpreter.scopes import CScope
from derivcheck.kernels.cuda.interpreter.statements import Exits
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import UINT
from derivcheck.kernels.cuda.values.values import CNumber, CRef, Load, Refused, Value
from derivcheck.kernels.lanes.lanes import PARTS
from derivcheck.kernels.lanes.wholes import whole
from derivcheck.notation.integers.polynomials import Poly

if TYPE_CHECKING:
    from tree_sitter import Node

_OWN = ("threadIdx", "blockIdx", "blockDim", "gridDim")
_GROUPS = {"this_grid": "grid", "this_thread_block": "block"}


class Threads(Each):
    """Reads the indices of threads, atomics, and statements under guards."""

    def whole(self, p: Poly) -> CNumber:
        """A whole number of a thread."""
        assert self.lanes is not None
        return CNumber(whole(self.lanes.fused(p), self.lanes), UINT)

    def _field_expression(self, node: Node, scope: CScope) -> Value:
        base, field = text(node.child_by_field_name("argument")), text(node.child_by_field_name("field"))
        if base in _OWN and self.lanes is not None and scope.variable(base) is None and field in ("x", "y", "z"):
            name = f"{base}.{field}"
            return self.whole(self.lanes.own(name) if name in PARTS else self.lanes.count(name))
        return super()._field_expression(node, scope)

    def thread_call(self, function: Node, scope: CScope) -> Value | None:
        """``cg::this_grid().thread_rank()`` and its like; None for another call."""
        if self.lanes is None or function.type != "field_expression":
            return None
        base, name = function.child_by_field_name("argument"), text(function.child_by_field_name("field"))
        if name == "sync" and self.group_of(base, scope) in ("block", "warp"):
            return self.barrier("__syncthreads" if self.group_of(base, scope) == "block" else "__syncwarp")
        return self.group_number(self.group_of(base, scope), name)

    def group_number(self, group: str | None, name: str) -> CNumber | None:
        """What a group says of a thread: its rank, the group's size …."""
        return None

    def barrier(self, name: str) -> Value:
        """``__syncthreads()``: everything that was written can be read."""
        raise NotImplementedError

    def group_of(self, node: Node | None, scope: CScope) -> str | None:
        """Which group of threads an expression is."""
        found = re.fullmatch(r"(?:cg|cooperative_groups)::(\w+)\(\)", text(node).replace(" ", ""))
        if found:
            return _GROUPS.get(found[1])
        return self.groups.get(text(node)) if node is not None and node.type == "identifier" else None

    # -- atomics -----------------------------------------------------------------------------

    def atomic(self, given: list[Node], scope: CScope) -> Value:
        """``atomicAdd(&x[i], v)``: a sum over the threads."""
        at = self.value(given[0], scope)
        if not isinstance(at, CRef):
            raise Refused("atomicAdd()", "its first argument is no pointer")
        value = self.stored(self.value(given[1], scope), at.type)
        if not self.memory.add(at, value, atomic=True):
            raise Refused("atomicAdd()", "it adds to a variable of the thread's own")
        return Load(_in_any_order)

    def behind(self, right: Node, scope: CScope) -> CNumber:
        """What is asked behind a bound of the thread's index holds within it."""
        if self.lanes is None:
            return super().behind(right, scope)
        active = set(self.lanes.active)
        self.lanes.active |= {g.thread for g in self.lanes.met}
        found = super().behind(right, scope)
        self.lanes.active = active
        return found

    def _unary_expression(self, node: Node, scope: CScope) -> Value:
        return self._unmet(lambda: super(Threads, self)._unary_expression(node, scope))

    def _conditional_expression(self, node: Node, scope: CScope) -> Value:
        return self._unmet(lambda: super(Threads, self)._conditional_expression(node, scope))

    def _unmet(self, run: Callable[[], Value]) -> Value:
        """``run()``, in which no bound of the thread's index may stand."""
        met = len(self.lanes.met) if self.lanes is not None else 0
        found = run()
        if self.lanes is not None and len(self.lanes.met) > met:
            raise Refused("a bound of the thread's index", "it stands in an expression", "Write it in an if of its own.")
        return found

    # -- guards ------------------------------------------------------------------------------

    def statements(self, nodes: list[Node], scope: CScope) -> tuple[Exits, bool]:
        """One after the other; what follows a ``return`` under a condition runs where that does not hold."""
        if self.lanes is None:
            return super().statements(nodes, scope)
        active, exits = set(self.lanes.active), Exits()
        with contextlib.ExitStack() as stack:
            for node in nodes:
                more, goes_on = super().statements([node], scope)
                exits += more
                if not goes_on:
                    break
                for x in more:
                    stack.enter_context(self.where(x.condition, False))
        self.lanes.active = active
        return exits, goes_on if nodes else True

    def _do_if_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """After it a thread's index is bounded where it was before, or where the threads beyond the bound left by it."""
        lanes = self.lanes
        if lanes is None:
            return super()._do_if_statement(node, scope)
        active = set(lanes.active)
        lanes.met = []
        exits, goes_on = super()._do_if_statement(node, scope)
        lanes.active = active | self.left.pop(node.start_byte, set())
        return exits, goes_on

    def guard(self, node: Node, clause: Node, scope: CScope) -> None:
        """After the condition of an ``if``: which threads go on, where it bounds their index."""
        lanes = self.lanes
        if lanes is None or not lanes.met:
            return
        met, lanes.met = lanes.met, []
        said, inside = text(clause), {g.inside for g in met}
        yes, no = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
        if len(inside) > 1 or ("||" if True in inside else "&&") in said:
            raise Refused(f"if {said}", "it is not seen which threads it bounds", "Write one bound in an if of its own.")
        names = {g.thread for g in met}
        if True in inside:
            if no is not None:
                raise Refused(f"if {said}", "the threads beyond the bound do something else")
            lanes.active |= names
        else:
            if no is not None or not _only_returns(yes):
                raise Refused(f"if {said}", "the threads beyond the bound do more than return")
            self.left[node.start_byte] = names

    def met_elsewhere(self) -> None:
        """Refuse a bound of the thread's index in any other expression."""
        if self.lanes is not None and self.lanes.met:
            self.lanes.met = []
            raise Refused("a bound of the thread's index", "it stands in an expression", "Write it in an if of its own.")


def _in_any_order() -> Value:
    raise Refused("atomicAdd()", "what it returns depends on the order of the threads")


def _only_returns(node: Node | None) -> bool:
    inner = (
        [node] if node is not None and node.type != "compound_statement" else node.named_children if node is not None else []
    )
    real = [n for n in inner if n.type != "comment"]
    return len(real) == 1 and real[0].type == "return_statement"
