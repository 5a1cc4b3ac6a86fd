"""Statements that write into tensors which nobody reads again: an operation each, in place or ``out=`` where that can be.

The schedule is the order of the operations.  A tensor that an operation made, that has no reader after the statement at hand
and is not returned, is written into by the next operation of its shape: no new memory, and one pass less where ``addcmul``
joins a product and a sum.  Only what is recorded by nobody may be written so: the caller sees to that, and that all tensors of
numbers are of one type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from derivcheck.codegen.graph.joined import Joined, joined
from derivcheck.codegen.graph.looping import LoopingWriter
from derivcheck.codegen.graph.memory import OWN, is_view, owns
from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, SCALAR, Node, convolves_batches, folds, within
from derivcheck.codegen.graph.numbers import ATOM
from derivcheck.codegen.graph.spell import NodeSpelling

_LEAVES = frozenset({"var", "number", "step"})
_ARITHMETIC = frozenset({"add", "sub", "mul", "div"})
UNARY = frozenset({"neg", "exp2", "sqrt", "rsqrt"})
FUNCTIONS = frozenset({"exp", "tanh", "erf", "sigmoid", "log", "sin", "cos", "expm1", "log1p", "sqrt", "rsqrt"})
_SUMS = frozenset({"sum", "mean", "matmul", "einsum", "dot", "amax", "amin"})
KEPT = 1 << 40  # what is returned is read after everything
MANY = 300  # from so many operations on their order stays
LOOP = Node("number", (), (), (), NUMBER, frozenset())  # where a loop stands in the order


def _takes_memory(n: Node) -> bool:
    """Whether the operation can be given the tensor that it writes into."""
    if n.op in ("sub", "div"):
        return n.args[0].kind == FLOAT
    if n.op in ("matmul", "addmm"):
        return not folds(n)
    return n.op in ("add", "mul", "pow") or n.op in UNARY or n.op == "func" and n.params[0] in FUNCTIONS


class LeanWriter(LoopingWriter):
    """Writes each operation as a statement of its own."""

    def __init__(self, spelling: NodeSpelling, names: Names, given: Mapping[Node, str] | None = None) -> None:
        """``given`` are nodes that have a variable already: the arguments, which are never written to."""
        super().__init__(spelling, names, given)
        self.meant: dict[str, Node] = {}  # a definition's variable and what it holds
        self.joined: dict[Node, Joined] = {}
        self.last: dict[Node, int] = {}
        self.order: list[Node] = []
        self.at = 0
        self.titles: dict[Node, str] = {}
        self.said: set[str] = set()  # definitions that have a line of their own
        self.mine: dict[Node, str] = {}  # tensors that a statement of ours made, each with a variable
        self.passing: dict[Node, str] = {}  # what may be a view, each with a variable
        self.free: list[Node] = []
        self.gone: set[Node] = set()  # those whose variable is no more
        self.looped: dict[str, str] = {}  # what loops have made, each with a variable
        self.last_of: dict[str, int] = {}  # when a variable that is no operation's is read for the last time

    # -- the schedule -----------------------------------------------------------------------
    def plan(self, items: Sequence[tuple[str, str, Sequence[Node], bool]], kept: Iterable[str]) -> None:
        """Find the order of the operations and their last readers.

        Args:
            items: each definition's name, its variable, its nodes, and whether it is a loop, which computes them itself.
            kept: the variables that are returned.
        """
        roots = {n for _, _, nodes, _ in items for n in nodes}
        every = self._below(roots)
        self.joined = {n: j for n in every if (j := joined(n, self.uses, roots)) is not None}
        inner = {m for j in self.joined.values() for m in (j.m, j.scaled) if m is not None}
        done: set[Node] = set(self.scopes[0])
        part: list[Node] = []
        for name, variable, nodes, loop in items:
            if loop:
                self._append(part, inner)
                self.order.append(LOOP)
                for n in self._below(nodes):
                    self._read(n.args, len(self.order))
                part = []
                continue
            for node in nodes:
                self._schedule(node, done, inner, part)
                self.meant[name] = node
                self.titles.setdefault(node, variable)
        self._append(part, inner)
        for name, node in self.meant.items():  # a line of its own that is a view comes after what it is read by
            if is_view(node) or node.op in _LEAVES:
                self.last_of.update(dict.fromkeys(self._held(node)[1] | {name}, KEPT))
        for name in kept:
            self.last_of[name] = KEPT
            if name in self.meant:
                self._read([self.meant[name]], KEPT)

    def _below(self, roots: Iterable[Node]) -> dict[Node, None]:
        """The nodes that some roots are made of; what has a variable already is not looked into."""
        return within(roots, self.scopes[0])

    def _append(self, part: list[Node], inner: set[Node]) -> None:
        """Put these operations behind the others, what sums up as soon as it can be: then what it reads is free."""
        ready: set[Node] = set()
        waiting = list(part) if len(part) <= MANY else []
        order: list[Node] = [] if waiting else list(part)
        own = set(part)
        for n in [n for n in waiting if convolves_batches(n) and not self._needs_of(n, own, inner)]:
            waiting.remove(n)  # it holds an image's windows, and comes while nothing else is held
            order.append(n)
            ready.add(n)
        while waiting:
            sums = ((n, self._needs_of(n, own, inner)) for n in waiting if n.op in _SUMS)
            first = next((n for n, needs in sums if needs and needs <= ready), waiting[0])
            waiting.remove(first)
            order.append(first)
            ready.add(first)
        for n in order:
            self.order.append(n)
            reads = list(n.args)
            while not inner.isdisjoint(reads):
                reads = [b for a in reads for b in (a.args if a in inner else (a,))]
            self._read(reads, len(self.order))

    def _needs_of(self, n: Node, own: set[Node], inner: set[Node]) -> set[Node]:
        """The operations among these that its operands come from."""
        found: set[Node] = set()
        stack = list(n.args)
        while stack:
            a = stack.pop()
            if a.op == "var" and a.params[0] in self.meant:
                stack.append(self.meant[a.params[0]])
            elif a in own:
                found.add(a)
            elif (is_view(a) or a in inner) and a not in self.scopes[0]:
                stack.extend(a.args)
        return found

    def _schedule(self, root: Node, done: set[Node], inner: set[Node], part: list[Node]) -> None:
        """Append what is not computed yet, operands first."""
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            n, ready = stack.pop()
            if n in done or n.op in _LEAVES:
                continue
            if not ready:
                stack.append((n, True))
                stack.extend((a, False) for a in reversed(n.args))
                continue
            done.add(n)
            if is_view(n) or n in inner:
                continue
            part.append(n)

    def _read(self, args: Iterable[Node], when: int) -> None:
        for a in args:
            bases, variables = self._held(a)
            for base in bases:
                self.last[base] = max(when, self.last.get(base, 0))
            for name in variables:
                self.last_of[name] = max(when, self.last_of.get(name, 0))

    def real(self, n: Node) -> Node:
        """A node; of a variable that is a definition, what it means."""
        while n.op == "var" and n.params[0] in self.meant:
            n = self.meant[n.params[0]]
        return n

    def _bases(self, node: Node) -> set[Node]:
        """The operations whose memory it may be."""
        return self._held(node)[0]

    def _held(self, node: Node) -> tuple[set[Node], set[str]]:
        """The operations, and what else has a variable, whose memory it may be."""
        found: set[Node] = set()
        variables: set[str] = set()
        stack = [node]
        while stack:
            n = stack.pop()
            if n.op == "var" and n.params[0] in self.meant:
                stack.append(self.meant[n.params[0]])
            elif n.op == "var":
                variables.add(n.params[0])
            elif is_view(n) and n not in self.scopes[0]:
                stack.extend(n.args)
            elif n.op not in _LEAVES:
                found.add(n)
                if not owns(n):
                    stack.extend(n.args)
        return found, variables

    def drop(self, variable: str) -> None:
        """Steps that have been put together are not needed apart."""
        self.line(f"del {variable}")

    def whole(self, variables: Mapping[str, str]) -> None:
        """What a loop has made goes after its last reader."""
        self.looped.update(variables)
        self.forget_parts()

    def named(self, definition: str, name: str, node: Node) -> None:
        """Define, and know the definition from now on by its name."""
        self.define(name, node)
        self.said.add(definition)

    # -- statements -----------------------------------------------------------------------------
    def define(self, name: str, node: Node) -> None:
        """``name = …``, after all that it needs."""
        if len(self.blocks) > 1:  # inside a loop
            return super().define(name, node)
        below = self._below([node])
        ahead = [k for k in range(self.at, len(self.order)) if self.order[k] in below and self.known(self.order[k]) is None]
        while ahead and self.at <= ahead[-1]:
            self._next(name, node)
        if self.known(node) != name and self.gone.isdisjoint(self._bases(node)):  # else nobody reads this other name
            self.line(f"{name} = {self.text(node)}")

    def _next(self, name: str | None = None, node: Node | None = None) -> None:
        """The next operation's statement; that of ``node`` under ``name``."""
        n = self.order[self.at]
        self.at += 1
        if self.known(n) is None:
            self.statement(n, name if n is node else None)
        self._release()

    def loop(self) -> None:
        """A loop comes next: what stands before it is written."""
        while self.order[self.at] is not LOOP:
            self._next()
        self.at += 1

    def text(self, node: Node, level: int = 0) -> str:
        """By its name, and views where they are used; a definition that is one is that, where its line has not come yet."""
        if node.op == "var" and node.params[0] in self.meant and node.params[0] not in self.said and len(self.blocks) == 1:
            return self.text(self.meant[node.params[0]], level)
        if len(self.blocks) > 1 and node.op == "select" and node.loops and not node.args[0].loops:
            return self.element(node)
        known = self.known(node)
        if known is None and len(self.blocks) == 1 and (is_view(node) or node.op in _LEAVES):
            text, own = self.spelling.node(node, lambda k, lv: self.text(node.args[k], lv))
            if self.uses.get(node, 0) > 1 and is_view(node) and self._is_argument(node):
                self.scopes[0][node] = variable = self.names.new("view")
                self.line(f"{variable} = {text}")
                return variable
            return f"({text})" if own < level else text
        return super().text(node, level)

    def _is_argument(self, n: Node) -> bool:
        """Whether it is a view of an argument, which lives longer than all."""
        while is_view(n) and len(n.args) == 1:
            (n,) = n.args
        return n.op == "var" and n.params[0] not in self.meant and n.params[0] not in self.looped

    def statement(self, n: Node, name: str | None) -> None:
        """One operation."""
        wish = n.params[0] if n.op == "func" else "made" if n.op in OWN else n.op if n.op.isidentifier() else "mask"
        text = self._lean(n) or self.spelled(n)
        variable = name or self.titles.get(n) or self.names.new(wish)
        self.line(f"{variable} = {text}")
        self.scopes[0][n] = variable
        if owns(n) and n.kind == FLOAT and n.rank >= 2:
            self.mine[n] = variable
        elif n.kind == FLOAT and n.rank >= 2:
            self.passing[n] = variable

    def _release(self) -> None:
        """Tensors whose last reader has been written are free; those of a shape that does not come again go."""
        for n in [n for n in self.mine if self.last.get(n, 0) <= self.at and n not in self.free]:
            if any(m.dims == n.dims and self._wants_memory(m, k + 1) for k, m in enumerate(self.order) if k >= self.at):
                self.free.append(n)
            else:
                self.gone.add(n)
                self.line(f"del {self.mine.pop(n)}")
        for n in [n for n in self.passing if self.last.get(n, 0) <= self.at]:
            self.gone.add(n)
            self.line(f"del {self.passing.pop(n)}")
        for name in [name for name in self.looped if self.last_of.get(name, 0) <= self.at]:
            self.line(f"del {self.looped.pop(name)}")

    def _wants_memory(self, m: Node, when: int) -> bool:
        """Whether an operation, the one at ``when``, may be given a tensor, and reads none for the last time that will do."""
        if m.kind != FLOAT or not _takes_memory(m):
            return False
        operands = (self.joined[m].c, self.joined[m].x, self.joined[m].y) if m in self.joined else m.args
        if m.op in ("matmul", "addmm"):
            return True
        ends = (a for a in map(self.real, operands) if a.dims == m.dims and owns(a))
        return not any(self.last.get(a, 0) == when for a in ends)

    def _take(self, n: Node) -> str:
        """The variable of a tensor that is written into: it is no longer what it was."""
        n = self.real(n)
        if n in self.free:
            self.free.remove(n)
        return self.mine.pop(n)

    def _mine(self, a: Node, n: Node, others: Sequence[Node]) -> bool:
        """Whether operand ``a`` may hold the result: ours, of the shape, read here for the last time, by it alone."""
        a = self.real(a)
        if a not in self.mine or a.dims != n.dims or self.last.get(a, 0) > self.at:
            return False
        return all(a not in self._bases(o) for o in others)

    def _spare(self, n: Node) -> str:
        """``, out=`` a free tensor of the shape."""
        reads = {b for a in n.args for b in self._bases(a)}
        spare = self._free_for(n, reads)
        return f", out={self._take(spare)}" if spare is not None else ""

    def _free_for(self, n: Node, reads: set[Node]) -> Node | None:
        """A free tensor of the shape, that is none of those read."""
        return next((f for f in self.free if f.dims == n.dims and f not in reads), None)

    def _lean(self, n: Node) -> str | None:
        """The operation into memory that there is; None where it is spelled as ever."""
        if n.kind != FLOAT or n.rank < 2:
            return None
        if n in self.joined:
            return self._addcmul(n, self.joined[n])
        if n.op in _ARITHMETIC:
            return self._arithmetic(n)
        if n.op in UNARY or n.op == "func" and n.params[0] in FUNCTIONS:
            (a,) = n.args
            name = n.op if n.op in UNARY else n.params[0]
            if self._mine(a, n, ()):
                return f"{self._take(a)}.{name}_()"
            spare = self._spare(n)
            return f"torch.{name}({self.text(a)}{spare})" if spare else None
        if n.op == "pow" and n.args[1].kind == NUMBER:
            return self._power(n, n.args[0], self.text(n.args[1]))
        if n.op == "add_at":
            base, index, value = n.args
            if self._mine(base, n, (index, value)):
                return f"{self._take(base)}.scatter_add_({n.params[0]}, {self.text(index)}, {self.text(value)})"
        if n.op in ("matmul", "addmm") and not folds(n) and (spare := self._spare(n)):
            return f"torch.{n.op}({', '.join(self.text(a) for a in n.args)}{spare})"
        if n.op == "matmul" and n.rank == 2 and all(a.rank == 2 and a.kind == FLOAT for a in n.args):
            return f"torch.mm({', '.join(self.text(a) for a in n.args)})"  # with less around the call
        return None

    def _power(self, n: Node, a: Node, e: str) -> str | None:
        """The call for a power of a number that writes into what it is of, or into a free tensor; for a square a short one."""
        name, rest = ("square", "") if e == "2" else ("pow", f", {e}")
        if self._mine(a, n, ()):
            return f"{self._take(a)}.{name}_({rest[2:]})"
        spare = self._spare(n) if a.kind == FLOAT else ""
        return f"torch.{name}({self.text(a)}{rest}{spare})" if spare or a.kind == FLOAT and not rest else None

    def addition(self, j: Joined) -> tuple[str, str]:
        """The function that adds a product, and its operands after the first."""
        if j.x.kind == NUMBER:
            return "add", f"{self.text(j.y)}, alpha={j.sign(j.x)}{self.text(j.x, 9)}"
        if j.scaled is not None:
            number = j.scaled.args[0]
            return "addcmul", f"{self.text(j.x)}, {self.text(j.y)}, value={j.sign(number)}{self.text(number, ATOM)}"
        return "addcmul", f"{self.text(j.x)}, {self.text(j.y)}{', value=-1' * j.minus}"

    def _addcmul(self, n: Node, j: Joined) -> str:
        """The call for c ± x·y in one pass: in place of c, into a factor that nobody reads again, or into a free tensor."""
        if j.m.op == "matmul":
            if not self._mine(j.c, n, (j.x, j.y)):
                return self.spelled(n)
            ends = f"0, {n.rank - 2}"
            factors = f"{self.text(j.x, ATOM)}.flatten({ends}), {self.text(j.y)}"
            own = self._take(j.c)
            self.line(f"{own}.flatten({ends}).addmm_({factors})")
            return own
        scaled = j.x.kind == NUMBER
        word, rest = self.addition(j)
        if self._mine(j.c, n, (j.x, j.y)):
            return f"{self._take(j.c)}.{word}_({rest})"
        c = self.text(j.c)
        for a, o in ((j.x, j.y), (j.y, j.x)):
            if not scaled and self._mine(a, n, (j.c, o)):
                return f"torch.{word}({c}, {rest}, out={self._take(a)})"
        reads = {b for a in (j.c, j.x, j.y) for b in self._bases(a)}
        spare = self._free_for(n, reads)
        return f"torch.{word}({c}, {rest}{f', out={self._take(spare)}' if spare is not None else ''})"

    def _arithmetic(self, n: Node) -> str | None:
        """The call for a ∘ b that writes into an operand or a tensor that nobody reads again; None where there is none."""
        a, b = n.args
        if self._mine(a, n, (b,)):
            other = self.text(b)
            return f"{self._take(a)}.{n.op}_({other})"
        if self._mine(b, n, (a,)) and (n.op in ("add", "mul") or a.kind == FLOAT):
            other = self.text(a)
            own = self._take(b)
            return f"{own}.{n.op}_({other})" if n.op in ("add", "mul") else f"torch.{n.op}({other}, {own}, out={own})"
        if a.kind in (NUMBER, SCALAR):
            if n.op in ("sub", "div") or b.kind != FLOAT:
                return None
            a, b = b, a
        spare = self._spare(n) if a.kind == FLOAT and b.kind in (FLOAT, NUMBER) else ""
        return f"torch.{n.op}({self.text(a)}, {self.text(b)}{spare})" if spare else None
