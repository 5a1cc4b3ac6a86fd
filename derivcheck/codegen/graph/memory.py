"""Which operations make a tensor of their own, and which may share the memory of what they read."""

from __future__ import annotations

from derivcheck.codegen.graph.nodes import FLOAT, Node

_VIEWS = frozenset({"permute", "unsqueeze", "reshape", "expand", "slice", "select", "diagonal", "select_or_0", "item"})
_ARITHMETIC = (
    "add sub mul div neg exp2 sqrt rsqrt func normal pow where to_float zeros full cat stack moved flip cumsum cumprod"
)
_OVER_DIMENSIONS = "sum mean amax amin prod dot matmul addmm einsum take gather scatter scatter_add add_at"
_CALLS = ("torch.softmax({}", "torch.log_softmax({}", "torch.nn.functional.linear({}")
OWN = frozenset(f"{_ARITHMETIC} {_OVER_DIMENSIONS}".split())  # what makes a tensor of its own


def owns(node: Node) -> bool:
    """Whether it surely makes a tensor of its own; torch's spelling of a definition may hand on what it reads, as an einsum of
    one tensor may."""
    if node.op in ("einsum", "to_float") and any(a.kind == FLOAT for a in node.args):
        return node.op == "einsum" and len(node.args) > 1
    return node.op in OWN or node.op == "spelled" and node.params[0].startswith(_CALLS)


def is_view(node: Node) -> bool:
    """Whether it may share the memory of what it reads."""
    return node.op in _VIEWS
