"""Statements whose last one writes into the place that the result has in a larger tensor; before that the place is scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from derivcheck.codegen.file.bands.classes import weight
from derivcheck.codegen.graph.lean import FUNCTIONS, KEPT, LOOP, UNARY, LeanWriter
from derivcheck.codegen.graph.memory import is_view
from derivcheck.codegen.graph.names import Names
from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, Node, folds
from derivcheck.codegen.graph.spell import NodeSpelling
from derivcheck.notation.integers.polynomials import Poly

LARGE = 4  # parts of the largest tensors, from one of which on a tensor counts
_TWO = frozenset({"add", "sub", "mul", "div"})


class PlacedWriter(LeanWriter):
    """Writes results into their places where one operation can."""

    def __init__(self, spelling: NodeSpelling, names: Names, given: Mapping[Node, str] | None = None) -> None:
        """As ever; places are offered before it is planned."""
        super().__init__(spelling, names, given)
        self.places: dict[Node, str] = {}
        self.holds: dict[Node, str] = {}  # the place that a tensor is in
        self.reused: str | None = None
        self.large = 1  # what the largest tensors weigh
        self.until: dict[str, int] = {}  # places that a loop writes into: from when on they are its own
        self.took = False  # whether the statement at hand writes into what is there
        self.allocated = 0  # how many do not

    def place(self, node: Node, variable: str) -> None:
        """The node's result belongs there."""
        self._offer(node, variable)

    def place_of_loop(self, dims: tuple[Poly, ...], variable: str, loop: int) -> None:
        """What the loop makes that comes after ``loop`` others belongs there."""
        self.until[variable] = loop
        self._offer(Node("made by a loop", (), (variable,), dims, FLOAT, frozenset()), variable)

    def plan(self, items: Sequence[tuple[str, str, Sequence[Node], bool]], kept: Iterable[str]) -> None:
        """As ever; then it is known when the loops come."""
        super().plan(items, kept)
        loops = [k + 1 for k, n in enumerate(self.order) if n is LOOP]
        self.until = {variable: loops[k] for variable, k in self.until.items()}
        self.large = max((weight(n.dims) for n in self.order), default=1)

    def loop(self) -> None:
        """A loop comes next: what it writes into is nobody's scratch from now on."""
        super().loop()
        for n in [n for n, place in self.holds.items() if self.until.get(place, KEPT) <= self.at]:
            self._forget(n)

    def _offer(self, node: Node, variable: str) -> None:
        """A place for a node, which is scratch until then."""
        self.places.setdefault(node, variable)
        alike = [n for n in self.places if n.dims == node.dims]
        scratch = Node("place", (), (variable,), node.dims, FLOAT, frozenset())
        if len(alike) == 1 and node.rank >= 2:
            self.mine[scratch] = variable
            self.holds[scratch] = variable
            self.free.append(scratch)
        else:  # two results of a shape could come to stand in each other's places
            for n in [n for n in self.holds if n.dims == node.dims]:
                self._forget(n)

    def placed(self, node: Node, variable: str) -> bool:
        """Whether the result stands in that place."""
        return self.holds.get(node) == variable

    def statement(self, n: Node, name: str | None) -> None:
        """One operation, into its place if it has one that is free."""
        self.reused = None
        self.took = False
        super().statement(n, name)
        if not self.took and not is_view(n) and LARGE * weight(n.dims) >= self.large:
            self.allocated += 2 if n.op == "normal" else 1  # its helper makes another
        if self.reused is not None:
            self.holds[n] = self.reused

    def _wants_memory(self, m: Node, when: int) -> bool:
        """As ever; a result wants its place, whatever it reads."""
        return m in self.places or super()._wants_memory(m, when)

    def _take(self, n: Node) -> str:
        self.took = True
        self.reused = self.holds.pop(self.real(n), None)
        return super()._take(n)

    def _forget(self, n: Node) -> None:
        del self.holds[n]
        self.mine.pop(n, None)
        if n in self.free:
            self.free.remove(n)

    def _mine(self, a: Node, n: Node, others: Sequence[Node]) -> bool:
        """As ever, and no result in the place of another."""
        return self._suits(a, n) and super()._mine(a, n, others)

    def _free_for(self, n: Node, reads: set[Node]) -> Node | None:
        return next((f for f in self.free if f.dims == n.dims and f not in reads and self._suits(f, n)), None)

    def _suits(self, a: Node, n: Node) -> bool:
        place = self.holds.get(self.real(a))
        return place is None or self.last.get(n, 0) < self.until.get(place, KEPT) or self.places.get(n) == place

    def _lean(self, n: Node) -> str | None:
        """Into its place, where nothing that is read later stands there."""
        place = self.places.get(n)
        text = self._into(n, place) if place is not None else None
        return text if text is not None else super()._lean(n)

    def _into(self, n: Node, place: str) -> str | None:
        """With ``out=`` that place; where an operand stands in it, element by element, and is read for the last time."""
        joined = self.joined.get(n)
        operands = [self.real(a) for a in (n.args if joined is None else (joined.c, joined.x, joined.y))]
        reads = {b for a in operands for b in self._bases(a)}
        holders = [m for m, p in self.holds.items() if p == place]
        for m in holders:
            own = n.op != "matmul" and n.op != "addmm" and m in operands
            if own and not self._mine(m, n, [a for a in operands if a is not m]) or not own and m in reads:
                return None
            if not own and m not in self.free:
                return None
        text = self._call(n)
        if text is None:
            return None
        for m in holders:
            self._forget(m)
        self.took, self.reused = True, place
        return f"{text[:-1]}, out={place})"

    def _call(self, n: Node) -> str | None:
        """The operation as a function that takes a place for its result."""
        floats = [a for a in n.args if a.kind == FLOAT]
        if n in self.joined and self.joined[n].m.op == "matmul":
            return None
        if n in self.joined:
            word, rest = self.addition(self.joined[n])
            return f"torch.{word}({self.text(self.joined[n].c)}, {rest})"
        if n.op in _TWO and floats and n.args[0].kind == FLOAT and n.args[1].kind in (FLOAT, NUMBER):
            return f"torch.{n.op}({self.text(n.args[0])}, {self.text(n.args[1])})"
        if n.op in _TWO and n.op in ("add", "mul") and n.args[0].kind == NUMBER and floats:
            return f"torch.{n.op}({self.text(n.args[1])}, {self.text(n.args[0])})"
        if n.op in ("matmul", "addmm") and not folds(n):
            return f"torch.{n.op}({', '.join(self.text(a) for a in n.args)})"
        if floats and (n.op in UNARY or n.op == "func" and n.params[0] in FUNCTIONS):
            return f"torch.{n.op if n.op in UNARY else n.params[0]}({self.text(n.args[0])})"
        return None
