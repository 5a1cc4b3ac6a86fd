"""A sum with a product that nothing else reads, as one operation."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, ONE_SIZE, Node, folds
from derivcheck.notation.terms.nodes import Bracket


def _is_of_rows(n: Node) -> bool:
    """Whether it is rows of more than two dimensions times a matrix: torch makes them one matrix, and so is the result."""
    return n.op == "matmul" and folds(n) and n.args[0].rank == n.rank and n.args[1].rank == 2


def _adds_rows(n: Node) -> bool:
    """Whether it adds such a product to another, or to a sum of such: it can be added where that lies, row behind row."""
    one, two = n.args
    return (
        n.op == "add"
        and one.dims == two.dims
        and _is_of_rows(two)
        and (_is_of_rows(one) or one.op == "add" and _adds_rows(one))
    )


class Joined:
    """``c + m`` or ``c − m``, one operation, of a product ``m`` of x and y: element by element or of matrices.

    ``scaled``: a factor of m that is a number times x, which the operation multiplies by, too.
    """

    def __init__(self, c: Node, m: Node, minus: bool, scaled: Node | None = None) -> None:
        self.c, self.m, self.minus, self.scaled = c, m, minus, scaled
        self.x, self.y = m.args
        if scaled is not None:
            self.x = scaled.args[1]

    def sign(self, number: Node) -> str:
        """In front of a number that scales the product: of a condition, too, which torch takes for no number."""
        return "-" if self.minus else "+" if isinstance(number.params[0], Bracket) else ""


def _repeats(a: Node, n: Node) -> bool:
    """Whether one number stands for a row of the result: of two such operands addcmul makes a loop over single numbers."""
    return n.dims[-1] is not ONE_SIZE and (a.rank == 0 or a.dims[-1] is ONE_SIZE)


def joined(n: Node, uses: Mapping[Node, int], roots: Collection[Node]) -> Joined | None:
    """A sum with a product that nothing else reads."""
    if n.op not in ("add", "sub") or n.kind != FLOAT or n.rank < 2:
        return None
    one, two = n.args
    if _adds_rows(n) and uses.get(two) == 1 and two not in roots:
        return Joined(one, two, False)
    for c, m in ((one, two), (two, one)) if n.op == "add" else ((one, two),):
        if m.op == "mul" and m.kind == c.kind == FLOAT and uses.get(m) == 1 and m not in roots and m.dims == n.dims:
            x, y = m.args
            if x.kind == NUMBER and y.kind == FLOAT:
                return Joined(c, m, n.op == "sub")
            if x.kind == y.kind == FLOAT and sum(_repeats(a, n) for a in (c, x, y)) < 2:
                scaled = x.op == "mul" and x.args[0].kind == NUMBER and uses.get(x) == 1 and x not in roots
                return Joined(c, m, n.op == "sub", x if scaled else None)
    return None
