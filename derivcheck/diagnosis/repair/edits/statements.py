"""Statements, and one edit everywhere on a line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations, product

from derivcheck.diagnosis.repair.change import Change, Edits, Place
from derivcheck.diagnosis.repair.edits.loops import LIKELY
from derivcheck.diagnosis.repair.edits.operators import OPERATORS, OTHER, signs
from derivcheck.diagnosis.repair.edits.reader import EditReader


def assignment(r: EditReader, node: ast.AugAssign | ast.Assign) -> Edits:
    """``=`` for ``+=`` and the other way, its sign turned, or repeated indices that overwrite each other."""
    if isinstance(node, ast.AugAssign):
        op = OPERATORS.get(type(node.op))
        at = r.between(node.target, node.value, f"{op}=")
        if at is not None and op in OTHER:
            yield (
                [(at, f"{OTHER[op]}=")],
                f"`{r.short(node)}` has the wrong sign" if op in "+-" else f"`{op}=` is turned",
                1,
            )
        if at is not None:
            yield [(at, "=")], f"`{r.short(node)}` adds to what is there, and should put", 2
        yield r.put(node, "pass"), f"`{r.short(node)}` is a step too many", 2.5
    elif len(node.targets) == 1 and isinstance(node.targets[0], (ast.Name, ast.Subscript)):
        target = node.targets[0]
        at = r.between(target, node.value, " = ")
        if at is not None:
            likely = LIKELY if r.around_loop(node) and r.begun(target) else 1.5
            yield [(at, " += ")], f"`{r.short(node)}` overwrites what was accumulated: it should add to it", likely
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            index = r.text(target.slice)
            whole = f"({index})" if isinstance(target.slice, ast.Tuple) else f"({index},)"
            new = f"{r.text(target.value)}.index_put_({whole}, {r.text(node.value)}, accumulate=True)"
            said = f"`{r.short(node)}` overwrites where an index is repeated: it should accumulate"
            yield r.put(node, new), said, 1.6


def returned(r: EditReader, node: ast.Dict) -> Edits:
    """Two gradients, each under the other's name."""
    named = [(str(k.value), v) for k, v in zip(node.keys, node.values) if isinstance(k, ast.Constant)]
    for (a, x), (b, y) in combinations(named, 2):
        yield [*r.put(x, r.text(y)), *r.put(y, r.text(x))], f"the gradients of `{a}` and `{b}` are exchanged", 1.3


def of_lines(r: EditReader, root: ast.AST) -> Iterator[Change]:
    """One edit at several places of a line: a name in place of another, two exchanged, a factor, two signs."""
    for line, found in _names_by_line(r, root).items():
        here = sorted({n.id for n in found})
        for a, b in combinations(here, 2):
            other = {a: b, b: a}
            places = [p for n in found if n.id in other for p in r.put(n, other[n.id])]
            yield _change(r, places, f"`{a}` and `{b}` are exchanged", 2.5, line)
        for a in here:
            yield from _one_name(r, [n for n in found if n.id == a], line)
    turned: dict[int, list[list[Place]]] = {}
    for node in ast.walk(root):
        if isinstance(node, ast.BinOp) and (places := signs(r, node)):
            turned.setdefault(node.lineno, []).append(places)
    for line, several in turned.items():
        for pair in (p for pairs in combinations(several, 2) for p in product(*pairs)):
            one, two = pair[0][0], pair[1][0]
            if one[1] > two[0] and two[1] > one[0]:
                continue  # one inside the other
            yield _change(r, list(pair), f"two signs are wrong in `{' '.join(r.line(line).split())}`", 2.2, line)


def _one_name(r: EditReader, many: list[ast.Name], line: int) -> Iterator[Change]:
    """A name that stands at several places of a line, in some of them or in all."""
    if len(many) < 2:
        return
    a, others = many[0].id, [n for n in r.names(many[0]) if n != many[0].id]
    some = [c for k in range(2, len(many) + 1) for c in combinations(many, k)] if len(many) < 5 else [tuple(many)]
    for chosen in some:
        where = "" if len(chosen) == len(many) else f" at {len(chosen)} of {len(many)} places"
        cost = 2.5 if not where else 2.9
        for b in others:
            yield _change(r, [p for n in chosen for p in r.put(n, b)], f"`{a}` is read where `{b}` is meant{where}", cost, line)
            times = [p for n in chosen for p in r.put(n, f"({a} * {b})")]
            yield _change(r, times, f"the factor `{b}` is missing beside `{a}`{where}", cost + 0.2, line)
        for new, said in ((f"(1 - {a})", f"`1 - {a}` is meant where `{a}` stands{where}"),):
            yield _change(r, [p for n in chosen for p in r.put(n, new)], said, cost + 0.2, line)


def _names_by_line(r: EditReader, root: ast.AST) -> dict[int, list[ast.Name]]:
    names: dict[int, list[ast.Name]] = {}
    for n in ast.walk(root):
        if isinstance(n, ast.Name) and not r.untouched(n) and not r.module(n):
            up = r.around.get(n)
            if not (isinstance(up, ast.Call) and up.func is n):
                names.setdefault(n.lineno, []).append(n)
    return names


def _change(r: EditReader, places: list[Place], words: str, cost: float, line: int) -> Change:
    return Change(r.piece, tuple(places), words, cost, line)
