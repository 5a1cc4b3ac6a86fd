"""What may be missing from a line, as edits of the user's text: factors, addends, other expressions in its place."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from types import FrameType
from typing import Any

import numpy as np

from derivcheck.diagnosis.repair.change import Change, Place, clipped
from derivcheck.diagnosis.repair.coefficients import readings
from derivcheck.diagnosis.repair.comparing import Gap, Hit, hits
from derivcheck.diagnosis.repair.describing import described
from derivcheck.diagnosis.repair.edits.reader import variables
from derivcheck.diagnosis.repair.forward import of_forward
from derivcheck.diagnosis.repair.pieces import CodePiece
from derivcheck.diagnosis.repair.pool import PoolPart, grown, of_integers, of_maxima, parts, shallow
from derivcheck.diagnosis.repair.spots import RepairSpot, Spots
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.diagnosis.wording import code_of

DOZEN = 14  # new nodes of syntax that a fix may have
BEST = 12  # candidates of a place that are run
EXAMINED = 1500  # whose coefficients are read


def run_of(
    backward: Backward, pieces: Sequence[CodePiece]
) -> tuple[dict[tuple[str, int, str], dict[str, Any]], set[tuple[str, int]]]:
    """The variables of each of the user's functions when it returns, by file, first line and name; and the lines that ran."""
    files = {p.file for p in pieces}
    found: dict[tuple[str, int, str], dict[str, Any]] = {}
    ran: set[tuple[str, int]] = set()

    def look(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code.co_filename not in files:
            return None
        ran.add((code.co_filename, frame.f_lineno))
        if event == "return":
            found[(code.co_filename, code.co_firstlineno, code.co_name)] = dict(frame.f_locals)
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        backward.gradients(backward.benches[0])
    finally:
        sys.settrace(before)
    return found, ran


class Missing:
    """The edits that put in what is missing."""

    def __init__(self, backward: Backward, pieces: Sequence[CodePiece], spots: Spots) -> None:
        self.backward, self.pieces, self.spots = backward, pieces, spots
        self.locals, self.ran = run_of(backward, pieces)
        self._pools: dict[tuple[str, ...], tuple[list[PoolPart], list[PoolPart]]] = {}

    @cached_property
    def _written(self) -> set[str]:
        """The names in the forward's code."""
        program = self.backward.d.program
        code = " ".join(c for d in program.definitions if (c := code_of(d, program)) is not None)
        return {*re.findall(r"[A-Za-z_]\w*", code), *program.inputs}

    @property
    def numbers(self) -> set[tuple[str, int]]:
        """The lines that assign plain numbers: no value on the way, and so none that could be solved for."""
        found = set()
        for piece in self.pieces:
            held = {n: v for (file, line, _), env in self.locals.items() if _inside(piece, file, line) for n, v in env.items()}
            for s in ast.walk(piece.tree):
                if isinstance(s, ast.Assign):
                    names = [n.id for t in s.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                    if names and all(isinstance(held.get(n), (int, float)) for n in names):
                        found.add((piece.file, s.lineno))
        return found

    def at(self, spot: RepairSpot, deep: bool) -> Iterator[Change]:
        """The edits of one definition's expression, cheapest first; where ``deep`` is not set, of one variable each."""
        span = spot.span
        piece = next(
            (p for p in self.pieces if p.file == spot.site.file and span and p.line <= span[0] < p.line + len(p.lines)), None
        )
        if piece is None or span is None:
            return
        node = node_at(piece, span)
        if node is not None and spot.operand:
            own = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == re.sub(r"_\d+$", "", spot.operand)]
            node = own[0] if len(own) == 1 else None
        if node is not None:
            jacobian = spot.solution.jacobian if spot.solution.affine else None
            residual = spot.solution.residual
            if jacobian is None:
                residual = (spot.solution.values[spot.definition.name] - spot.now).ravel()
            yield from self._edits(piece, node, Gap(spot.now, residual, jacobian), spot.definition.name, deep)

    def returned(self, names: Sequence[str], deep: bool) -> Iterator[Change]:
        """The edits of what is returned under a name, where that is written out."""
        bench = self.backward.benches[0]
        found = self.backward.gradients(bench) or {}
        for piece in self.pieces:
            for name, node in returned_under(piece, names):
                now, right = found[name], bench.right[name]
                if now.shape == right.shape and np.isfinite(now).all():
                    yield from self._edits(piece, node, Gap(now, (right - now).ravel()), None, deep)

    def _edits(self, piece: CodePiece, node: ast.expr, gap: Gap, name: str | None, deep: bool) -> Iterator[Change]:
        """The expression combined with a part or two so that the gradient comes out right; the cheapest few that can be
        spelled."""
        env = self.scope(piece, node)
        first, second = self._pool(piece, node, env, name, deep)
        text = piece.source(node)
        inner = text if isinstance(node, (ast.Name, ast.Call, ast.Attribute, ast.Subscript)) else f"({text})"
        found: list[Change] = []
        sizes = self.backward.benches[0].sizes
        ranked = sorted(hits(gap, first if deep else [], second), key=lambda h: h.cost)
        read: dict[str, list[tuple[str, str, float]]] = {}
        own = self._written | set(re.findall(r"[A-Za-z_]\w*", piece.text))
        accepted = 0
        for hit in ranked[:EXAMINED]:
            if hit.form == "place" and hit.parts[0].inner == inner:  # itself, times something
                hit = replace(hit, form="factor", parts=())
            key = f"{hit.coefficient:.12g}"
            read[key] = read[key] if key in read else list(readings(hit.coefficient, sizes, env))
            for spelling, said, cost in read[key]:
                if any(p.text.startswith("1 / ") and p.text[4:] in inner for p in hit.parts):
                    continue  # it takes a factor away that stands there: another edit does so without a division
                if hit.form == "addend" and hit.parts[0].inner == inner and len(hit.parts) == 1:
                    continue  # a factor that comes as an addend
                new = written(hit, inner, spelling)
                words = described(hit, clipped(text), said, own)
                if new is not None and _grown(text, new) <= DOZEN and not (_foreign(hit) and _other(text, new)):
                    found.append(Change(piece, _placed(piece, node, new), words, hit.cost + cost, node.lineno))
                    accepted += 1
            if accepted > 4 * BEST:
                break
        yield from sorted(found, key=lambda c: c.cost)[: 2 * BEST]

    def scope(self, piece: CodePiece, node: ast.AST) -> dict[str, Any]:
        """The variables that may be read at a node, with their values at the end of their function."""
        found: dict[str, Any] = {}
        known = variables(piece, node)
        for (file, line, _), env in self.locals.items():
            if _inside(piece, file, line):
                found.update({n: v for n, v in env.items() if n in known})
        return {n: found[n] for n in known if n in found}

    def _pool(
        self, piece: CodePiece, node: ast.expr, env: Mapping[str, Any], name: str | None, deep: bool
    ) -> tuple[list[PoolPart], list[PoolPart]]:
        """The parts to combine with at a node: names in scope, steps before it and values of the forward; single, and
        combined."""
        steps = []
        program = self.spots.program
        for d in program.definitions if program is not None and name is not None else ():
            if d.name == name:
                break
            s = d.sites[0] if d.sites else None
            if s is None or s.span is None or s.file != piece.file or None in s.span or d.kind != "float":
                continue
            other = node_at(piece, s.span)  # type: ignore[arg-type]
            if other is not None and _names(other) <= set(env) | {"torch", "F", "math"} and other is not node:
                steps.append((piece.source(other), self.spots.value(d.name)))
        key = (str(deep), *env, "|", *(t for t, _ in steps))
        if key not in self._pools:
            first = [*parts(env, steps), *of_integers(env)]
            known = {n for f, _ in piece.functions for n in f.__globals__}
            first += of_forward(self.backward.d, self.backward.benches[0], env, known)[:10]
            if any(d.kind == "int" for d in self.backward.d.program.definitions):
                first += of_maxima(first)
            self._pools[key] = first, grown(first) if deep else shallow(first)
        return self._pools[key]


def _inside(piece: CodePiece, file: str, line: int) -> bool:
    return file == piece.file and piece.line <= line < piece.line + len(piece.lines)


def _placed(piece: CodePiece, node: ast.expr, new: str) -> tuple[Place, ...]:
    """A text in the place of a node; where it is subtracted, and begins with a minus, it is added."""
    up = piece.around.get(node)
    if new.startswith("-") and isinstance(up, ast.BinOp) and isinstance(up.op, (ast.Add, ast.Sub)) and up.right is node:
        sign = "-" if isinstance(up.op, ast.Add) else "+"
        start = piece.span(up.left)[1]
        between = piece.text[start : piece.span(node)[0]]
        plain = ast.parse(new, mode="eval").body
        alone = not (isinstance(plain, ast.BinOp) and isinstance(plain.op, (ast.Add, ast.Sub)))
        if alone and between.strip() in ("+", "-"):
            at = start + between.index(between.strip())
            return ((at, at + 1), sign), (piece.span(node), f"({new[1:]})")
    return ((piece.span(node), f"({new})"),)


def node_at(piece: CodePiece, span: tuple[int, int, int, int]) -> ast.expr | None:
    """The expression of a piece that stands exactly there."""
    for n in ast.walk(piece.tree):
        if isinstance(n, ast.expr) and (n.lineno, n.end_lineno, n.col_offset, n.end_col_offset) == span:
            return n
    return None


def returned_under(piece: CodePiece, names: Sequence[str]) -> Iterator[tuple[str, ast.expr]]:
    """The expressions of dicts that stand under these names."""
    for n in ast.walk(piece.tree):
        if isinstance(n, ast.Dict):
            for k, v in zip(n.keys, n.values):
                if isinstance(k, ast.Constant) and k.value in names:
                    yield str(k.value), v


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def written(hit: Hit, inner: str, coefficient: str) -> str | None:
    """The expression with what is missing put in."""
    product = " * ".join(p.inner for p in hit.parts)
    if hit.form == "square":
        return f"{inner}**2{coefficient}" if not coefficient.startswith(" * -") else None
    if hit.form == "factor" and product == inner and coefficient == "":
        return f"{inner}**2"
    minus = coefficient.startswith(" * -")
    plain = (
        coefficient.replace(" * -1", "", 1)
        if coefficient.startswith(" * -1") and coefficient[5:6] not in tuple("0123456789.")
        else coefficient
    )
    plain = plain.replace(" * -", " * ", 1) if minus and plain is coefficient else plain
    if hit.form == "factor":
        sign = "-" if minus else ""
        return f"{sign}{inner}{' * ' + product if product else ''}{plain}"
    if hit.form == "divisor":
        return f"{'-' if minus else ''}{inner} / {product}{plain}"
    if hit.form == "place":
        return f"{'-' if minus else ''}{product}{plain}"
    if hit.form == "branch":
        return f"torch.where({hit.parts[0].text}, {inner}, {hit.parts[1].text})"
    if hit.form == "addend":
        return f"{inner} {'-' if minus else '+'} {product}{plain}"
    if hit.form == "share":
        return f"{inner} * (1 {'-' if minus else '+'} {product}{plain})"
    if hit.form == "one":
        return f"1 {'-' if minus else '+'} {product} * {inner}{plain}"
    return None


def _foreign(hit: Hit) -> bool:
    """Whether a formula stands in the place of another, and is no step of the forward by itself."""
    return hit.form == "place" and not (len(hit.parts) == 1 and hit.parts[0].words == "a step of the forward")


def _other(old: str, new: str) -> bool:
    """Whether a formula would be put in the place of another that has little to do with it."""
    before, after = (sorted(re.findall(r"[A-Za-z_]\w*", t)) for t in (old, new))
    kept = sum(min(before.count(n), after.count(n)) for n in set(before))
    return len(before) > 2 and 2 * kept < len(before)


_NODES = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.Compare, ast.Subscript)


def _grown(old: str, new: str) -> int:
    """How many nodes are new; a step that stands there already is one when it is written again."""
    steps, count = _steps(old.strip())
    return _count(ast.parse(new.strip(), mode="eval").body, steps) - count


_STEP = (ast.BinOp, ast.Call, ast.Subscript)


@lru_cache(maxsize=256)
def _steps(old: str) -> tuple[frozenset[str], int]:
    """The steps of an expression, and how many nodes it counts as."""
    before = ast.parse(old, mode="eval").body
    steps = frozenset(ast.dump(n) for n in ast.walk(before) if isinstance(n, _STEP))
    return steps, _count(before, steps)


def _count(node: ast.AST, steps: frozenset[str]) -> int:
    if isinstance(node, _STEP) and ast.dump(node) in steps:
        return 1
    own = (
        1 if isinstance(node, _NODES) and not (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)) else 0
    )
    return own + sum(_count(kid, steps) for kid in ast.iter_child_nodes(node))
