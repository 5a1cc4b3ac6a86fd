"""Which branch of ``#if`` is compiled where no option of the compiler defines anything."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

KINDS = ("preproc_ifdef", "preproc_if", "preproc_elif")


def taken(node: Node, macros: Collection[str]) -> list[Node] | None:
    """The nodes of the branch that is compiled; None where that depends on the compiler.

    Args:
        macros: the names that are defined before.
    """
    asked = _holds(node, macros)
    other = node.child_by_field_name("alternative")
    if asked is None:
        return None
    if asked:
        apart = [n for n in (other, node.child_by_field_name("condition"), node.child_by_field_name("name")) if n is not None]
        return [n for n in node.named_children if n not in apart]
    if other is None:
        return []
    return [other] if other.type in KINDS else list(other.named_children)


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode()


def _holds(node: Node, macros: Collection[str]) -> bool | None:
    if node.type == "preproc_ifdef":
        known = _defined(_text(node.child_by_field_name("name")), macros)
        return known if known is None or node.children[0].type == "#ifdef" else not known
    condition = node.child_by_field_name("condition")
    return None if condition is None else _truth(condition, macros)


def _defined(name: str, macros: Collection[str]) -> bool | None:
    if name in macros:
        return True
    return None if name.startswith("_") or "CUDA" in name else False  # the compiler's own


def _truth(node: Node, macros: Collection[str]) -> bool | None:
    """Whether an ``#if`` holds, from the macros alone; None where that needs values that are not known."""
    if node.type == "preproc_defined":
        return _defined(_text(node.named_children[0]), macros) if node.named_children else None
    if node.type == "number_literal":
        return int(_text(node)) != 0 if _text(node).isdigit() else None
    if node.type == "parenthesized_expression":
        return _truth(node.named_children[0], macros)
    if node.type == "unary_expression" and _text(node).startswith("!"):
        inner = _truth(node.named_children[0], macros)
        return None if inner is None else not inner
    if node.type == "binary_expression":
        op = _text(node.child_by_field_name("operator"))
        sides = [_truth(n, macros) for n in node.named_children]
        if op in ("&&", "||") and (op == "||") in sides:
            return op == "||"
        return op == "&&" if op in ("&&", "||") and None not in sides else None
    return None
