"""Statements for a compiler, which joins elementwise operations into one loop over the largest of their tensors.

What each row has once (a mean, a reciprocal deviation) it would thus compute again for all numbers of the row: it divides and
takes roots as often as it multiplies, and so it does with a power of a size.  What is stored is computed once, and read.
"""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.codegen.graph.memory import is_view
from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, ONE_SIZE, Node, within
from derivcheck.codegen.graph.write import Writer
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.terms.nodes import Func, Number, Pow, SizeOf, Term
from derivcheck.notation.terms.walk import subterms

_ARITHMETIC = frozenset({"add", "sub", "mul", "neg", "where", "maximum", "minimum", "to_float"})
_COSTLY = frozenset({"div", "pow", "func", "exp2", "sqrt", "rsqrt", "mean"})  # a mean is a sum, which is stored, and a quotient
_ELEMENTWISE = _ARITHMETIC | _COSTLY - {"mean"}
_AT_PLACES = frozenset({"take", "gather"})  # a compiler joins also what is read at places of another
WORTH = 3  # operations from which on what is read again and again is stored
ROW = 8  # numbers in a row from which on


class StoringWriter(Writer):
    """Writes statements, and stores what a compiler would compute again."""

    stored: frozenset[Node] = frozenset()

    def plan(self, meant: Mapping[str, Node]) -> None:
        """Find what is to be stored: numbers of sizes, and tensors that stand for a row or more of what reads them.

        Args:
            meant: the definitions that are no loops, each with what it is.
        """
        found: set[Node] = set()
        elsewhere: set[Node] = set()
        rows: set[Node] = set()
        for n in within(meant.values()):
            for a in n.args:
                if a.op == "number":
                    wide = n.op in _ELEMENTWISE and n.op != "pow" and n.rank > 0 and n.kind == FLOAT
                    (found if wide and _is_power_of_sizes(a.params[0]) else elsewhere).add(a)
                elif n.op in _ELEMENTWISE and _is_row(a, n):
                    rows.add(_base(a, meant))
        found |= {n for n in rows if n.kind == FLOAT and not n.loops and _work(n, meant) >= WORTH}
        parts = (meant[m.params[0]] for n in found for m in _inside(n, meant) if m.op == "var" and m.params[0] in meant)
        self.stored = frozenset(found - elsewhere) | {p for p in parts if p.op in _COSTLY and p.kind == FLOAT}

    def text(self, node: Node, level: int = 0) -> str:
        """What is stored has a name."""
        if node in self.stored and self.known(node) is None:
            return self.name(node)
        return super().text(node, level)

    def statements(self, name: str, text: str, node: Node) -> list[str]:
        """With the call that stores it."""
        if node in self.stored and not text.isidentifier():
            if node.kind == NUMBER:
                dtype = f"torch.promote_types({self.spelling.dtype}, torch.float32)"
                text = f"torch.full((), {text}, dtype={dtype}, device={self.spelling.device})"
            text = f"{self.spelling.numbers.use('_stored')}({text})"
        return super().statements(name, text, node)


def _base(node: Node, meant: Mapping[str, Node]) -> Node:
    """What a view shows, or a definition is."""
    while True:
        if node.op == "var" and node.params[0] in meant:
            node = meant[node.params[0]]
        elif is_view(node) and node.op != "item":
            node = node.args[0]
        else:
            return node


def _is_row(part: Node, whole: Node) -> bool:
    """Whether each number of ``part`` stands for a row or more of what is made with it."""
    lead = whole.rank - part.rank
    again = numel(b for k, b in enumerate(whole.dims) if k < lead or part.dims[k - lead] is ONE_SIZE)
    return again.constant is None or again.constant >= ROW


def _inside(node: Node, meant: Mapping[str, Node]) -> list[Node]:
    """What a compiler joins with a node, that first: sums and products over dimensions end it."""
    found = {node: None}
    stack = [node]
    while stack:
        n = stack.pop()
        inner = [meant[n.params[0]]] if n.op == "var" and n.params[0] in meant else list(n.args)
        for a in inner if n.op in _ELEMENTWISE | _AT_PLACES or n.op == "var" or is_view(n) else ():
            if a not in found:
                found[a] = None
                stack.append(a)
    return list(found)


def _work(node: Node, meant: Mapping[str, Node]) -> int:
    """About how many operations a compiler would repeat."""
    inside = _inside(node, meant)
    return sum(WORTH if n.op in _COSTLY else n.op in _ARITHMETIC for n in inside)


def _is_power_of_sizes(number: Term) -> bool:
    """Whether the number has a root, a logarithm or the like of a size, which a compiler calls a function for."""
    return any(
        any(isinstance(s, SizeOf) for s in subterms(t))
        for t in subterms(number)
        if isinstance(t, Func)
        or isinstance(t, Pow)
        and not (isinstance(t.exponent, Number) and t.exponent.value.denominator == 1)
    )
