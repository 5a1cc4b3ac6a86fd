"""The edits of a text that are tried: signs, factors and addends, other names, indices, numbers, functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from derivcheck.diagnosis.repair.change import Change, Place, clipped
from derivcheck.diagnosis.repair.texts.tree import TextNode, TreePiece

Edits = Iterator[tuple[list[Place], str, float]]
_TURNED = {"+": "-", "-": "+", "*": "/", "/": "*", "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "!=", "!=": "=="}
_EDGE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
MOST_FACTORS = 14


def text_changes(piece: TreePiece, numbers: Sequence[float]) -> list[Change]:
    """The edits of a piece, cheapest first; ``numbers`` are those of the forward."""
    found: dict[str, Change] = {}
    for node in piece.root.every():
        for places, words, cost in _of(piece, node, numbers):
            c = Change(piece, tuple(places), words, cost, piece.number(node))
            text = c.text
            if text != piece.text and (text not in found or c.cost < found[text].cost):
                found[text] = c
    return sorted(found.values(), key=lambda c: c.cost)


def _of(p: TreePiece, node: TextNode, numbers: Sequence[float]) -> Edits:
    """The edits of one node."""
    kinds = {"sum": _sum, "product": _product, "negative": _negative, "call": _call, "compare": _compare, "assign": _assign}
    if node.kind in kinds:
        yield from kinds[node.kind](p, node)
    elif node.kind in ("name", "at"):
        yield from _name(p, node)
    elif node.kind == "number":
        yield from _number(p, node, numbers)
    if node.value and node.kind not in ("assign", "compare", "other"):
        yield from _around(p, node)


def _short(p: TreePiece, node: TextNode) -> str:
    return clipped(p.source(node))


def _operator(p: TreePiece, a: TextNode, b: TextNode, op: str) -> tuple[int, int] | None:
    """Where an operator stands between two nodes."""
    start, end = a.span[1], b.span[0]
    found = [m.span() for m in re.finditer(re.escape(op), p.text[start:end])]
    return (start + found[0][0], start + found[0][1]) if len(found) == 1 else None


def _sum(p: TreePiece, node: TextNode) -> Edits:
    """The signs of the addends, each left out, the two exchanged."""
    for k, op in enumerate(node.operators):
        a, b = node.children[k], node.children[k + 1]
        at = _operator(p, a, b, op)
        if at is None or op not in _TURNED:
            continue
        if node.value:
            yield [(at, _TURNED[op])], f"the addend `{_short(p, b)}` has the wrong sign", 1
        yield [((a.span[1], b.span[1]), "")], f"the addend `{_short(p, b)}` is one too many", 1.4
        if k == 0:
            sign = "-" if op == "-" else ""
            new = f"{sign}{p.inner(b)}" if sign else p.source(b)
            yield [((a.span[0], b.span[1]), new)], f"the addend `{_short(p, a)}` is one too many", 1.5
            if node.value and len(node.children) == 2 and op == "-":
                yield [(node.span, f"{p.inner(b)} - {p.inner(a)}")], f"`{_short(p, a)}` and `{_short(p, b)}` are exchanged", 1.3


def _product(p: TreePiece, node: TextNode) -> Edits:
    """Factors and divisors, turned and left out."""
    for k, op in enumerate(node.operators):
        a, b = node.children[k], node.children[k + 1]
        at = _operator(p, a, b, op)
        if at is None or op not in ("*", "/"):
            continue
        if node.value:
            said = (
                f"`{_short(p, b)}` is a factor where it divides"
                if op == "*"
                else f"`{_short(p, b)}` divides where it is a factor"
            )
            yield [(at, _TURNED[op])], said, 1
        what = "factor" if op == "*" else "divisor"
        yield [((a.span[1], b.span[1]), "")], f"the {what} `{_short(p, b)}` is one too many", 1.4
        if k == 0 and op == "*":
            yield [((a.span[0], b.span[0]), "")], f"the factor `{_short(p, a)}` is one too many", 1.5


def _negative(p: TreePiece, node: TextNode) -> Edits:
    if node.value:
        yield [(node.span, p.inner(node.children[0]))], f"`{_short(p, node)}` has the wrong sign", 1


def _call(p: TreePiece, node: TextNode) -> Edits:
    """Another function, the step left out, two arguments exchanged."""
    start = node.span[0]
    for other in p.functions(node.name):
        yield [((start, start + len(node.name)), other)], f"`{node.name}` stands where `{other}` is meant", 1.5
    if len(node.children) == 1 and node.value:
        new = f"({p.source(node.children[0])})"
        yield [(node.span, new)], f"`{node.name}` in `{_short(p, node)}` is a step too many", 2
    for a, b in combinations(node.children, 2):
        places = [(a.span, p.source(b)), (b.span, p.source(a))]
        yield places, f"`{_short(p, a)}` and `{_short(p, b)}` are exchanged", 2


def _compare(p: TreePiece, node: TextNode) -> Edits:
    """A mask turned, or with its edge."""
    for k, op in enumerate(node.operators):
        at = _operator(p, node.children[k], node.children[k + 1], op)
        if at is None:
            continue
        if op in _TURNED:
            yield [(at, _TURNED[op])], f"the mask `{_short(p, node)}` is turned the wrong way", 1
        if op in _EDGE:
            said = f"the mask `{_short(p, node)}` is wrong where both sides are equal: `{op}` should be `{_EDGE[op]}`"
            yield [(at, _EDGE[op])], said, 1


def _assign(p: TreePiece, node: TextNode) -> Edits:
    """What is put where it should be added, and the other way round."""
    a, b = node.children
    op = node.operators[0]
    at = _operator(p, a, b, op)
    if at is None:
        return
    if op == "=":
        yield [(at, "+=")], f"`{_short(p, node)}` overwrites what was accumulated: it should add to it", 1.5
    elif op in ("+=", "-="):
        yield [(at, "-=" if op == "+=" else "+=")], f"`{_short(p, node)}` has the wrong sign", 1
        yield [(at, "=")], f"`{_short(p, node)}` adds to what is there, and should put", 2


def _name(p: TreePiece, node: TextNode) -> Edits:
    """Another name, other indices."""
    text = p.source(node)
    for other in p.others(node):
        if other != text:
            yield [(node.span, other)], f"`{text}` is read where `{other}` is meant", 2
    if not node.value and node.kind == "name":
        for k in (" - 1", " + 1"):
            yield [(node.span, f"({text}{k})")], f"the index `{text}` is off by one", 2
    places = [c for c in node.children if c.kind in ("name", "number", "sum", "product")]
    for a, b in combinations(places, 2):
        new = [(a.span, p.source(b)), (b.span, p.source(a))]
        yield new, f"the indices of `{text}` are exchanged", 1.9
    inside = [n for c in node.children for n in c.every() if n.kind == "name"]
    for x, y in combinations(sorted({n.name for n in inside}), 2):
        exchanged = {x: y, y: x}
        swapped = [(n.span, exchanged[n.name]) for n in inside if n.name in exchanged]
        yield swapped, f"`{x}` and `{y}` are exchanged in `{text}`", 1.95


def _number(p: TreePiece, node: TextNode, numbers: Sequence[float]) -> Edits:
    """Another number, one of the forward's among them."""
    text = p.source(node)
    m = re.fullmatch(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(f|F)?", text)
    if m is None:
        return
    v, ending = float(m[1]), m[2] or ""
    whole = "." not in m[1] and "e" not in m[1].lower()
    options = (
        [(x, 2.0) for x in (v + 1, v - 1, 2 * v, v / 2)] + [(x, 1.8) for x in numbers] + [(x, 2.5) for x in (3 * v, v * v)]
    )
    for x, cost in options:
        if x == v or x < 0 or whole and not node.value and x != int(x):
            continue
        new = f"{int(x)}" if whole and x == int(x) else f"{x!r}{ending}"
        yield [(node.span, new)], f"the number {text} should be {new}", cost


def _around(p: TreePiece, node: TextNode) -> Edits:
    """What may be missing around an expression."""
    text, said = p.inner(node), _short(p, node)
    yield [(node.span, f"(-{text})")], f"`{said}` has the wrong sign", 1.4
    if node.kind == "number":
        return
    for new, words, cost in (
        (f"(2 * {text})", f"a factor 2 is missing at `{said}`", 1.6),
        (f"({text} / 2)", f"a factor 2 too many at `{said}`", 1.6),
        (f"(1 - {text})", f"`{said}` stands where `1 - {said}` is meant", 2),
        (f"(1 + {text})", f"`1 +` is missing before `{said}`", 2),
        (p.squared(text), f"a square is missing at `{said}`", 2),
    ):
        yield [(node.span, new)], words, cost
    for f in p.factors(node)[:MOST_FACTORS]:
        yield [(node.span, f"({text} * {f})")], f"the factor `{f}` is missing at `{said}`", 1.9
        yield [(node.span, f"({text} / {f})")], f"`{said}` has to be divided by `{f}`", 2.0
        for op, sign in (("+", ""), ("-", "-")):
            yield [(node.span, f"({text} {op} {f})")], f"the addend `{sign}{f}` is missing beside `{said}`", 2.1
        yield [(node.span, f"({text} * (1 - {f}))")], f"the factor `1 - {f}` is missing at `{said}`", 2.2
