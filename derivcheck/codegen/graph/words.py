"""Words for what is computed on the way: ``x_minus_mean`` for a difference, ``grad_output_times_x`` for a product."""

from __future__ import annotations

from collections.abc import Callable

from derivcheck.codegen.graph.nodes import Node

LONG = 38  # letters
_BINARY = {"sub": "minus", "add": "plus", "mul": "times", "div": "over", "matmul": "times"}
_ALONG = {"sum": "sum_of", "mean": "mean_of", "amax": "largest", "amin": "smallest", "neg": "minus", "sqrt": "root_of"}
_SAME = frozenset({"unsqueeze", "permute", "expand", "reshape", "to_float"})  # the same numbers in another form
_POWERS = {"2": "squared", "3": "cubed"}


def phrase(node: Node, named: Callable[[Node], str | None]) -> str | None:
    """What a node is, in words; None where there are too many, or none.

    ``named`` gives the variable of what has been computed.
    """
    text = _phrase(node, named, 0)
    return text if text is not None and len(text) <= LONG else None


def _phrase(node: Node, named: Callable[[Node], str | None], depth: int) -> str | None:
    """The words, of at most three operations."""
    name = named(node)
    if name is not None:
        return name
    if depth > 2:
        return None
    parts = [_phrase(a, named, depth + 1) for a in node.args]
    op = node.op
    if op in _BINARY and None not in parts:
        return f"{parts[0]}_{_BINARY[op]}_{parts[1]}"
    if op == "func" and len(parts) == 1 and named(node.args[0]) is not None:
        return f"{node.params[0]}_{parts[0]}"
    if (
        op == "pow"
        and parts[0] is not None
        and (power := _POWERS.get(str(node.args[1].params[0]) if node.args[1].op == "number" else ""))
    ):
        return f"{parts[0]}_{power}"
    if len(parts) != 1 or parts[0] is None:
        return None
    if op in _ALONG:
        return f"{_ALONG[op]}_{parts[0]}"
    if op in _SAME:
        return parts[0] if depth else f"{parts[0]}_{'in_groups' if op == 'reshape' else 'column'}"
    return None
