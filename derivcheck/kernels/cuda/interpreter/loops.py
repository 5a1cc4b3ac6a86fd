"""Loops over sizes: all turns at once, as an axis; what a loop carries is a sum, a product or an extreme."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from derivcheck.kernels.cuda.interpreter.scopes import CScope, declared_name
from derivcheck.kernels.cuda.interpreter.statements import Exits
from derivcheck.kernels.cuda.interpreter.threads import Threads
from derivcheck.kernels.cuda.source.syntax import text
from derivcheck.kernels.cuda.source.types import INT, Scalar
from derivcheck.kernels.cuda.values.arithmetic import as_above_zero, of_numbers
from derivcheck.kernels.cuda.values.mathematics import called
from derivcheck.kernels.cuda.values.values import FLOATS, Aggregate, CNumber, CRef, Load, Refused, Value
from derivcheck.kernels.lanes.apart import refuse_meeting
from derivcheck.kernels.lanes.carried import Carried
from derivcheck.kernels.lanes.flat import FlatMemory
from derivcheck.kernels.lanes.lanes import Axis, Lanes
from derivcheck.kernels.lanes.wholes import Datum, WholeNumber, poly_of, whole
from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly

if TYPE_CHECKING:
    from tree_sitter import Node


@dataclass(frozen=True)
class Range:
    """``for (int i = start; i < end; i += step)``: the variable's name, its type, and which values it takes."""

    name: str
    type: Scalar
    start: Poly
    end: Poly
    declared: bool
    threads: str = ""  # of a grid-stride loop: the index whose threads share the turns
    group: str = ""  # of a loop whose turns the lanes of a group share: the place of a lane


class Loops(Threads):
    """Reads loops whose number of turns is an expression."""

    def _do_for_statement(self, node: Node, scope: CScope) -> tuple[Exits, bool]:
        """A loop over a range is read once, its counter an index; one that threads share runs over the threads, too."""
        if self.lanes is None:
            return super()._do_for_statement(node, scope)
        inner = scope.inner()
        found = self.at(node, scope, lambda: self._range(node, inner))
        if found is None:
            return super()._do_for_statement(node, scope)
        self.at(node, scope, lambda: (self._shared_turns if found.threads else self._turns)(node, found, scope))
        return [], True

    # -- the head -----------------------------------------------------------------------------

    def _range(self, node: Node, scope: CScope) -> Range | None:
        """The values of the loop's variable; None where all turns are known."""
        first, asked, step = (node.child_by_field_name(n) for n in ("initializer", "condition", "update"))
        if first is None or asked is None or step is None or asked.type != "binary_expression":
            return None
        declared = list(first.children_by_field_name("declarator")) if first.type == "declaration" else []
        if len(declared) == 1 and declared[0].type == "init_declarator":
            name, given = declared_name(declared[0]), declared[0].child_by_field_name("value")
            kind = self.types.read(first.child_by_field_name("type"), scope)  # type: ignore[arg-type]
            kind = kind if isinstance(kind, Scalar) else INT
        elif first.type == "assignment_expression":
            name, given = text(first.child_by_field_name("left")), first.child_by_field_name("right")
            kind = INT
        else:
            return None
        left, right = asked.child_by_field_name("left"), asked.child_by_field_name("right")
        op = text(asked.child_by_field_name("operator"))
        if given is None or right is None or text(left) != name or op not in ("<", "<=", ">", ">="):
            return None
        start, end = self.number(given, scope), self.number(right, scope)
        if start.known and end.known or start.type.real or end.type.real:
            return None
        assert self.lanes is not None
        head = (
            Range(name, kind, as_poly(0), self.lanes.settled(poly_of(end.value)), first.type == "declaration")
            if _fits(end)
            else None
        )
        if head is not None and _fits(start) and op == "<" and step.type == "assignment_expression":
            shared = self.shared_range(head, poly_of(start.value), self._stride(step, name, scope))
            if shared is not None:
                return shared
        a, b = (self.lanes.settled(poly_of(v.value)) if _fits(v) else None for v in (start, end))
        if a is None or b is None:
            raise Refused("for", f"how long it goes on depends on data: {text(asked)}")
        return self._stepped(node, Range(name, kind, a, b, first.type == "declaration"), op, scope)

    def _stepped(self, node: Node, head: Range, op: str, scope: CScope) -> Range:
        """The values, by how the variable goes on."""
        name, a, b = head.name, head.start, head.end
        lanes, step = self.lanes, node.child_by_field_name("update")
        assert lanes is not None and step is not None
        said = text(step).replace(" ", "")
        if op in ("<", "<="):
            end = b + 1 if op == "<=" else b
            if said in (f"{name}++", f"++{name}", f"{name}+=1", f"{name}={name}+1"):
                return replace(head, end=end)
            stride = self._stride(step, name, scope)
            for d in "xyz":
                all_threads = as_poly(Size(f"blockDim.{d}")) * as_poly(Size(f"gridDim.{d}"))
                if stride is all_threads and f"idx.{d}" in lanes.threads and a is lanes.threads[f"idx.{d}"]:
                    lanes.bound(f"idx.{d}", end)
                    return replace(head, end=end, threads=f"idx.{d}")
            raise Refused(f"for (…; {text(step)})", "its step is not read", "Loops go on by 1.")
        if said in (f"{name}--", f"--{name}", f"{name}-=1"):
            return replace(head, start=b + 1 if op == ">" else b, end=a + 1)
        raise Refused(f"for (…; {text(step)})", "its step is not read", "Loops go on by 1.")

    def _stride(self, step: Node, name: str, scope: CScope) -> Poly | None:
        if step.type != "assignment_expression" or text(step.child_by_field_name("operator")) != "+=":
            return None
        found = self.number(step.child_by_field_name("right"), scope)  # type: ignore[arg-type]
        return poly_of(found.value) if _fits(found) else None

    def shared_range(self, head: Range, start: Poly, stride: Poly | None) -> Range | None:
        """A loop whose turns the lanes of a group share; None for another one."""
        return None

    def parted(self, name: str, value: Carried, total: torch.Tensor, before: CNumber, group: str) -> CNumber:
        """What each lane of a group has after its turns of a loop."""
        raise NotImplementedError

    # -- the turns ------------------------------------------------------------------------------

    def _turns(self, node: Node, head: Range, scope: CScope) -> None:
        """The body once, for all turns."""
        lanes, body = self.lanes, node.child_by_field_name("body")
        assert lanes is not None and body is not None
        carried = self._carry(node, head, scope)
        key = f"{head.name} of {scope.function.name}:{node.start_byte}"
        if head.group and (lanes.masks or lanes.first or lanes.leader or any(a.thread == head.group for a in lanes.axes)):
            raise Refused(f"for over {head.name}", "the lanes of a group share its turns, and not all of them come here")
        index, axes = lanes.open(head.name, self._most(head.end, lanes), key, head.group or None)
        inner = scope.inner()
        own = self.memory.new(CNumber(whole(index, lanes), head.type), head.type)
        inner.variables[head.name] = own
        mark, written, self.memory.written = self.memory.mark, self.memory.written, set()
        with contextlib.ExitStack() as stack:
            marks = len(lanes.masks)
            for op, bound in ((">=", head.start), ("<", head.end)):
                c = lanes.compared(op, index - bound)
                if c is False:
                    c = torch.zeros((), dtype=torch.bool)
                if isinstance(c, torch.Tensor):
                    stack.enter_context(lanes.under(c, True))
            mask = _all(lanes.masks[marks:])
            exits: Exits = []
            more, goes_on = self.statement(body, inner)
            self._continued(more, goes_on, node, inner, exits)
            if exits:
                raise Refused(exits[0].kind, "it ends a loop over a size", "Give the size a value: the loop is unrolled then.")
        self._goes_on_by_itself(own, index, head)
        for axis in axes:
            refuse_meeting([v for v in self.memory.store.values() if isinstance(v, FlatMemory)], axis)
        self._unseen(carried, mark)
        self.memory.written = written | self.memory.written
        some_turn = lanes.nonnegative(head.end - 1 - head.start)
        for cell, (before, token) in carried.items():
            turns = _Turns(axes, mask, some_turn, head.group)
            self.memory.store[cell] = self._summed(before, token, self.memory.store[cell], turns)
        lanes.close(axes, key)
        outer = scope.variable(head.name)
        if outer is not None and not head.declared:
            self.memory.store[outer.cell] = Load(_last_turn)

    def _shared_turns(self, node: Node, head: Range, scope: CScope) -> None:
        """The turns of a grid-stride loop: each is one of some thread's, so that they are the threads."""
        lanes, body = self.lanes, node.child_by_field_name("body")
        assert lanes is not None and body is not None
        inner, active, mark = scope.inner(), set(lanes.active), self.memory.mark
        written, self.memory.written = self.memory.written, set()
        inner.variables[head.name] = self.memory.new(CNumber(whole(head.start, lanes), head.type), head.type)
        lanes.active.add(head.threads)
        exits: Exits = []
        more, goes_on = self.statement(body, inner)
        self._continued(more, goes_on, node, inner, exits)
        if exits:
            raise Refused(exits[0].kind, "it ends a grid-stride loop")
        for cell in self.memory.written:
            if cell <= mark and cell in self.memory.store:
                self.memory.store[cell] = Load(_last_turn)
        self.memory.written |= written
        lanes.active = active

    def _goes_on_by_itself(self, own: CRef, index: Poly, head: Range) -> None:
        found = self.memory.store[own.cell]
        if not (isinstance(found, CNumber) and isinstance(found.value, WholeNumber) and found.value.poly is index):
            raise Refused(f"for over {head.name}", "its variable is changed in the body")

    def _most(self, end: Poly, lanes: Lanes) -> Poly:
        """How many values the variable takes at most: of a bound that moves, the largest."""
        for _ in range(8):
            moving = [a for a in end.atoms() if not isinstance(a, Size)]
            if not moving:
                break
            a = moving[0]
            linear = end.linear_in(a)
            if isinstance(a, Datum) or linear is None or not isinstance(a, Index):
                raise Refused("for", f"it is not seen how far it goes: {end}")
            end = end.substitute({a: a.size - 1 if linear[0] > 0 else 0})
        if not lanes.nonnegative(end):
            raise Refused("for", f"it is not seen that {end} is at least 0")
        return end

    def _unseen(self, carried: dict[int, tuple[Value, Value]], mark: int) -> None:
        """Refuse what changed a variable of before the loop in a way that was not seen beforehand."""
        for cell in self.memory.written:
            if cell <= mark - 1 and cell in self.memory.store and cell not in carried:
                raise Refused("for", "a variable of before the loop is changed in it by a call, or through a pointer")

    def _carry(self, node: Node, head: Range, scope: CScope) -> dict[int, tuple[Value, Value]]:
        """Replace the variables of before the loop that its body assigns."""
        found: dict[int, tuple[Value, Value]] = {}
        for name in _assigned_in(node.child_by_field_name("body")):
            ref = scope.variable(name)
            if ref is None or ref.cell in found or isinstance(self.memory.store[ref.cell], (FlatMemory, CRef)):
                continue
            before = self.memory.store[ref.cell]
            token = _tokens(before, name)
            found[ref.cell] = before, token
            self.memory.store[ref.cell] = token
        return found

    def _summed(self, before: Value, token: Value, after: Value, turns: _Turns) -> Value:
        """A variable after the loop."""
        if after is token:
            return before
        if isinstance(before, Aggregate) and isinstance(after, Aggregate) and isinstance(token, Aggregate):
            rows = zip(before.items, token.items, after.items)
            return Aggregate(before.type, tuple(self._summed(*row, turns) for row in rows))
        if isinstance(before, Load):
            before = before.take()
        value = after.value if isinstance(after, CNumber) else None
        if not isinstance(value, Carried) or not isinstance(before, CNumber):
            return Load(_last_turn)
        if not value.op:
            return before
        assert isinstance(after, CNumber) and self.lanes is not None
        start = before.value
        total = value.total(turns.axes, turns.mask, self.lanes, start, FLOATS[-1])
        if turns.group:
            return self.parted(value.name, value, total, before, turns.group)
        if value.op in "+*":
            if value.above_zero and turns.some:
                as_above_zero(total)
            return of_numbers(value.op, before, CNumber(total, before.type))
        if isinstance(start, float) and start in (float("inf"), float("-inf")):
            return CNumber(total, before.type)
        return called(f"f{value.op}", [before, CNumber(total, before.type)])


class _Turns(NamedTuple):
    """The turns of a loop that was read once: their axes, under which condition, whether there is surely one, and the group
    of threads that share them."""

    axes: list[Axis]
    mask: Any
    some: bool
    group: str


def _last_turn() -> Value:
    raise Refused("a variable", "it holds what the last turn of a loop left there", "Declare it in the loop.")


def _fits(v: CNumber) -> bool:
    return isinstance(v.value, (int, WholeNumber))


def _tokens(value: Value, name: str) -> Value:
    """Numbers that the loop may carry, in place of those of before it."""
    if isinstance(value, Aggregate):
        return Aggregate(value.type, tuple(_tokens(v, name) for v in value.items))
    if isinstance(value, Load):
        value = value.take()
    if isinstance(value, CNumber) and value.type.real:
        return CNumber(Carried(name, object()), value.type)
    if isinstance(value, CNumber):
        return Load(lambda: _counted(name))
    return value


def _counted(name: str) -> Value:
    raise Refused(f"{name!r}", "a whole number is carried from turn to turn of a loop")


def _all(masks: list[torch.Tensor]) -> torch.Tensor | None:
    found = None
    for m in masks:
        found = m if found is None else found & m
    return found


def _assigned_in(node: Node | None) -> list[str]:
    """The variables that a body assigns, but for those that it declares first."""
    if node is None:
        return []
    found: dict[str, None] = {}
    stack = [node]
    while stack:
        n = stack.pop()
        if n.type in ("assignment_expression", "update_expression"):
            at = n.child_by_field_name("left") or n.child_by_field_name("argument")
            while at is not None and at.type in ("subscript_expression", "field_expression", "parenthesized_expression"):
                at = at.child_by_field_name("argument") or (at.named_children[0] if at.named_children else None)
            if at is not None and at.type == "identifier":
                found[text(at)] = None
        stack += n.named_children
    return list(found)
