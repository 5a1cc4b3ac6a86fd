"""Operators: signs, addends and factors that are one too many, exponents, masks."""

from __future__ import annotations

import ast
from collections.abc import Callable

from derivcheck.diagnosis.repair.change import Edits, Place
from derivcheck.diagnosis.repair.edits.reader import EditReader

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
    ast.FloorDiv: "//",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
OTHER = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "//", "//": "%", "&": "|", "|": "&"}
_COMPARED: dict[type[ast.cmpop], str] = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}


def operation(r: EditReader, node: ast.BinOp) -> Edits:
    """Another operator, an operand too many, operands exchanged, or a matrix product that has to be transposed."""
    op = OPERATORS.get(type(node.op))
    if op is None:
        return
    left, right = node.left, node.right
    a, b = r.short(left), r.short(right)
    at = r.between(left, right, op)
    if at is not None and op in OTHER:
        said = {
            "+": f"the addend `{b}` has the wrong sign",
            "-": f"the addend `{b}` has the wrong sign",
            "*": f"`{b}` is a factor where it divides",
            "/": f"`{b}` divides where it is a factor",
        }.get(op, f"`{op}` (the {'remainder' if op == '%' else 'quotient'}) stands where the other is meant")
        yield [(at, OTHER[op])], said, 1
    if op in _BY_OPERATOR:
        yield from _BY_OPERATOR[op](r, node)
    if op == "-" and not _is_sum(r.around.get(node)):
        yield r.put(node, f"({_turned(r, node)})"), f"`{r.short(node)}` has the wrong sign", 1.3
    if op in ("-", "/", "**", "%", "//"):
        yield r.put(node, f"({r.inner(right)} {op} {r.inner(left)})"), f"`{a}` and `{b}` are exchanged", 2


def _is_sum(node: ast.AST | None) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def _turned(r: EditReader, node: ast.BinOp) -> str:
    """A sum with every sign turned: ``b - a`` for ``a - b``."""
    addends: list[tuple[str, ast.expr]] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and _is_sum(left):
        addends.insert(0, ("-" if isinstance(left.op, ast.Add) else "+", left.right))
        left = left.left
    addends.insert(0, ("-", left))
    ordered = [a for a in addends if a[0] == "+"] + [a for a in addends if a[0] == "-"]
    text = " ".join(f"{sign} {r.text(x) if not _is_sum(x) else r.inner(x)}" for sign, x in ordered)
    return text.removeprefix("+ ")


def _sum(r: EditReader, node: ast.BinOp) -> Edits:
    yield r.put(node, f"({r.text(node.left)})"), f"the addend `{r.short(node.right)}` is one too many", 1.4
    sign = "-" if isinstance(node.op, ast.Sub) else ""
    yield r.put(node, f"({sign}{r.inner(node.right)})"), f"the addend `{r.short(node.left)}` is one too many", 1.5


def _product(r: EditReader, node: ast.BinOp) -> Edits:
    times = isinstance(node.op, ast.Mult)
    said = "the factor" if times else "the divisor"
    yield r.put(node, f"({r.text(node.left)})"), f"{said} `{r.short(node.right)}` is one too many", 1.4
    other = r.text(node.right) if times else f"1 / {r.inner(node.right)}"
    yield r.put(node, f"({other})"), f"the factor `{r.short(node.left)}` is one too many", 1.5


def _power(r: EditReader, node: ast.BinOp) -> Edits:
    """Another exponent, or none; of those that derivatives bring."""
    right, a, b = node.right, r.short(node.left), r.short(node.right)
    yield r.put(node, f"({r.text(node.left)})"), f"the power `{b}` of `{a}` is one too many", 1.5 if b == "2" else 2
    if isinstance(right, ast.Constant) and isinstance(right.value, (int, float)) or isinstance(right, ast.UnaryOp):
        for k in ("2", "3", "-1", "-2", "-3", "0.5", "-0.5", "1.5", "-1.5"):
            new = k if not k.startswith("-") else f"({k})"
            yield r.put(right, new), f"the exponent of `{a}` is {b}, and should be {k}", 2


def _matrix_product(r: EditReader, node: ast.BinOp) -> Edits:
    """A factor transposed, both exchanged, or a product of elements in its place."""
    left, right = r.inner(node.left), r.inner(node.right)
    a, b = r.short(node.left), r.short(node.right)
    for k, t in enumerate(r.transposed):
        yield r.put(node, f"({left}.{t} @ {right})"), f"`{a}` has to be transposed", 2 + k / 20
        yield r.put(node, f"({left} @ {right}.{t})"), f"`{b}` has to be transposed", 2 + k / 20
    yield r.put(node, f"({right} @ {left})"), f"`{a}` and `{b}` are exchanged", 2
    yield r.put(node, f"({left} * {right})"), "a matrix product stands for one of elements", 3
    for other in r.names(node):
        if all(n.id != other for n in ast.walk(node) if isinstance(n, ast.Name)):
            yield [(r.enclosed(node), other)], f"`{r.short(node)}` stands where `{other}` is meant", 2.04


def _condition(r: EditReader, node: ast.BinOp) -> Edits:
    for way, gone in ((node.left, node.right), (node.right, node.left)):
        yield r.put(node, f"({r.text(way)})"), f"the condition `{r.short(gone)}` is one too many", 2


def _remainder(r: EditReader, node: ast.BinOp) -> Edits:
    for n in r.names(node):
        new = f"({r.inner(node.left)} // ({n} // {r.inner(node.right)}))"
        yield r.put(node, new), f"`{r.short(node)}` (the remainder) stands where the group, a quotient, is meant", 3


_BY_OPERATOR: dict[str, Callable[[EditReader, ast.BinOp], Edits]] = {
    "+": _sum,
    "-": _sum,
    "*": _product,
    "/": _product,
    "**": _power,
    "@": _matrix_product,
    "&": _condition,
    "|": _condition,
    "%": _remainder,
}


def unary(r: EditReader, node: ast.UnaryOp) -> Edits:
    said = "has the wrong sign" if isinstance(node.op, ast.USub) else "is turned round"
    if isinstance(node.op, (ast.USub, ast.Invert, ast.Not)):
        yield r.put(node, f"({r.text(node.operand)})"), f"`{r.short(node)}` {said}", 1


def comparison(r: EditReader, node: ast.Compare) -> Edits:
    """The comparison turned, open or closed at its end, or off by one."""
    if len(node.ops) != 1 or (op := _COMPARED.get(type(node.ops[0]))) is None:
        return
    at = r.between(node.left, node.comparators[0], op)
    if at is None:
        return
    for new in (">", ">=", "<", "<=") if op[0] in "<>" else ("==", "!="):
        if new != op:
            turned = new[0] != op[0]
            said = "turned the wrong way" if turned else f"wrong where both sides are equal: `{op}` should be `{new}`"
            yield [(at, new)], f"the mask `{r.short(node)}` is {said}", 1 + (turned and len(new) != len(op))
    for k in (" - 1", " + 1"):
        side = node.comparators[0]
        yield r.put(side, f"({r.text(side)}{k})"), f"the mask `{r.short(node)}` is shifted by one", 2.5


def signs(r: EditReader, node: ast.BinOp) -> list[Place]:
    """The signs of the two addends, turned."""
    op = OPERATORS.get(type(node.op), "")
    at = r.between(node.left, node.right, op) if op in ("+", "-") else None
    return [] if at is None else [(at, OTHER[op]), (r.piece.span(node.left), f"(-{r.inner(node.left)})")]
