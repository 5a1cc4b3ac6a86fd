"""Named dimensions as a user writes them: ``"N in"``, ``"N h*d"``, ``"3 2*m"``, ``"int<V: N T>"``."""

from __future__ import annotations

import re
from functools import lru_cache

from derivcheck.errors import NotationError
from derivcheck.notation.program import Input
from derivcheck.notation.reader import Reader
from derivcheck.notation.sizes import Poly, as_poly, size
from derivcheck.notation.syntax import Node, complaint, read

_TYPED = re.compile(r"\s*(float|int|bool)\s*(?:<\s*([^:>]*?)\s*(?::([^>]*))?>\s*(.*)|:(.*))$", re.S)
_RUN_TOGETHER = re.compile(r"(?<!\w)\d+[^\W\d]")  # 2N, which might mean 2*N or "2 N"


@lru_cache(maxsize=4096)
def parse_dims(text: str) -> tuple[Poly, ...]:
    """Dimensions as a user writes them, parted by spaces or commas: ``"N in"``, ``"N h*d"``, ``"3 2*m"``.

    Raises:
        NotationError: text that is no list of sizes.

    >>> parse_dims("N h*d 3")
    (N, d*h, 3)
    """
    words = text.replace(",", " ").split()
    if all(w.isidentifier() or w.isdecimal() for w in words):  # no need to load the grammar
        return tuple(as_poly(int(w)) if w.isdecimal() else size(w) for w in words)
    try:
        if _RUN_TOGETHER.search(text):
            raise NotationError(text)
        return tuple(size_expression(n, text) for n in read(" ".join(words), "sizes"))
    except NotationError:
        raise NotationError(f"{text!r} is no list of sizes; expected names, numbers and + - * //, as in 'N 2*m'") from None


def parse_input(name: str, text: str) -> Input:
    """An input with its dimensions: ``"N in"``, or ``"int<V: N T>"`` for integers below V (the ``>`` may be left out).

    Raises:
        NotationError: text that is no list of dimensions; the input is named.

    >>> parse_input("ids", "int<V: N T>").below
    V
    """
    if not isinstance(text, str):
        raise NotationError(f"dims of {name!r}: expected text such as 'N in', found {type(text).__name__}")
    try:
        closed = text if ">" in text or "<" not in text else text + ">"
        typed = _TYPED.match(closed)
        if typed is None:
            return Input(name, parse_dims(text))
        kind, first, inside, after, plain = typed.groups()
        if plain is not None:
            return Input(name, parse_dims(plain), kind)
        if inside is None:
            return Input(name, parse_dims(f"{first} {after or ''}"), kind)
        bound = parse_dims(first)
        if kind != "int" or len(bound) != 1:
            raise NotationError(f"expected one bound for int entries before ':', as in 'int<V: N T>', found {text!r}")
        return Input(name, parse_dims(f"{inside} {after or ''}"), kind, bound[0])
    except NotationError as e:
        raise NotationError(f"dims of {name!r}: {e}") from None


def size_expression(node: Node, text: str) -> Poly:
    """A size expression, in which every name is a size."""
    found = Reader(text, None).poly(node, {})
    if found is None:
        raise complaint(text, node.span, "expected a size: names, whole numbers, + - * //")
    return found
