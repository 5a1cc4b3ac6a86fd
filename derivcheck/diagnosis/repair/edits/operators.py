"""Operators: signs, addends and factors that are one too many, exponents, masks."""

from __future__ import annotations

import ast

from derivcheck.diagnosis.repair.edits.reader import EditReader, Edits, Place

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
    left, right = node.left, node.right
    if op is None:
        return
    at = r.between(left, right, op)
    if at is not None and op in OTHER:
        said = {
            "+": f"the addend `{r.short(right)}` has the wrong sign",
            "-": f"the addend `{r.short(right)}` has the wrong sign",
            "*": f"`{r.short(right)}` is a factor where it divides",
            "/": f"`{r.short(right)}` divides where it is a factor",
        }.get(op, f"`{op}` (the {'remainder' if op == '%' else 'quotient'}) stands where the other is meant")
        yield [(at, OTHER[op])], said, 1
    a, b = r.short(left), r.short(right)
    if op in "+-":
        yield r.put(node, f"({r.text(left)})"), f"the addend `{b}` is one too many", 1.4
        sign = "-" if op == "-" else ""
        yield r.put(node, f"({sign}{r.inner(right)})"), f"the addend `{a}` is one too many", 1.5
    elif op in ("*", "/"):
        said = "the factor" if op == "*" else "the divisor"
        yield r.put(node, f"({r.text(left)})"), f"{said} `{b}` is one too many", 1.4
        other = r.text(right) if op == "*" else f"1 / {r.inner(right)}"
        yield r.put(node, f"({other})"), f"the factor `{a}` is one too many", 1.5
    elif op == "**":
        yield r.put(node, f"({r.text(left)})"), f"the power `{b}` of `{a}` is one too many", 2
        if isinstance(right, ast.Constant) and isinstance(right.value, (int, float)) or isinstance(right, ast.UnaryOp):
            for k in ("2", "3", "-1", "-2", "-3", "0.5", "-0.5", "1.5", "-1.5"):
                yield (
                    r.put(right, k if not k.startswith("-") else f"({k})"),
                    f"the exponent of `{a}` is {b}, and should be {k}",
                    2,
                )
    elif op == "@":
        for x, y, what in ((f"{r.inner(left)}.mT", None, a), (None, f"{r.inner(right)}.mT", b)):
            new = f"{x or r.inner(left)} @ {y or r.inner(right)}"
            yield r.put(node, f"({new})"), f"`{what}` has to be transposed", 2
        yield r.put(node, f"({r.inner(right)} @ {r.inner(left)})"), f"`{a}` and `{b}` are exchanged", 2
        yield (
            r.put(node, f"({r.inner(left)} * {r.inner(right)})"),
            "a matrix product stands for one of elements",
            3,
        )
    elif op in "&|":
        for way, gone in ((left, b), (right, a)):
            yield r.put(node, f"({r.text(way)})"), f"the condition `{gone}` is one too many", 2
    elif op == "%":
        for n in r.names(node):
            new = f"({r.inner(left)} // ({n} // {r.inner(right)}))"
            yield (
                r.put(node, new),
                f"`{r.short(node)}` (the remainder) stands where the group, a quotient, is meant",
                3,
            )
    if op in ("-", "/", "**", "%", "//"):
        cost = 1.3 if op == "-" else 2
        yield r.put(node, f"({r.inner(right)} {op} {r.inner(left)})"), f"`{a}` and `{b}` are exchanged", cost


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
