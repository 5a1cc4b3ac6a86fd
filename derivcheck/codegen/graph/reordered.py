"""Sums that begin with what may be written into: ``p − a·d`` as ``d·(−a) + p``, where ``d`` was made, and ``p`` of arguments.

The sum is then computed where ``d`` is, if nobody reads that again, and else takes as many passes as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivcheck.codegen.graph.memory import owns
from derivcheck.codegen.graph.nodes import FLOAT, Graph, Node
from derivcheck.notation.terms.build import neg

Addend = tuple[bool, Node]  # whether it is subtracted


def uses(roots: Iterable[Node]) -> dict[Node, int]:
    """How often each node is read."""
    found: dict[Node, int] = {}
    seen: set[Node] = set()
    stack = list(roots)
    for n in stack:
        found[n] = found.get(n, 0) + 1
    while stack:
        n = stack.pop()
        if n not in seen:
            seen.add(n)
            stack.extend(n.args)
            for a in n.args:
                found[a] = found.get(a, 0) + 1
    return found


def reordered(graph: Graph, n: Node, read: Mapping[Node, int]) -> Node | None:
    """The sum with such an addend first; None where it is none, or begins so."""
    if n.op not in ("add", "sub") or n.kind != FLOAT or n.rank < 2 or n.loops:
        return None
    addends = list(_addends(n, n, read))
    if any(m.op in ("matmul", "addmm", "einsum") or m.kind != FLOAT for _, m in addends):
        return None
    found = next((x for x in addends if _scaled(x[1], n, read)), None)
    if found is None or _is_made(addends[0][1], n) or not any(m.dims == n.dims for _, m in addends if m is not found[1]):
        return None
    small, large = sorted(found[1].args, key=lambda a: a.dims == n.dims)
    factor = _negative(graph, small) if found[0] else small
    total = graph.node("mul", (factor, large), (), n.dims, FLOAT)
    for minus, m in sorted((x for x in addends if x is not found), key=lambda x: x[1].op == "mul"):
        total = graph.node("sub" if minus else "add", (total, m), (), n.dims, FLOAT)
    return total


def _addends(n: Node, root: Node, read: Mapping[Node, int], minus: bool = False) -> Iterable[Addend]:
    """What is added up, where nothing else reads the sums between."""
    if n is root or n.op in ("add", "sub") and n.dims == root.dims and read.get(n) == 1:
        yield from _addends(n.args[0], root, read, minus)
        yield from _addends(n.args[1], root, read, minus != (n.op == "sub"))
    else:
        yield minus, n


def _negative(graph: Graph, n: Node) -> Node:
    """The same with another sign, that of a number in it if there is one."""
    for k, a in enumerate(n.args):
        new = graph.number(neg(a.params[0])) if a.op == "number" and n.op in ("mul", "div") else None
        if new is None and (n.op in ("unsqueeze", "reshape") or n.op == "mul" and a.op == "div" and a.args[1].op == "number"):
            new = _negative(graph, a)
        if new is not None:
            return graph.node(n.op, (*n.args[:k], new, *n.args[k + 1 :]), n.params, n.dims, n.kind)
    return graph.unary("neg", n)


def _scaled(m: Node, root: Node, read: Mapping[Node, int]) -> bool:
    """Whether it is a tensor that was made, read elsewhere as well, times something smaller."""
    if m.op != "mul" or m.dims != root.dims or read.get(m) != 1 or any(a.kind != FLOAT for a in m.args):
        return False
    small, large = sorted(m.args, key=lambda a: a.dims == root.dims)
    return small.dims != root.dims and large.dims == root.dims and owns(large)


def _is_made(m: Node, root: Node) -> bool:
    """Whether there is a tensor of the sum's shape behind it that was made."""
    return m.dims == root.dims and any(a.dims == root.dims and owns(a) for a in (m.args if m.op == "mul" else (m,)))
