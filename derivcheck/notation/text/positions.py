"""Syntax trees of index text to integer expressions: sizes and positions."""

from __future__ import annotations

from typing import Protocol

from derivcheck.errors import NotationError
from derivcheck.notation.integers.atoms import entry, extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly, size
from derivcheck.notation.text import limits
from derivcheck.notation.text.syntax import (
    WHOLE,
    Application,
    At,
    Chain,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    Star,
    complaint,
)

Env = dict[str, Index]


class Known(Protocol):
    """What names are."""

    sizes: set[str]

    def kind(self, name: str) -> str:
        """``float``, ``int`` or ``bool`` of a tensor."""
        ...


class Integers:
    """Syntax tree to integer expressions; without ``known`` names every name is a size."""

    def __init__(self, text: str, known: Known | None = None) -> None:
        self.text, self.known = text, known
        self.beyond = ""  # why the last integer expression was too large

    def poly(self, n: Piece, env: Env) -> Poly | None:
        """The node as an integer expression; None where it is not one, or beyond a limit."""
        if isinstance(n, Num):
            return self._within(as_poly(n.value.numerator)) if n.value.denominator == 1 else None
        if isinstance(n, Name):
            if n.name in env:
                return i_poly(env[n.name])
            known = self.known
            if known is None or n.name in known.sizes:
                return size(n.name)
            return entry(n.name) if known.kind(n.name) == "int" else None
        if isinstance(n, Item):
            return self.poly(n.value, env)
        if isinstance(n, At):
            if self.known is None or self.known.kind(n.name) != "int":
                return None
            return entry(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            inner = self.poly(n.operand, env)
            return None if inner is None else -inner
        if isinstance(n, Chain):
            return self._chain(n, env)
        if isinstance(n, Power):
            base = self.poly(n.base, env)
            exponent = None if base is None else self.poly(n.exponent, env)
            if base is None or exponent is None or exponent.constant is None or exponent.constant < 0:
                return None
            self.beyond = limits.integer_power(base, exponent.constant) or self.beyond
            return None if self.beyond else self._within(base**exponent.constant)
        if isinstance(n, Application) and n.body is None:
            if n.name == "size" and len(n.items) == 1:
                item = n.items[0]
                inside = item.value if isinstance(item, Item) else item
                if isinstance(inside, Name) and inside.name in env:
                    return env[inside.name].size
                raise complaint(self.text, n.span, "size(…) takes the name of an index that is bound here")
            if n.name in ("max", "min"):
                whole = []
                for x in n.items:
                    found = self.poly(x, env)
                    if found is None:
                        return None
                    whole.append(found)
                return self._within(extreme(n.name, *whole)) if whole else None
        return None

    def _chain(self, n: Chain, env: Env) -> Poly | None:
        """A chain of operators as an integer expression; None where it is not one."""
        if "/" in n.operators:
            return None
        total = self.poly(n.operands[0], env)
        for op, x in zip(n.operators, n.operands[1:]):
            right = None if total is None else self.poly(x, env)
            if total is None or right is None:
                return None
            if op in ("//", "%") and not right.terms:
                raise complaint(self.text, x.span, "a whole division by zero")
            total = self._within(WHOLE[op](total, right))
        return total

    def _within(self, p: Poly) -> Poly | None:
        wrong = limits.integer(p)
        self.beyond = wrong or self.beyond
        return None if wrong else p

    def _beyond(self, n: Piece, what: str) -> NotationError:
        """The complaint that something is no integer expression, or is too large a one."""
        kind = limits.Beyond if self.beyond else NotationError
        return complaint(self.text, n.span, self.beyond or what, kind)

    def size(self, n: Piece, env: Env, expected: str = "expected a size") -> Poly:
        """A size expression, in which every name is a size, or an index of ``env``."""
        self.beyond = ""
        found = self.poly(n, env)
        if found is None:
            raise self._beyond(n, f"{expected}: names, whole numbers, + - * //")
        return found

    def position(self, n: Piece, env: Env) -> Poly:
        """A position in brackets."""
        if isinstance(n, Star):
            raise complaint(self.text, n.span, f"the star group *{n.name} stands only in rows, where its rank is known")
        if isinstance(n, Item) and n.below is not None:
            raise complaint(self.text, n.span, "found '<' in a position; a size is given where an index is bound")
        self.beyond = ""
        found = self.poly(n, env)
        if found is None:
            text = limits.shortened(self.text[n.span[0] : n.span[1]])
            what = "as a position, expected an integer expression of indices, sizes and integer tensors"
            raise self._beyond(n, f"found {text!r} {what}")
        return found
