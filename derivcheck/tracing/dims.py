"""Named dimensions as a user writes them: ``"N in"``, ``"N h*d"``, ``"3 2*m"``, ``"int<V: N T>"``.

>>> spec = read_dims("ids", "int<V: N T>")
>>> spec.kind, spec.dims, spec.below
('int', (N, T), V)
>>> read_dims("x", "N h*d").dims
(N, d*h)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from derivcheck.errors import InputError
from derivcheck.notation.sizes import Poly, as_poly, size

_TYPED = re.compile(r"\s*(float|int|bool)\s*(?:<\s*([^:>]*?)\s*(?::([^>]*))?>\s*(.*)|:(.*))$", re.S)
_TOKEN = re.compile(r"\s*(?:(\d+)|([^\W\d]\w*)|(//|[-+*()]))")


@dataclass(frozen=True)
class Dims:
    """The dimensions of an input: sizes, kind, and for integers the size that entries stay below."""

    dims: tuple[Poly, ...]
    kind: str = "float"
    below: Poly | None = None


def read_dims(name: str, text: str) -> Dims:
    """Read the dimensions of input ``name``.

    Raises:
        InputError: text that is no list of dimensions.
    """
    if not isinstance(text, str):
        raise InputError(f"dims of {name!r}: expected text such as 'N in', found {type(text).__name__}")
    typed = _TYPED.match(text)
    if typed is None:
        return Dims(_sizes(name, text))
    kind, first, inside, after, plain = typed.groups()
    if plain is not None:
        return Dims(_sizes(name, plain), kind)
    if inside is None:  # "bool<N T>", "float<N>"
        return Dims(_sizes(name, first + " " + (after or "")), kind)
    if kind != "int":
        raise InputError(f"dims of {name!r}: only int entries have a bound; write 'int<V: N T>' or '{kind}<N T>'")
    bound = _sizes(name, first)
    if len(bound) != 1:
        raise InputError(f"dims of {name!r}: expected one bound before ':', found {first!r}")
    return Dims(_sizes(name, inside + " " + (after or "")), "int", bound[0])


def _sizes(name: str, text: str) -> tuple[Poly, ...]:
    return tuple(_expression(name, part) for part in _split(text))


def _split(text: str) -> list[str]:
    """Dimensions stand apart by spaces or commas; an operator binds what stands beside it."""
    parts = re.sub(r"\s*(//|[-+*])\s*", r"\1", text.replace(",", " "))
    out: list[str] = []
    depth, word = 0, ""
    for c in parts:
        depth += (c == "(") - (c == ")")
        if c.isspace() and depth == 0:
            if word:
                out.append(word)
            word = ""
        else:
            word += c
    return [*out, word] if word else out


def _expression(name: str, text: str) -> Poly:
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InputError(f"dims of {name!r}: {text!r} is no size; expected names, whole numbers, + - * //")
        tokens.append(found.group().strip())
        at = found.end()
    stream = iter([*tokens, ""])
    value, rest = _sum(name, text, next(stream), stream)
    if rest:
        raise InputError(f"dims of {name!r}: {text!r} is no size; {rest!r} was not expected")
    return value


def _sum(name: str, text: str, token: str, stream: Iterator[str]) -> tuple[Poly, str]:
    value, token = _product(name, text, token, stream)
    while token in ("+", "-"):
        right, after = _product(name, text, next(stream), stream)
        value, token = (value + right if token == "+" else value - right), after
    return value, token


def _product(name: str, text: str, token: str, stream: Iterator[str]) -> tuple[Poly, str]:
    value, token = _atom(name, text, token, stream)
    while token in ("*", "//"):
        right, after = _atom(name, text, next(stream), stream)
        value, token = (value * right if token == "*" else value // right), after
    return value, token


def _atom(name: str, text: str, token: str, stream: Iterator[str]) -> tuple[Poly, str]:
    if token == "(":
        value, token = _sum(name, text, next(stream), stream)
        if token != ")":
            raise InputError(f"dims of {name!r}: {text!r} lacks a closing parenthesis")
        return value, next(stream)
    if token.isdigit():
        return as_poly(int(token)), next(stream)
    if token.isidentifier():
        return size(token), next(stream)
    raise InputError(f"dims of {name!r}: {text!r} is no size; expected names, whole numbers, + - * //")
