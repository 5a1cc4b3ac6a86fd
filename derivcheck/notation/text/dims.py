"""Named dimensions as a user writes them: ``"N in"``, ``"N h*d"``, ``"3 2*m"``, ``"int<V: N T>"``."""

from __future__ import annotations

import re
from functools import lru_cache

from derivcheck.errors import NotationError
from derivcheck.notation.integers.polynomials import Poly, as_poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.text import limits
from derivcheck.notation.text.positions import Integers
from derivcheck.notation.text.syntax import Piece, read

_TYPED = re.compile(r"(float|int|bool)\s*(?:<([^:>]*)(?::([^>]*))?>(.*)|:(.*))$", re.S)
_RUN_TOGETHER = re.compile(r"(?<!\w)\d+[^\W\d]")  # 2N, which might mean 2*N or "2 N"
_BESIDE = re.compile(r"\b(?!(?:max|min)\b)(\w+) \(")  # M (K//2) are two sizes


def _apart(text: str) -> str:
    """The text with a space for each comma that stands in no parentheses: ``max(N, 2)`` keeps its own."""
    depth, out = 0, ""
    for c in text:
        depth += (c == "(") - (c == ")")
        out += " " if c == "," and depth < 1 else c
    return out


@lru_cache(maxsize=4096)
def parse_dims(text: str) -> tuple[Poly, ...]:
    """Dimensions as a user writes them, parted by spaces or commas: ``"N in"``, ``"N h*d"``, ``"3 2*m"``.

    Raises:
        NotationError: text that is no list of sizes.

    >>> parse_dims("N h*d 3")
    (N, d*h, 3)
    >>> parse_dims("N M (K//2)"), parse_dims("N max(K - 3, 0)")
    ((N, M, (K//2)), (N, max(0, K - 3)))
    """
    words = _apart(text).split()
    if all(w.isidentifier() and not limits.name(w) or w.isdecimal() and len(w) < 16 for w in words):  # no grammar needed
        found = tuple(as_poly(int(w)) if w.isdecimal() else size(w) for w in words)
    else:
        shown = repr(limits.shortened(text))
        try:
            if _RUN_TOGETHER.search(text):
                raise NotationError(text)
            joined = _BESIDE.sub(r"\1, (", " ".join(words))
            found = tuple(size_expression(n, joined) for n in read(joined, "sizes"))
        except limits.Beyond as e:
            what = str(e).partition("\n")[0].partition(": ")[2] if str(e).startswith("line ") else str(e)
            raise limits.Beyond(f"{shown}: {what}") from None
        except NotationError:
            raise NotationError(f"{shown} is no list of sizes; expected names, numbers and + - * //, as in 'N 2*m'") from None
    if len(found) > limits.RANK:
        raise limits.Beyond(f"{len(found)} dimensions; torch's tensors have at most {limits.RANK}")
    return found


def parse_input(name: str, text: str) -> Input:
    """An input with its dimensions: ``"N in"``, or ``"int<V: N T>"`` for integers below V (the ``>`` may be left out).

    Raises:
        NotationError: text that is no list of dimensions; the input is named.

    >>> parse_input("ids", "int<V: N T>").below
    V
    """
    if not isinstance(text, str):
        raise NotationError(f"dims of {name!r}: expected text such as 'N in', found {type(text).__name__}")
    if limits.name(name):
        raise limits.Beyond(f"dims: {limits.name(name)}")
    try:
        closed = text if ">" in text or "<" not in text else text + ">"
        typed = _TYPED.match(closed.strip())
        if typed is None:
            return Input(name, parse_dims(text))
        kind, first, inside, after, plain = typed.groups()
        if plain is not None:
            return Input(name, parse_dims(plain), kind)
        if inside is None:
            return Input(name, parse_dims(f"{first} {after or ''}"), kind)
        bound = parse_dims(first)
        if kind != "int" or len(bound) != 1:
            raise NotationError(
                f"expected one bound for int entries before ':', as in 'int<V: N T>', found {limits.shortened(text)!r}"
            )
        return Input(name, parse_dims(f"{inside} {after or ''}"), kind, bound[0])
    except NotationError as e:
        raise type(e)(f"dims of {name!r}: {e}") from None


def size_expression(node: Piece, text: str) -> Poly:
    """A size expression, in which every name is a size."""
    return Integers(text).size(node, {})
