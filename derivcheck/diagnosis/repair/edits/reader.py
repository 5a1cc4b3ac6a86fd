"""The user's syntax, for those who make edits of it: the text of a node, and what variables may be read there."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from derivcheck.diagnosis.repair.change import Place, clipped
from derivcheck.diagnosis.repair.pieces import CodePiece
from derivcheck.diagnosis.repair.source_piece import Span

_ATOM = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant, ast.Tuple, ast.List)


class EditReader:
    """A piece, node by node."""

    def __init__(self, piece: CodePiece) -> None:
        self.piece = piece
        self.around = piece.around

    @property
    def transposed(self) -> tuple[str, str]:
        """How this code writes a transposed matrix, and how else one could."""
        return ("T", "mT") if ".T" in self.piece.text else ("mT", "T")

    def text(self, node: ast.AST) -> str:
        """The text of a node."""
        return self.piece.source(node)

    def inner(self, node: ast.AST) -> str:
        """The text of a node for use as a part of another."""
        return self.text(node) if isinstance(node, _ATOM) else f"({self.text(node)})"

    def put(self, node: ast.AST, new: str) -> list[Place]:
        """A node replaced by a text."""
        return [(self.piece.span(node), new)]

    def enclosed(self, node: ast.AST) -> Span:
        """Where a node stands, with the parentheses around it that are no call's."""
        start, end = self.piece.span(node)
        text = self.piece.text
        before = text[: start - 1].rstrip()
        own = text[start - 1 : start] == "(" and text[end : end + 1] == ")" and not re.search(r"[\w\])]$", before)
        return (start - 1, end + 1) if own else (start, end)

    def line(self, number: int) -> str:
        """A line of the file."""
        return self.piece.lines[number - self.piece.line]

    def short(self, node: ast.AST) -> str:
        """The text of a node, cut where it is long."""
        return clipped(self.text(node))

    def between(self, left: ast.AST, right: ast.AST, old: str) -> Span | None:
        """Where an operator stands between two nodes."""
        start, end = self.piece.span(left)[1], self.piece.span(right)[0]
        found = [m.span() for m in re.finditer(re.escape(old), self.piece.text[start:end])]
        return (start + found[0][0], start + found[0][1]) if len(found) == 1 else None

    def names(self, node: ast.AST) -> list[str]:
        """The variables that may be read at a node."""
        return variables(self.piece, node, self.around)

    def attributes(self, base: str) -> set[str]:
        """The attributes that the piece reads of a name."""
        return {
            n.attr for n in ast.walk(self.piece.tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == base
        }

    def module(self, node: ast.AST) -> bool:
        """Whether it names a module or what is in one (``torch``, ``F``)."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            return False
        return node.id not in self.names(node) and not (any(node.id in f.__code__.co_freevars for f, _ in self.piece.functions))

    def around_loop(self, node: ast.AST) -> ast.For | ast.While | None:
        """The loop that a node stands in, of the same function; None where there is none."""
        n: ast.AST | None = node
        while n is not None and not isinstance(n, (ast.FunctionDef, ast.Lambda)):
            n = self.around.get(n)
            if isinstance(n, (ast.For, ast.While)):
                return n
        return None

    def begun(self, target: ast.expr) -> bool:
        """Whether a variable that is stored to in a loop is stored to before it, too."""
        while isinstance(target, ast.Subscript):
            target = target.value
        outer = loop = self.around_loop(target)
        while outer is not None:
            loop, outer = outer, self.around_loop(outer)
        name = getattr(target, "id", "")
        stored = (n for n in ast.walk(self.piece.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return loop is not None and any(n.id == name and n.lineno < loop.lineno for n in stored)

    def untouched(self, node: ast.AST) -> bool:
        """Annotations, decorators, what is stored to."""
        n: ast.AST | None = node
        while n is not None:
            up = self.around.get(n)
            if isinstance(up, ast.arg) or isinstance(up, ast.FunctionDef) and n in (*up.decorator_list, up.returns):
                return True
            n = up
        return isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))

    def is_value(self, node: ast.expr) -> bool:
        """Whether an expression may be a tensor, as far as the syntax tells."""
        up = self.around.get(node)
        if not isinstance(node, (ast.Name, ast.BinOp, ast.Call, ast.Subscript, ast.UnaryOp, ast.Attribute, ast.IfExp)):
            return False
        if isinstance(up, ast.Attribute) and self.module(node) or self.module(node) and not isinstance(node, ast.Call):
            return False
        if (
            isinstance(up, ast.Call)
            and up.func is node
            or isinstance(up, ast.Attribute)
            and up.attr in ("shape", "device", "dtype")
        ):
            return False
        if isinstance(node, ast.Attribute) and node.attr in ("shape", "device", "dtype"):
            return False
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            return False
        return not (isinstance(up, (ast.Slice, ast.Starred)) or isinstance(up, ast.Subscript) and up.slice is node)


def variables(piece: CodePiece, node: ast.AST, around: Mapping[ast.AST, ast.AST] | None = None) -> list[str]:
    """The variables that may be read at a node."""
    around = piece.around if around is None else around
    found: dict[str, None] = {}
    n: ast.AST | None = node
    line = getattr(node, "lineno", 0)
    while n is not None:
        n = around.get(n)
        if isinstance(n, ast.stmt) and not isinstance(n, ast.FunctionDef):
            line = (n.end_lineno or n.lineno) + 1 if isinstance(n, (ast.For, ast.While)) else min(line, n.lineno)
        if isinstance(n, (ast.FunctionDef, ast.Lambda)):
            args = n.args
            every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
            found.update(dict.fromkeys(a.arg for a in every if a.arg not in ("self", "ctx", "cls")))
            if isinstance(n, ast.FunctionDef):
                for s in ast.walk(n):
                    if isinstance(s, ast.Name) and isinstance(s.ctx, ast.Store) and s.lineno < line:
                        found[s.id] = None
        elif isinstance(n, (ast.GeneratorExp, ast.ListComp, ast.DictComp)):
            for g in n.generators:
                found.update(dict.fromkeys(s.id for s in ast.walk(g.target) if isinstance(s, ast.Name)))
    return list(found)
