"""Loops over blocks: one that ends early, skips blocks, leaves out the tail or the start, begins anew, or returns too soon."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from derivcheck.diagnosis.repair.change import Edits, Place
from derivcheck.diagnosis.repair.edits.reader import EditReader
from derivcheck.diagnosis.repair.pieces import CodePiece

MOST = 1024
LIKELY = 0.85  # a loop's mistakes are looked for first: another formula often makes up for one
_STRICT: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">="}


def blocks_of(piece: CodePiece) -> Iterator[int]:
    """The whole numbers of code with a loop, as far as they can be lengths of a block."""
    if any(isinstance(n, (ast.For, ast.While, ast.comprehension)) for n in ast.walk(piece.tree)):
        for n in ast.walk(piece.tree):
            if isinstance(n, ast.Constant) and type(n.value) is int and 2 < n.value <= MOST:
                yield n.value


def loop(r: EditReader, node: ast.For | ast.While) -> Edits:
    """The edits of a loop as a whole."""
    for s, around in _inside(node.body):
        if isinstance(s, ast.If) and not s.orelse:
            if isinstance(s.body[-1], (ast.Break, ast.Continue)):
                yield _removed(r, s if len(s.body) == 1 else s.body[-1], around), _left_out(r, s), LIKELY
                yield from _bound(r, s.test, f"the loop ends early, where `{r.short(s.test)}`")
            elif s.body[0].lineno > s.test.lineno:
                words = f"the loop leaves out the blocks without `{r.short(s.test)}`"
                yield _unconditional(r, s), words, LIKELY
        elif isinstance(s, ast.Break) and around is node.body:
            yield _removed(r, s, around), "the loop ends after the first block: `break` is one too many", LIKELY
    yield from _begun_anew(r, node)
    last = node.body[-1]
    if isinstance(last, ast.Return):
        start = r.piece.span(last)[0]
        back = last.col_offset - node.col_offset
        words = f"`{r.short(last)}` stands inside the loop: it ends after the first block"
        yield [((start - back, start), "")], words, LIKELY
    if isinstance(node, ast.For):
        yield from parts_taken(r, node.iter)
    else:
        yield from _bound(r, node.test, f"`while {r.short(node.test)}` leaves out the last block")


def _inside(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, list[ast.stmt]]]:
    """The statements of a loop, each with those around it; not those of a loop inside."""
    for s in body:
        yield s, body
        if isinstance(s, (ast.If, ast.With)):
            yield from _inside(s.body)
            yield from _inside(getattr(s, "orelse", []))


def _left_out(r: EditReader, s: ast.If) -> str:
    if isinstance(s.body[-1], ast.Break):
        return f"the loop ends early, where `{r.short(s.test)}`: the blocks after that are left out"
    return f"the loop leaves out the blocks with `{r.short(s.test)}`"


def _removed(r: EditReader, s: ast.stmt, around: list[ast.stmt]) -> list[Place]:
    """A statement with its lines; what is alone becomes ``pass``."""
    if len(around) == 1 or s not in around:
        return r.put(s, "pass")
    first, last = s.lineno - r.piece.line, (s.end_lineno or s.lineno) - r.piece.line
    return [((r.piece.starts[first], r.piece.starts[last + 1]), "")]


def _unconditional(r: EditReader, s: ast.If) -> list[Place]:
    """The statements under a condition without it."""
    first, last = s.body[0].lineno - r.piece.line, (s.end_lineno or s.lineno) - r.piece.line
    by = s.body[0].col_offset - s.col_offset
    starts = r.piece.starts
    here = range(first, last + 1)
    return [
        ((starts[s.lineno - r.piece.line], starts[first]), ""),
        *(((starts[k], starts[k] + by), "") for k in here if r.piece.lines[k][:by].isspace()),
    ]


def _begun_anew(r: EditReader, node: ast.For | ast.While) -> Edits:
    """``dw = zeros`` inside the loop that adds to it: it is to stand before the loop."""
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for s in node.body:
        if not isinstance(s, ast.Assign) or len(s.targets) != 1 or not isinstance(s.targets[0], ast.Name):
            continue
        name = s.targets[0].id
        read = {n.id for n in ast.walk(s.value) if isinstance(n, ast.Name)}
        if read & stored or not any(_adds_to(x, name) for x in ast.walk(node)):
            continue
        start = r.piece.starts[node.lineno - r.piece.line]
        words = f"`{r.short(s)}` stands inside the loop: what was accumulated is lost"
        moved: list[Place] = [((start, start), f"{' ' * node.col_offset}{r.text(s)}\n")]
        yield [*moved, *_removed(r, s, node.body)], words, LIKELY


def _adds_to(node: ast.AST, name: str) -> bool:
    """Whether a statement adds to a variable, or puts something into it."""
    if isinstance(node, ast.AugAssign):
        target: ast.AST = node.target
        while isinstance(target, ast.Subscript):
            target = target.value
        return isinstance(target, ast.Name) and target.id == name
    if isinstance(node, ast.Assign):
        value = any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node.value))
        return value and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == name


def parts_taken(r: EditReader, node: ast.expr) -> Edits:
    """``x.split(2)[:-1]`` in what a loop runs over: some of the blocks alone."""
    found = [
        n for n in ast.walk(node) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Slice) and n.slice.step is None
    ]
    for many in ([n] for n in found) if len(found) < 2 else (found, *([n] for n in found)):
        inside = r.text(many[0].slice)
        which = {":-1": "the last block", "1:": "the first block"}.get(inside.replace(" ", ""), "blocks")
        said = f"`[{inside}]` in `{r.short(many[0])}` leaves out {which}"
        yield [p for n in many for p in r.put(n, r.inner(n.value))], said, LIKELY


def runs(r: EditReader, node: ast.Call) -> Edits:
    """``range`` with an end that leaves out the last block, or with a start that leaves out the first."""
    if not (isinstance(node.func, ast.Name) and node.func.id == "range" and node.args and not node.keywords):
        return
    stop = node.args[0] if len(node.args) == 1 else node.args[1]
    said = r.short(node)
    if isinstance(stop, ast.BinOp) and isinstance(stop.op, ast.FloorDiv):
        yield _up(r, stop), f"`{said}` leaves out the last block, which is shorter", LIKELY
    count = stop
    while isinstance(count, ast.BinOp) and isinstance(count.op, (ast.Sub, ast.Add)):
        count = count.left
    if count is not stop and isinstance(count, (ast.Name, ast.Subscript, ast.Call)):
        yield r.put(stop, r.text(count)), f"`{said}` leaves out the last block", LIKELY
    if len(node.args) > 1 and r.text(node.args[0]) != "0":
        yield r.put(node.args[0], "0"), f"`{said}` leaves out the first block", LIKELY


def whole_blocks(r: EditReader, node: ast.BinOp) -> Edits:
    """``n // b * b`` and ``n - n % b`` for ``n``; ``n // b`` for the number of blocks with one that is not full."""
    words = f"`{r.short(node)}` leaves out the tail, which fills no block"
    left, right = node.left, node.right
    if isinstance(node.op, ast.Mult):
        for whole, by in ((left, right), (right, left)):
            if isinstance(whole, ast.BinOp) and isinstance(whole.op, ast.FloorDiv) and r.text(whole.right) == r.text(by):
                yield r.put(node, r.inner(whole.left)), words, LIKELY
    elif isinstance(node.op, ast.Sub) and isinstance(right, ast.BinOp) and isinstance(right.op, ast.Mod):
        if r.text(right.left) == r.text(left):
            yield r.put(node, r.inner(left)), words, LIKELY
    elif isinstance(node.op, ast.FloorDiv) and isinstance(up := r.around.get(node), ast.Assign) and len(up.targets) == 1:
        target = up.targets[0]
        ranges = (n for n in ast.walk(r.piece.tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "range")
        if isinstance(target, ast.Name) and any(getattr(a, "id", "") == target.id for n in ranges for a in n.args):
            yield _up(r, node), words, LIKELY


def _up(r: EditReader, node: ast.BinOp) -> list[Place]:
    """A quotient, rounded up."""
    a, b = r.inner(node.left), r.inner(node.right)
    return r.put(node, f"(({a} + {b} - 1) // {b})")


def _bound(r: EditReader, test: ast.expr, words: str) -> Edits:
    """``i < n`` for ``i + b <= n`` and ``i < n - b``; the number of blocks with the one that is not full."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], tuple(_STRICT)):
        return
    left, right = test.left, test.comparators[0]
    plain = left.left if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add) else left
    count = right.left if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Sub) else right
    if plain is not left or count is not right:
        yield r.put(test, f"{r.text(plain)} {_STRICT[type(test.ops[0])]} {r.text(count)}"), words, LIKELY
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.FloorDiv):
        yield _up(r, right), words, LIKELY
