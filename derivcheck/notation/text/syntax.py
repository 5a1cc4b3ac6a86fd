"""Index text as a syntax tree: the grammar's side of :mod:`derivcheck.notation.text.parse`.

The tree says what stands where; which names are indices, sizes or tensors is decided later.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from derivcheck.errors import NotationError
from derivcheck.notation.text import limits

Span = tuple[int, int]
#: What the operators of a chain do to integer expressions.
WHOLE: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the text, with where it stands in it."""

    span: Span


@dataclass(frozen=True, slots=True)
class Num(Piece):
    """A number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Name(Piece):
    """A name without brackets: an index, a size, a tensor of no dimensions or a constant."""

    name: str


@dataclass(frozen=True, slots=True)
class Star(Piece):
    """A star group ``*n``: any number of indices."""

    name: str


@dataclass(frozen=True, slots=True)
class Item(Piece):
    """What stands in brackets or binds an index: an expression, perhaps with ``< size``."""

    value: Piece
    below: Piece | None = None


@dataclass(frozen=True, slots=True)
class At(Piece):
    """``name[places]``."""

    name: str
    places: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Chain(Piece):
    """Operands with an operator before each but the first: ``+ -``, or ``* / // %``."""

    operators: tuple[str, ...]
    operands: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Negative(Piece):
    """``-operand``."""

    operand: Piece


@dataclass(frozen=True, slots=True)
class Power(Piece):
    """``base ^ exponent``."""

    base: Piece
    exponent: Piece


@dataclass(frozen=True, slots=True)
class Application(Piece):
    """``name(items)`` or, with a body, ``name(items: body)``; of a matrix, perhaps the element ``places`` of that."""

    name: str
    items: tuple[Piece, ...]
    body: Piece | None = None
    places: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Compare(Piece):
    """``[a < b <= c]``."""

    relations: tuple[str, ...]
    sides: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Define(Piece):
    """``name[items] := body``; ``mark`` is ``no gradient``, ``int``, ``bool`` or nothing."""

    name: str
    items: tuple[Piece, ...]
    body: Piece
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Declare(Piece):
    """``input name[sizes] kind`` or ``output name, name``."""

    word: str
    names: tuple[str, ...]
    sizes: tuple[Piece, ...]
    kind: str = ""
    below: Piece | None = None


def complaint(text: str, span: Span, what: str, kind: type[NotationError] = NotationError) -> NotationError:
    """A NotationError that shows where in the text something stands."""
    start = min(span[0], len(text))
    line = text.count("\n", 0, start) + 1
    begin = text.rfind("\n", 0, start) + 1
    end = text.find("\n", begin)
    shown = text[begin : len(text) if end < 0 else end]
    column = start - begin
    width = max(1, min(span[1], begin + len(shown)) - start)
    lead = column - 60 if column > 90 else 0
    excerpt = shown[lead : lead + 120]
    what = limits.shortened(what, 500)
    return kind(f"line {line}, column {column + 1}: {what}\n    {excerpt}\n    {' ' * (column - lead)}{'^' * min(width, 120)}")


_WORDS = {
    "RSQB": "']'",
    "RPAR": "')'",
    "LSQB": "'['",
    "NAME": "a name",
    "NUMBER": "a number",
    "ASSIGN": "':='",
    "EQUAL": "'='",
    "PLUS": "an operator",
    "MINUS": "an operator",
    "STAR": "an operator",
    "OVER": "an operator",
    "_POWER": "an operator",
    "LESS": "'<'",
    "RELATION": "a comparison",
    "COLON": "':'",
    "COMMA": "','",
    "LPAR": "'('",
    "_NL": "the end of the line",
    "$END": "the end of the text",
    "MARK": "'(no gradient)'",
}
_STARTS = {"a name", "a number", "'('", "'['"}


class _Refused(Exception):
    """A token beyond a limit, with its place."""

    def __init__(self, span: Span, what: str) -> None:
        super().__init__(what)
        self.span = span


class _Lines:
    """Drops the newlines that do not end a definition."""

    always_accept = ("_NL",)
    _joins = frozenset({"PLUS", "MINUS", "STAR", "OVER", "_POWER", "ASSIGN", "EQUAL", "LESS", "RELATION", "COLON", "COMMA"})
    _leads = frozenset({"PLUS", "MINUS", "STAR", "OVER", "_POWER", "ASSIGN", "EQUAL"})

    def process(self, stream: Iterator[Any]) -> Iterator[Any]:
        """Newlines end a definition, but not inside brackets, after an operator or before one; too long words are refused."""
        depth, before, pending = 0, "", None
        for token in stream:
            kind = token.type
            if kind in ("NUMBER", "NAME"):
                wrong = limits.literal(str(token)) if kind == "NUMBER" else limits.name(str(token))
                if wrong:
                    raise _Refused((token.start_pos, token.end_pos), wrong)
            if kind == "_NL":
                if depth == 0 and before and before not in self._joins and (pending is None or token == ";"):
                    pending = token
                continue
            if pending is not None:
                if kind not in self._leads or pending == ";":
                    yield pending
                pending = None
            depth += (kind in ("LSQB", "LPAR")) - (kind in ("RSQB", "RPAR"))
            before = kind
            yield token


def _build() -> Any:
    """The tree builders; a function because lark is imported only when there is text to read."""
    from lark import Token, Transformer  # only where there is text to read

    def between(first: Any, last: Any) -> Span:
        start = first.start_pos if isinstance(first, Token) else first.span[0]
        end = last.end_pos if isinstance(last, Token) else last.span[1]
        return int(start or 0), int(end or 0)

    class Build(Transformer):  # type: ignore[type-arg]
        def number(self, c: list[Any]) -> Piece:
            return Num((c[0].start_pos, c[0].end_pos), Fraction(str(c[0])))

        def name(self, c: list[Any]) -> Piece:
            return Name((c[0].start_pos, c[0].end_pos), str(c[0]))

        def indices(self, c: list[Any]) -> list[Any]:
            return c

        def item(self, c: list[Any]) -> Piece:
            return Item(between(c[0], c[-1]), c[0], c[2] if len(c) > 1 else None)

        def star(self, c: list[Any]) -> Piece:
            return Star(between(c[0], c[1]), str(c[1]))

        def sum(self, c: list[Any]) -> Piece:
            return Chain(between(c[0], c[-1]), tuple(map(str, c[1::2])), tuple(c[::2]))

        product = sum

        def negative(self, c: list[Any]) -> Piece:
            return Negative(between(c[0], c[1]), c[1])

        def positive(self, c: list[Any]) -> Any:
            return c[1]

        def power(self, c: list[Any]) -> Piece:
            return Power(between(c[0], c[-1]), c[0], c[-1])

        def at(self, c: list[Any]) -> Piece:
            inside = c[1]
            return At(between(c[0], inside[-1]), str(c[0]), tuple(inside[:-1]))

        def call(self, c: list[Any]) -> Piece:
            items = [x for x in c[1:] if isinstance(x, (Item, Star))]
            colon = any(isinstance(x, Token) and x.type == "COLON" for x in c)
            return Application(between(c[0], c[-1]), str(c[0]), tuple(items), c[-2] if colon else None)

        def element(self, c: list[Any]) -> Piece:
            call: Application = c[0]
            return replace(call, span=between(call, c[1][-1]), places=tuple(c[1][:-1]))

        def bracket(self, c: list[Any]) -> Piece:
            return Compare(between(c[0], c[-1]), tuple(map(str, c[2:-1:2])), tuple(c[1:-1:2]))

        def definition(self, c: list[Any]) -> Piece:
            items = c[1][:-1] if isinstance(c[1], list) else []
            mark = str(c[-1]).strip("( \t)") if isinstance(c[-1], Token) else ""
            body = c[-2] if mark else c[-1]
            return Define((c[0].start_pos, c[0].end_pos), str(c[0]), tuple(items), body, mark)

        def declaration(self, c: list[Any]) -> Piece:
            """``input x[N, in] int < V`` or ``output y``."""
            sizes: tuple[Piece, ...] = ()
            below, names = None, []
            for x in c[1:]:
                if isinstance(x, list):
                    sizes = tuple(x[:-1])
                elif isinstance(x, Piece):
                    below = x
                elif x.type == "NAME":
                    names.append(str(x))
            kind = ""
            if str(c[0]) == "input" and len(names) == 2:
                kind = names.pop()
            return Declare(between(c[0], c[1]), str(c[0]), tuple(names), sizes, kind, below)

        def program(self, c: list[Any]) -> list[Any]:
            return c

        def term(self, c: list[Any]) -> Any:
            return c[0]

        sizes = conditions = program

        def comparison(self, c: list[Any]) -> Piece:
            return Compare(between(c[0], c[-1]), tuple(map(str, c[1::2])), tuple(c[::2]))

    return Build()


@lru_cache(maxsize=1)
def _parser() -> Any:
    """The parser; one for all starts, built once."""
    from lark import Lark  # only where there is text to read

    grammar = (files("derivcheck.notation.text") / "grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start=["program", "term", "sizes", "conditions"],
        transformer=_build(),
        postlex=_Lines(),
        maybe_placeholders=False,
    )


def read(text: str, start: str) -> Any:
    """The syntax tree of a ``program`` (a list of Define and Declare), a ``term``, ``sizes`` or ``conditions`` (lists).

    Raises:
        NotationError: the text is not index text; the message says where, what was found and what was expected.
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken  # see _build

    if not isinstance(text, str):
        raise NotationError(f"expected index text, found {type(text).__name__}")
    if len(text) > limits.TEXT:
        raise limits.Beyond(f"index text of {len(text)} characters; expected at most {limits.TEXT}")
    try:
        found = _parser().parse(text, start=start)
    except _Refused as e:
        raise complaint(text, e.span, str(e), limits.Beyond) from None
    except UnexpectedCharacters as e:
        at = int(e.pos_in_stream or 0)
        raise complaint(text, (at, at + 1), f"found {text[at]!r}, expected {_expected(e.allowed)}") from None
    except UnexpectedToken as e:
        if e.token.type == "$END":
            raise complaint(
                text, (len(text.rstrip()), len(text)), f"the text ends where {_expected(e.expected)} was expected"
            ) from None
        at = int(e.token.start_pos or 0)
        found = "the end of the line" if e.token.type == "_NL" else repr(str(e.token))
        raise complaint(text, (at, at + len(str(e.token))), f"found {found}, expected {_expected(e.expected)}") from None
    except UnexpectedInput as e:
        raise NotationError(f"the text cannot be read: {e}") from None
    bounded(text, found if isinstance(found, list) else [found], "" if start in ("sizes", "conditions") else _NAME_PARTS)
    return found


_NAME_PARTS = ": name parts in definitions of their own"


def bounded(text: str, nodes: list[Piece], advice: str) -> None:
    """Refuse what is too deep or too long; without recursion, since it may be deep."""
    stack = [(n, 0) for n in nodes]
    while stack:
        n, depth = stack.pop()
        if isinstance(n, Chain):
            most, what = (limits.ADDENDS, "addends") if n.operators[0] in "+-" else (limits.FACTORS, "factors")
            if len(n.operands) > most:
                raise complaint(text, n.span, f"{len(n.operands)} {what}; expected at most {most}{advice}", limits.Beyond)
        if depth > limits.DEPTH:
            raise complaint(text, n.span, f"more than {limits.DEPTH} levels inside one another{advice}", limits.Beyond)
        stack.extend((c, depth + (not isinstance(n, Item))) for c in children(n))


def _expected(terminals: Any) -> str:
    words = {_WORDS.get(t, t.lower()) for t in terminals or ()} - {"the end of the text", "'(no gradient)'"}
    if words >= _STARTS:
        words = words - _STARTS - {"an operator"} | {"an expression"}
    return " or ".join(sorted(words)) or "the end of the text"


@cache
def _parts(kind: type) -> tuple[str, ...]:
    """The names of what a kind of node is made of."""
    return tuple(f.name for f in fields(kind))


def children(node: Piece) -> Iterator[Piece]:
    """The nodes directly inside, in reading order."""
    kind: type = type(node)
    for name in _parts(kind):
        value = getattr(node, name)
        if isinstance(value, Piece):
            yield value
        elif isinstance(value, tuple):
            for x in value:
                if isinstance(x, Piece):
                    yield x


def changed(node: Piece, change: Callable[[Piece], Piece]) -> Piece:
    """The same node with a change made to those directly inside."""
    new: dict[str, Any] = {}
    for f in fields(node):
        value = getattr(node, f.name)
        if isinstance(value, Piece):
            new[f.name] = change(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Piece):
            new[f.name] = tuple(map(change, value))
    return replace(node, **new) if new else node
