"""Deviations that are computed again where their memory is wanted: ``d = x − mean``, read by a sum of ``g·d`` and by what comes
of that sum.

The product is computed where d is, and d again where the product was: a pass more in the cache, and one tensor less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from derivcheck.codegen.graph.memory import is_view
from derivcheck.codegen.graph.nodes import FLOAT, Node


def again(roots: Mapping[str, Node], arguments: Collection[str], given: Collection[Node]) -> dict[str, Node]:
    """The definitions with such nodes twice.

    Args:
        arguments: names of tensors that are there from the first to the last.
        given: nodes that are variables already.
    """
    readers: dict[Node, list[Node]] = {}
    for n in _within(roots.values(), {}, given):
        for a in dict.fromkeys(n.args):
            readers.setdefault(a, []).append(n)
    known = {n: n for n in given}
    for d in list(readers):
        late = _late(d, readers, roots, arguments, given)
        if late is not None:
            second = Node(d.op, d.args, ("again",), d.dims, d.kind, d.loops)
            known[late] = _with(late, [second if a is d else a for a in late.args])
    if len(known) == len(given):
        return dict(roots)
    return {name: _changed(node, known) for name, node in roots.items()}


def _late(
    d: Node,
    readers: Mapping[Node, Sequence[Node]],
    roots: Mapping[str, Node],
    arguments: Collection[str],
    given: Collection[Node],
) -> Node | None:
    """The other reader of a difference that a sum of products reads, where it needs that sum."""
    whole = d.op == "sub" and d.kind == FLOAT and d.rank > 1 and not d.loops and d not in given and d not in roots.values()
    if not whole or len(readers[d]) != 2 or not _is_argument(d.args[0], d, arguments) or d.args[1].dims == d.dims:
        return None
    for product, other in (readers[d], readers[d][::-1]):
        sums = readers.get(product, ())
        if product.op == "mul" and product not in roots.values() and len(sums) == 1 and sums[0].op == "sum":
            beside = next((a for a in product.args if a is not d), d)
            if _is_argument(beside, d, arguments) and sums[0] in _within([a for a in other.args if a is not d], roots, given):
                return other
    return None


def _is_argument(n: Node, like: Node, arguments: Collection[str]) -> bool:
    """Whether it is a view of an argument, as large as another node."""
    dims = n.dims
    while is_view(n) and n.op != "expand" and len(n.args) == 1:
        (n,) = n.args
    return dims == like.dims and n.op == "var" and n.params[0] in arguments


def _within(roots: Iterable[Node], meant: Mapping[str, Node], given: Collection[Node]) -> dict[Node, None]:
    """The nodes that some are made of, through the definitions that they read."""
    seen: dict[Node, None] = {}
    stack = list(roots)
    while stack:
        n = stack.pop()
        if n not in seen:
            seen[n] = None
            if n.op == "var" and n.params[0] in meant:
                stack.append(meant[n.params[0]])
            elif n not in given:
                stack.extend(n.args)
    return seen


def _changed(root: Node, known: dict[Node, Node]) -> Node:
    """The node with the known ones in their new form, each once."""
    stack = [root]
    while stack:
        n = stack[-1]
        waiting = [a for a in n.args if a not in known] if n not in known else []
        stack.extend(waiting)
        if not waiting:
            stack.pop()
            if n not in known:
                known[n] = _with(n, [known[a] for a in n.args])
    return known[root]


def _with(n: Node, args: Sequence[Node]) -> Node:
    same = all(a is b for a, b in zip(args, n.args, strict=True))
    return n if same else Node(n.op, tuple(args), n.params, n.dims, n.kind, n.loops)
