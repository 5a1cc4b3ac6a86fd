"""What constructs of the language are called in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

_NAMES = {
    "while_statement": "while", "do_statement": "do", "goto_statement": "goto", "lambda_expression": "a lambda",
    "switch_statement": "switch", "gnu_asm_expression": "inline assembly", "new_expression": "new",
    "delete_expression": "delete", "sizeof_expression": "sizeof", "string_literal": "a text", "try_statement": "try",
    "throw_statement": "throw", "char_literal": "a character", "for_range_loop": "a for over a range",
}  # fmt: skip


def named_construct(node: Node) -> str:
    """What a node is called."""
    return _NAMES.get(node.type, node.type.replace("_", " "))
