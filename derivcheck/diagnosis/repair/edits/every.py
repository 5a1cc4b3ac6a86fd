"""The edits of a piece, cheapest first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from derivcheck.diagnosis.repair.change import Change, Edits
from derivcheck.diagnosis.repair.edits.calls import attribute, call
from derivcheck.diagnosis.repair.edits.loops import loop, parts_taken, runs, whole_blocks
from derivcheck.diagnosis.repair.edits.operators import comparison, operation, unary
from derivcheck.diagnosis.repair.edits.reader import EditReader
from derivcheck.diagnosis.repair.edits.statements import assignment, of_lines, returned
from derivcheck.diagnosis.repair.edits.values import axes, bounds, constant, listed, name, subscript
from derivcheck.diagnosis.repair.edits.wrapping import anything
from derivcheck.diagnosis.repair.pieces import CodePiece

_KINDS: dict[type[ast.AST], Any] = {
    ast.BinOp: operation,
    ast.UnaryOp: unary,
    ast.Compare: comparison,
    ast.Call: call,
    ast.Name: name,
    ast.Constant: constant,
    ast.Tuple: axes,
    ast.Subscript: subscript,
    ast.Attribute: attribute,
    ast.Slice: bounds,
    ast.AugAssign: assignment,
    ast.Assign: assignment,
    ast.Dict: returned,
    ast.For: loop,
    ast.List: listed,
    ast.While: loop,
}


def changes(piece: CodePiece) -> list[Change]:
    """The edits that are tried."""
    found: dict[str, Change] = {}
    for c in _every(EditReader(piece)):
        text = c.text
        if text != piece.text and (text not in found or c.cost < found[text].cost):
            found[text] = c
    return sorted(found.values(), key=lambda c: c.cost)


def _every(r: EditReader) -> Iterator[Change]:
    """All edits of a piece, node after node, those inside functions that the backward does not run left out."""
    own = {f.__code__.co_firstlineno for f, _ in r.piece.functions}
    for root in ast.walk(r.piece.tree):
        if not isinstance(root, (ast.FunctionDef, ast.Lambda)) or _first(root) not in own:
            continue
        for node in ast.walk(root):
            if node is not root and hasattr(node, "lineno") and not r.untouched(node):
                for places, words, cost in _of(r, node):
                    yield Change(r.piece, tuple(places), words, cost, node.lineno)
        yield from of_lines(r, root)


def _first(root: ast.FunctionDef | ast.Lambda) -> int:
    """The first line of a function, as its code has it."""
    decorators: list[ast.expr] = getattr(root, "decorator_list", [])
    return min([root.lineno, *(d.lineno for d in decorators)])


def _of(r: EditReader, node: ast.AST) -> Edits:
    """The edits of one node by its kind, then those that any expression takes."""
    if type(node) in _KINDS:
        yield from _KINDS[type(node)](r, node)
    elif isinstance(node, ast.IfExp):
        for way, which in ((node.body, "first"), (node.orelse, "second")):
            yield r.put(node, f"({r.text(way)})"), f"the {which} branch of `{r.short(node)}` is meant", 1.5
    elif isinstance(node, (ast.Break, ast.Continue)) and getattr(r.around.get(node), "orelse", True):
        yield r.put(node, "pass"), "the loop leaves out a step", 1.5
    if isinstance(node, ast.Call):
        yield from runs(r, node)
    elif isinstance(node, ast.BinOp):
        yield from whole_blocks(r, node)
    elif isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        for g in node.generators:
            yield from parts_taken(r, g.iter)
    if isinstance(node, ast.expr) and r.is_value(node):
        yield from anything(r, node)
