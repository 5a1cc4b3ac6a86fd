"""What the field does to labels and scores: a mask that is not filled in, labels that are not smoothed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from derivcheck.diagnosis.repair.change import Change
from derivcheck.diagnosis.repair.edits.numbers import Scope
from derivcheck.diagnosis.repair.edits.reader import EditReader
from derivcheck.diagnosis.repair.pieces import CodePiece

COST = 1.9
_CAST = ("to", "double", "float", "type_as")


def masks(piece: CodePiece, scope: Scope, numbers: Sequence[float]) -> Iterator[Change]:
    """The edits of a piece; ``numbers`` are those of the forward."""
    r = EditReader(piece)
    for node in ast.walk(piece.tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "one_hot":
            yield from _smoothed(r, node, numbers)
        elif isinstance(node, ast.expr) and _whole(r, node) and r.is_value(node):
            yield from _masked(r, node, scope(piece, node))


def _smoothed(r: EditReader, node: ast.Call, numbers: Sequence[float]) -> Iterator[Change]:
    """``0.9 * one_hot(t, k) + 0.1 / k`` for ``one_hot(t, k)``."""
    if len(node.args) != 2:
        return
    whole: ast.expr = node
    while isinstance(up := r.around.get(whole), ast.Attribute) and up.attr in _CAST and isinstance(r.around.get(up), ast.Call):
        whole = r.around[up]  # type: ignore[assignment]
    text, count = r.text(whole), r.inner(node.args[1])
    for share in sorted({m for n in numbers if 0 < n < 1 for m in (n, round(1 - n, 12))}):
        words = f"the labels `{r.short(node)}` are not smoothed"
        yield Change(r.piece, tuple(r.put(whole, f"({1 - share:g} * {text} + {share:g} / {count})")), words, COST, node.lineno)


def _whole(r: EditReader, node: ast.expr) -> bool:
    """Whether it is all that a variable is given, or that a function like softmax is of."""
    up = r.around.get(node)
    if isinstance(up, ast.Assign):
        return up.value is node
    name = getattr(up.func, "attr", getattr(up.func, "id", "")) if isinstance(up, ast.Call) else ""
    return isinstance(up, ast.Call) and node in up.args and name in ("softmax", "log_softmax", "exp", "logsumexp")


def _masked(r: EditReader, node: ast.expr, env: Mapping[str, Any]) -> Iterator[Change]:
    """Each mask among the variables, or its opposite, filled in with what a softmax or a product leaves out."""
    for name, v in env.items():
        if not (isinstance(v, torch.Tensor) and v.dtype is torch.bool and name.isidentifier()) or name in r.text(node):
            continue
        for mask in (name, f"~{name}"):
            words = f"the mask `{mask}` is missing at `{r.short(node)}`"
            for new in (f"({r.inner(node)} * {mask})", f'{r.inner(node)}.masked_fill({mask}, float("-inf"))'):
                yield Change(r.piece, tuple(r.put(node, new)), words, COST, node.lineno)
