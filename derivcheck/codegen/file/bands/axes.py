"""Which dimension of its operands each dimension of an operation's result runs along, where that is all that it reads.

Along such a dimension an operation on a band of the operands gives that band of the result.  Over a dimension that it sums
up, the results of all bands are added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from derivcheck.codegen.graph.nodes import ONE_SIZE, Node

_ELEMENTWISE = frozenset(
    {"add", "sub", "mul", "div", "floordiv", "and", "pow", "neg", "not", "exp2", "sqrt", "rsqrt", "where", "maximum", "minimum"}
    | {">=", ">", "<=", "<", "==", "!=", "func", "normal", "to_float", "to_int", "clamp", "clamp_by"}
)
_REDUCED = frozenset({"sum", "mean", "amax", "amin"})
_ALONG = frozenset({"cumsum", "cumprod", "flip", "slice", "window", "repeat"})  # all but the dimension that is a parameter
_SOFTMAX = re.compile(r"torch\.(?:log_)?softmax\(\{\}, dim=(-?\d+)\)")

Places = tuple[int | None, ...]


class AxisRule(NamedTuple):
    """What runs along what.

    Attributes:
        along: for a dimension of the result, the dimension of each operand (None: the operand does not have it).
        summed: dimensions of the operands that are summed over, and are nothing else's.
    """

    along: Mapping[int, Places]
    summed: tuple[Places, ...] = ()


_NONE = AxisRule({})


def axes(n: Node) -> AxisRule:
    """Those of an operation; of one that is not known, none."""
    if n.op in _ELEMENTWISE:
        return AxisRule({k: tuple(_aligned(n, a, k) for a in n.args) for k in range(n.rank) if n.dims[k] is not ONE_SIZE})
    if n.op in _REDUCED:
        return _reduced(n)
    if n.op in _ALONG:
        return AxisRule({k: (k,) for k in range(n.rank) if k != n.params[0]})
    if n.op == "spelled":
        found = _SOFTMAX.fullmatch(n.params[0])
        over = int(found[1]) % n.rank if found and n.rank else None
        return AxisRule({k: (k,) for k in range(n.rank) if k != over}) if over is not None else _NONE
    rule = _RULES.get(n.op)
    return rule(n) if rule is not None else _NONE


def _aligned(n: Node, a: Node, k: int) -> int | None:
    """The dimension of an operand that broadcasts against the result's dimension ``k``."""
    j = k - (n.rank - a.rank)
    return j if j >= 0 and a.dims[j] is not ONE_SIZE else None


def _reduced(n: Node) -> AxisRule:
    over, keep = n.params
    left = [k for k in range(n.args[0].rank) if k not in over]
    along: dict[int, Places] = {k if keep else place: (k,) for place, k in enumerate(left)}
    return AxisRule(along, tuple((k,) for k in over) if n.op == "sum" and not keep else ())


def _permute(n: Node) -> AxisRule:
    return AxisRule({k: (old,) for k, old in enumerate(n.params[0])})


def _unsqueeze(n: Node) -> AxisRule:
    old = iter(range(n.args[0].rank))
    return AxisRule({k: (next(old),) for k in range(n.rank) if k not in n.params[0]})


def _expand(n: Node) -> AxisRule:
    return AxisRule({k: (_aligned(n, n.args[0], k),) for k in range(n.rank) if n.dims[k] is not ONE_SIZE})


def _reshape(n: Node) -> AxisRule:
    """What stands before and behind the dimensions that are joined or split."""
    old, new = n.args[0].dims, n.dims
    head = 0
    while head < min(len(old), len(new)) and old[head] is new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] is new[-1 - tail]:
        tail += 1
    ends = {len(new) - 1 - k: (len(old) - 1 - k,) for k in range(tail)}
    return AxisRule({k: (k,) for k in range(head)} | ends)


def _select(n: Node) -> AxisRule:
    return AxisRule({k: (k + (k >= n.params[0]),) for k in range(n.rank)})


def _matmul(n: Node) -> AxisRule:
    """``[batch] rows k @ [batch] k columns``, or a vector on either side."""
    a, b = n.args
    if a.rank == 1 or b.rank == 1:
        if a.rank == b.rank:
            return _NONE
        if b.rank == 1:
            return AxisRule({k: (k, None) for k in range(n.rank)}, ((a.rank - 1, 0),))
        return AxisRule({k: (None, k if k < b.rank - 2 else k + 1) for k in range(n.rank)}, ((0, b.rank - 2),))
    rows, columns = n.rank - 2, n.rank - 1
    along: dict[int, Places] = {rows: (a.rank - 2, None), columns: (None, b.rank - 1)}
    for k in range(rows):
        along[k] = _aligned(n, a, k), _aligned(n, b, k)
    return AxisRule(along, ((a.rank - 1, b.rank - 2),))


def _addmm(n: Node) -> AxisRule:
    c = n.args[0]
    return AxisRule({0: (_aligned(n, c, 0), 0, None), 1: (_aligned(n, c, 1), None, 1)})


def _einsum(n: Node) -> AxisRule:
    """By its letters."""
    sides, out = n.params[0].split("->")
    parts = sides.split(",")
    if any(len(set(p)) < len(p) for p in parts):
        return _NONE

    def places(letter: str) -> Places:
        return tuple(p.index(letter) if letter in p else None for p in parts)

    return AxisRule(
        {k: places(letter) for k, letter in enumerate(out)},
        tuple(places(letter) for letter in dict.fromkeys("".join(parts)) if letter not in out),
    )


def _moved(n: Node) -> AxisRule:
    return AxisRule({k: (_aligned(n, n.args[0], k), k) for k in range(n.rank) if k != n.params[0]})


def _gather(n: Node) -> AxisRule:
    x = n.args[0]
    return AxisRule({k: (k, k) for k in range(n.rank) if k != n.params[0] and x.dims[k] is n.dims[k]})


_RULES: dict[str, Callable[[Node], AxisRule]] = {
    "permute": _permute,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "reshape": _reshape,
    "select": _select,
    "matmul": _matmul,
    "addmm": _addmm,
    "moved": _moved,
    "einsum": _einsum,
    "gather": _gather,
    "dot": lambda n: AxisRule({}, ((0, 0),)),
}
