"""What a generated file costs: the forward and, beside it, the gradients."""

from __future__ import annotations

from dataclasses import replace

from derivcheck.codegen.file.loops import Loop
from derivcheck.codegen.file.lowered import nodes_of
from derivcheck.codegen.file.source import File
from derivcheck.codegen.graph.costs import NOTHING, Cost, cost
from derivcheck.codegen.graph.nodes import Node
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.program.program import Program


def costs(forward: Program, adjoint: Program) -> tuple[Cost, Cost]:
    """What the forward costs as written out, without torch's own calls, and what the gradients cost beside it."""
    plain = replace(forward, definitions=tuple(replace(d, spelling=None) for d in forward.definitions))
    own = {d.name for d in forward.definitions}
    back = replace(adjoint, definitions=tuple(replace(d, spelling=None) for d in adjoint.definitions))
    items = File(plain, back, "", {}, None).lowered()
    parts = [NOTHING, NOTHING]
    seen: set[Node] = set()
    for name, item in items:
        nodes = nodes_of(item)
        times = item.index.size if isinstance(item, Loop) else as_poly(1)
        mine = cost(nodes, seen)
        side = 0 if name in own else 1
        parts[side] = parts[side] + Cost(mine.flops * times, mine.moved * times)
    return parts[0], parts[1]
