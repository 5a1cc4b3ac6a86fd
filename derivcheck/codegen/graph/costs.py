"""What operations cost, as formulas of the sizes: arithmetic, and numbers read and written.

A function of a number (an exponential, a root) counts as one operation; a call of torch's own, as the passes over what it
takes and gives, with one operation for each.  What is a view costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from derivcheck.codegen.graph.nodes import NUMBER, SCALAR, Node
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Poly, as_poly

_FREE = frozenset(
    {"var", "number", "step", "permute", "unsqueeze", "expand", "slice", "select", "diagonal", "item", "as_tensor", "if_any"}
)
_MOVES = frozenset(
    {"flip", "cat", "stack", "take", "gather", "zeros", "full", "arange", "repeat", "to_float", "to_int", "window"}
)


class Cost(NamedTuple):
    """Operations, and numbers read and written."""

    flops: Poly
    moved: Poly

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        return Cost(self.flops + other.flops, self.moved + other.moved)


NOTHING = Cost(as_poly(0), as_poly(0))


def cost(roots: Iterable[Node], seen: set[Node]) -> Cost:
    """Of all operations that these need, each once; ``seen`` are paid for, and grow."""
    total, stack = NOTHING, list(roots)
    while stack:
        n = stack.pop()
        if n not in seen:
            seen.add(n)
            total = total + _own(n)
            stack.extend(n.args)
    return total


def _count(n: Node) -> Poly:
    return as_poly(0) if n.kind in (NUMBER, SCALAR, "tuple") else numel(n.dims)


def _own(n: Node) -> Cost:
    """One operation: what it calculates, what it reads and what it writes."""
    if n.op in _FREE or n.kind in (NUMBER, SCALAR):
        return NOTHING
    read, written = as_poly(0), _count(n)
    for a in n.args:
        read = read + _count(a)
    if n.op == "reshape":
        return NOTHING
    return Cost(as_poly(0) if n.op in _MOVES else _flops(n, read, written), read + written)


#: Thirds of n³ for each matrix of n rows: its factors, and for an inverse the systems of the unit matrix.
_THIRDS = {"det": 2, "logdet": 2, "logabsdet": 2, "cholesky": 1, "inv": 6, "solve": 2}


def _of_matrices(n: Node, read: Poly) -> Poly:
    """What torch.linalg takes for each matrix; a system two passes over its factors for each column, of a triangle one."""
    a = n.args[0]
    cubes = numel(a.dims) * a.dims[-1]
    if n.op == "inv" and n.params[0]:
        return cubes
    if n.op != "solve":
        return _THIRDS[n.op] * cubes // 3
    passes = numel(n.dims) * a.dims[-1]
    return passes if n.params[0] else 2 * cubes // 3 + 2 * passes


def _flops(n: Node, read: Poly, written: Poly) -> Poly:
    """How many additions and multiplications a node takes, as a polynomial in the sizes; ``read`` and ``written`` count
    elements."""
    if n.op in ("matmul", "addmm"):
        left = n.args[-2]
        return 2 * written * left.dims[-1] + (written if n.op == "addmm" else 0)
    if n.op == "dot":
        return 2 * read
    if n.op in _THIRDS and n.args[0].rank >= 2:
        return _of_matrices(n, read)
    if n.op == "einsum":
        left, right = n.params[0].partition("->")[0].split(",")
        sizes = dict(zip(left, n.args[0].dims)) | dict(zip(right, n.args[1].dims))
        return 2 * numel(sizes.values())
    if n.op in ("conv", "conv_transpose"):
        x, w = n.args
        whole = numel(w.dims[1:]) * written if n.op == "conv" else numel(w.dims[1:]) * numel(x.dims)
        return 2 * whole
    if n.op in ("sum", "mean", "amax", "amin", "prod", "argmax", "argmin", "spelled", "scatter", "scatter_add", "add_at"):
        return read
    return written
