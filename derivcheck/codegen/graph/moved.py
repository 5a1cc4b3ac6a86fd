"""What stands in front of a tensor that is moved one place on: ``where(places == 0, h, window)`` as one joined tensor.

Code for a processor then neither compares places nor fills the first with zeros.
"""

from __future__ import annotations

from derivcheck.codegen.graph.nodes import FLOAT, NUMBER, ONE_SIZE, Graph, Node
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.terms.nodes import Number

_BACK, _FIRST = as_poly(-1), Number(0)


def moved(graph: Graph, n: Node) -> Node | None:
    """A choice by the first place along a dimension along which one of both is moved."""
    if n.op != "where" or n.kind != FLOAT or n.loops:
        return None
    mask, one, two = n.args
    compared = mask
    while compared.op == "unsqueeze":
        (compared,) = compared.args
    if compared.op not in ("==", ">") or compared.args[0].op != "arange" or compared.args[1].params != (_FIRST,):
        return None
    (length,) = compared.dims
    if length is ONE_SIZE:
        return None
    k = n.rank - mask.rank + mask.dims.index(length)
    first, rest = (one, two) if compared.op == "==" else (two, one)
    if (
        rest.op != "window"
        or rest.params != (k, _BACK, length, ONE_SIZE)
        or rest.dims != n.dims
        or first.kind not in (FLOAT, NUMBER)
    ):
        return None
    (x,) = rest.args
    j = k - (n.rank - first.rank)
    if x.dims != n.dims or j >= 0 and first.dims[j] is not ONE_SIZE:
        return None
    return graph.node("moved", (first, x), (k,), n.dims, FLOAT)
