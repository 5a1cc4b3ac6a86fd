"""What is made of a matrix, as the pages write it: its inverse, determinant, factor, a triangle of it."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.text.syntax import Application, At, Compare, Item, Name, Piece, Span
from derivcheck.notation.text.syntax import Chain as Product

KINDS = {"det": "det", "log det": "logdet", "log |det": "logabsdet", "chol": "cholesky"}
Matrix = tuple[Name, Name, Piece]  # row, column and element


def of_tensor(name: str, lead: list[Piece], span: Span, number: int) -> Matrix:
    """A tensor's matrix at these positions of its batch."""
    i, j = Name(span, f"row{number}"), Name(span, f"column{number}")
    return i, j, At(span, name, tuple(Item(p.span, p) for p in (*lead, i, j)))


def triangle(part: str, m: Matrix, span: Span) -> Matrix:
    """One triangle of it, 0 elsewhere."""
    i, j, body = m
    sides = (i, j) if part == "tril" else (j, i)
    return i, j, Product(span, ("*",), (Compare(span, (">=",), sides), body))


def made(kind: str, m: Matrix, places: list[Piece], span: Span) -> Piece:
    """The element or the number that is made of it."""
    i, j, body = m
    row, column = (span[0], span[1] + 1), (span[0], span[1] + 2)  # which index is which is told by where it stands
    return Application(span, kind, (Item(row, i), Item(column, j)), body, tuple(Item(p.span, p) for p in places))


def latex(line: Any) -> Piece | None:
    """What stands here in a line of LaTeX; None where nothing of the kind does."""
    start, at = line.here.span, line.k
    texts = [t.text for t in line.tokens[at : at + 3]]
    word = _word(line)
    if texts[:1] == [r"\det"] or texts[:2] == [r"\log", r"\det"] or texts == [r"\log", "|", r"\det"]:
        line.k += texts.index(r"\det") + 1
        kind = {0: "det", 1: "logdet", 2: "logabsdet"}[texts.index(r"\det")]
        found = _wrapped(line)
        if kind == "logabsdet":
            line.need("|")
        return made(kind, found, [], line.since(start))
    if word == "chol":
        line.k = line.closing(at + 1) + 1
        found = _wrapped(line)
        return made("cholesky", found, _places(line), line.since(start))
    if line.here.text == "(":
        end = _closing(line, at)
        if [t.text for t in line.tokens[end - 5 : end + 2]] == ["^", "{", "-", "1", "}", ")", "_"]:
            line.k += 1
            found = _matrix(line)
            line.k = end + 1
            return made("inv", found, _places(line), line.since(start))
    return None


def _closing(line: Any, begin: int) -> int:
    """Where the parenthesis closes."""
    depth = 0
    for k in range(begin, len(line.tokens)):
        depth += (line.tokens[k].text == "(") - (line.tokens[k].text == ")")
        if not depth:
            return k
    return begin


def _word(line: Any) -> str:
    if line.here.text != r"\operatorname":
        return ""
    return "".join(t.text for t in line.tokens[line.k + 2 : line.closing(line.k + 1)])


def _wrapped(line: Any) -> Matrix:
    line.need("(")
    found = _matrix(line)
    line.need(")")
    return found


def _matrix(line: Any) -> Matrix:
    start = line.here.span
    part = _word(line)
    if part in ("tril", "triu"):
        line.k = line.closing(line.k + 1) + 1
        return triangle(part, _wrapped(line), line.since(start))
    mapped = any(t.text == r"\mapsto" for t in line.tokens[line.k : line.k + 20])
    if line.at("(") and not mapped:
        return _wrapped(line)
    wrapped = line.take("(")
    if mapped:
        env, keys = dict(line.env), set(line.keys)
        letters = []
        for after in (",", r"\mapsto"):
            s, _ = line.marked(line.nucleus())
            line.env.pop(s.index, None)
            line.bind(s.index, line.since(start))
            letters.append(Name(line.since(start), line.env[s.index].key))
            line.need(after)
        body = line.expression()
        line.env, line.keys = env, keys
        found: Matrix = letters[0], letters[1], body
    else:
        s, _ = line.marked(line.nucleus())
        if s not in line.signs and line.take("_"):
            begin, end = line.group()
            s = line.lowered(s, begin, end)
        name = line.called(s, line.since(start))
        lead = _places(line) if line.at("_") else []
        found = of_tensor(name, lead, line.since(start), line.k)
    if wrapped:
        line.need(")")
    return found


def _places(line: Any) -> list[Piece]:
    """The positions below, side by side or with commas."""
    line.need("_")
    begin, end = line.group()
    found: list[Piece] = []
    after, line.k = line.k, begin
    apart = any(line._commas(begin, end)) or any(t.text in "+-" for t in line.tokens[begin:end])
    while line.k < end:
        if line.take(","):
            continue
        if not apart and line.here.kind == "number":  # 12 is the first row and the second column
            found += map(line.counted, line._digits(line._number()))
        else:
            found.append(line.counted(line.expression() if apart else line.element()[0]))
    line.k = after
    return found
