"""Nodes in the forms in which code for a processor computes them."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.graph.moved import moved
from derivcheck.codegen.graph.nodes import Graph, Node
from derivcheck.codegen.graph.reordered import reordered, uses


def in_lean_form(graph: Graph, roots: Sequence[Node]) -> list[Node]:
    """The nodes so, and what they are made of."""
    read = uses(roots)
    known: dict[Node, Node] = {}
    stack = list(roots)
    while stack:
        n = stack[-1]
        form = reordered(graph, n, read) or n if n not in known else n
        waiting = [a for a in form.args if a not in known]
        if n not in known and waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if n not in known:
            args = tuple(known[a] for a in form.args)
            new = form if args == form.args else graph.node(form.op, args, form.params, form.dims, form.kind, form.loops)
            known[n] = moved(graph, new) or new
    return [known[n] for n in roots]
