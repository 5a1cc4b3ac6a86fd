"""Numbers: a count that leaves out a dimension or is one off, a constant that is not the forward's."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch

from derivcheck.diagnosis.repair.change import Change
from derivcheck.diagnosis.repair.edits.reader import EditReader
from derivcheck.diagnosis.repair.pieces import CodePiece

Scope = Callable[[CodePiece, ast.AST], Mapping[str, Any]]  # the variables that may be read at a node, with their values


def counts(piece: CodePiece, scope: Scope) -> Iterator[Change]:
    """The edits of whole numbers that the code reads off shapes."""
    r = EditReader(piece)
    for node in ast.walk(piece.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield from _shares(r, node, scope(piece, node))
        if not isinstance(node, (ast.Name, ast.Subscript, ast.Call)) or r.untouched(node):
            continue
        up = r.around.get(node)
        if isinstance(up, (ast.Attribute, ast.keyword)) or isinstance(up, ast.Call) and up.func is node:
            continue
        env = scope(piece, node)
        text = r.text(node)
        others = list(_beside(node, env))
        if not others:
            continue
        for other in others:
            words = f"`{text}` stands where `{text} * {other}` is meant: `{other}` is missing in the count"
            yield Change(piece, tuple(r.put(node, f"({text} * {other})")), words, 1.9, node.lineno)
        for k in ("- 1", "+ 1"):
            yield Change(
                piece, tuple(r.put(node, f"({text} {k})")), f"`{text}` stands where `{text} {k}` is meant", 2.2, node.lineno
            )


def constants(piece: CodePiece, numbers: Sequence[float]) -> Iterator[Change]:
    """A number in the place of one that the forward has: once, and everywhere on its line with either sign."""
    r = EditReader(piece)
    by_line: dict[tuple[int, float], list[ast.Constant]] = {}
    for node in ast.walk(piece.tree):
        if not isinstance(node, ast.Constant) or r.untouched(node) or isinstance(node.value, bool):
            continue
        if isinstance(node.value, (int, float)):
            by_line.setdefault((node.lineno, float(node.value)), []).append(node)
    for (line, old), many in by_line.items():
        for new in numbers:
            if new == old:
                continue
            words = f"the number {r.text(many[0])} should be {new:g}, as in the forward"
            chosen = [[n] for n in many] + ([many] if len(many) > 1 else [])
            for some in chosen:
                places = tuple(p for n in some for p in r.put(n, f"{new!r}"))
                yield Change(piece, places, words, 1.8 if len(some) == 1 else 2.0, line)


def shifted(piece: CodePiece, numbers: Sequence[float]) -> Iterator[Change]:
    """A number of the forward that is missing beside what is compared: a margin."""
    r = EditReader(piece)
    for node in (n for n in ast.walk(piece.tree) if isinstance(n, ast.Compare) and not r.untouched(n)):
        for side in (node.left, *node.comparators):
            for new in numbers if not isinstance(side, ast.Constant) else ():
                for sign in "+-":
                    words = f"the number {new:g} of the forward is missing beside `{r.short(side)}`"
                    yield Change(piece, tuple(r.put(side, f"({r.text(side)} {sign} {new!r})")), words, 1.8, node.lineno)


def scaled(piece: CodePiece, scope: Scope, sizes: Collection[int]) -> Iterator[Change]:
    """A number that is a variable, and no size, as a factor or divisor that is missing."""
    r = EditReader(piece)
    for node in ast.walk(piece.tree):
        if not isinstance(node, ast.expr) or isinstance(node, ast.Constant) or r.untouched(node) or not r.is_value(node):
            continue
        text, said = r.inner(node), r.short(node)
        for n, v in scope(piece, node).items():
            if not n.isidentifier() or isinstance(v, bool) or not isinstance(v, (int, float)) or v in sizes or v in (0, 1):
                continue
            if n in text or isinstance(node, ast.Name) and isinstance(scope(piece, node).get(node.id), (int, float)):
                continue
            times = f"the factor `{n}` is missing at `{said}`"
            yield Change(piece, tuple(r.put(node, f"({text} * {n})")), times, 1.5, node.lineno)
            by = f"`{said}` has to be divided by `{n}`"
            yield Change(piece, tuple(r.put(node, f"({text} / {n})")), by, 1.55, node.lineno)


def _shares(r: EditReader, node: ast.Constant, env: Mapping[str, Any]) -> Iterator[Change]:
    """A number that is meant for all and stands for each, or the other way round."""
    text = r.text(node)
    for n in (n for n, v in env.items() if n.isidentifier() and _is_size(v)):
        for op, said in (("/", "divided"), ("*", "multiplied")):
            yield Change(
                r.piece, tuple(r.put(node, f"({text} {op} {n})")), f"`{text}` has to be {said} by `{n}`", 1.9, node.lineno
            )


def _beside(node: ast.expr, env: Mapping[str, Any]) -> Iterator[str]:
    """What else is a size where a node is one: other numbers that are variables, other dimensions of the same tensor."""
    if isinstance(node, ast.Name):
        if _is_size(env.get(node.id)):
            yield from (n for n, v in env.items() if n != node.id and n.isidentifier() and _is_size(v))
        return
    base, k = _dimension(node)
    tensor = env.get(base)
    if isinstance(tensor, torch.Tensor):
        yield from (f"{base}.shape[{j}]" for j in range(tensor.ndim) if j != k % max(tensor.ndim, 1))


def _is_size(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool) and v > 0


def _dimension(node: ast.expr) -> tuple[str, int]:
    """The tensor and the dimension of ``x.shape[1]``, ``x.size(1)`` and ``len(x)``; ``""`` of anything else."""
    k: ast.expr
    if isinstance(node, ast.Subscript):
        of, k = node.value, node.slice
        if not (isinstance(of, ast.Attribute) and of.attr == "shape"):
            return "", 0
        of = of.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len" and len(node.args) == 1:
        of, k = node.args[0], ast.Constant(0)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "size" and node.args:
        of, k = node.func.value, node.args[0]
    else:
        return "", 0
    sign = -1 if isinstance(k, ast.UnaryOp) and isinstance(k.op, ast.USub) else 1
    k = k.operand if isinstance(k, ast.UnaryOp) else k
    if not isinstance(of, ast.Name) or not isinstance(k, ast.Constant) or not isinstance(k.value, int):
        return "", 0
    return of.id, sign * k.value
