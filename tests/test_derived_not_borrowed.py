"""No row, no derivation and no generated code takes a gradient from torch's autograd or its ``*_backward`` operators."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from derivcheck.operators.language.row import rows

PACKAGE = Path(__file__).parent.parent / "derivcheck"
FILES = [p for room in ("operators", "derivation", "codegen", "notation") for p in sorted((PACKAGE / room).rglob("*.py"))]


def borrowed(source: str) -> list[str]:
    """Where code reaches for a gradient of torch's: names and attributes, not what is said in text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in ("autograd", "backward", "requires_grad_", "vjp", "jvp") or name.endswith("_backward"):
            found.append(f"line {node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_is_borrowed(path: Path) -> None:
    assert borrowed(path.read_text(encoding="utf-8")) == []


def test_no_row_is_a_backward() -> None:
    assert [n for n in rows() if "backward" in n] == []


@pytest.mark.parametrize("source", ["torch.autograd.grad(y, x)", "torch.ops.aten.tanh_backward(g, y)", "loss.backward()"])
def test_the_test_can_fail(source: str) -> None:
    assert borrowed(source)
