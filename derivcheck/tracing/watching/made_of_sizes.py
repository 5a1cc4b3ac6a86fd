"""What numbers that carry an expression have in common: comparisons, which are noted, and what they are made of."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.terms.build import number
from derivcheck.notation.terms.nodes import Term
from derivcheck.tracing.watching.log import Log
from derivcheck.tracing.watching.rational import exact

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


class MadeOfSizes:
    """A number with its expression; compared with others as fractions of integer expressions.

    Attributes:
        number: the plain number.
        term: what it is.
        log: takes its comparisons, and where it becomes a plain number.
        root: of which integer expression it is the square root.
    """

    number: Any
    log: Log
    root: Poly | None = None

    @property
    def term(self) -> Term:
        """The number as a term."""
        raise NotImplementedError

    @property
    def sizes(self) -> frozenset[str]:
        """The names of the sizes that it is made of."""
        return sizes_of_term(self.term)

    @property
    def fraction(self) -> tuple[Poly, Poly] | None:
        """The number as a quotient of integer expressions; None where it is none."""
        raise NotImplementedError

    def _compare(self, relation: str, other: Any) -> Any:
        """The comparison's outcome, noted as one of integer expressions; one that is none lets its sizes escape."""
        if not isinstance(other, (int, float)):
            return NotImplemented
        outcome = _TESTS[relation](bare(self), bare(other))
        mine, theirs = fraction(self), fraction(other)
        if mine is not None and theirs is not None:
            self.log.noted(relation, mine[0] * theirs[1], theirs[0] * mine[1], outcome, sys._getframe(2))
        elif self.root is not None and theirs is not None and bare(other) >= 0:
            left, right = self.root * theirs[1] ** 2, theirs[0] ** 2
            if theirs[0].constant is None and not nonnegative(theirs[0], 0):
                self.log.noted(">=", theirs[0], as_poly(0), True, sys._getframe(2))
            self.log.noted(relation, left, right, outcome, sys._getframe(2))
        elif not isinstance(other, float) or math.isfinite(other):
            self.log.escaped(sizes_in(self), "a comparison", sys._getframe(2))
            if isinstance(other, MadeOfSizes):
                self.log.escaped(sizes_in(other), "a comparison", sys._getframe(2))
        return outcome

    def __bool__(self) -> bool:
        return bool(self._compare("!=", 0))

    def __eq__(self, other: object) -> Any:
        return self._compare("==", other)

    def __ne__(self, other: object) -> Any:
        return self._compare("!=", other)

    def __lt__(self, other: Any) -> Any:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Any:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Any:
        return self._compare(">=", other)

    __hash__ = object.__hash__


def bare(value: Any) -> Any:
    """The plain number."""
    return value.number if isinstance(value, MadeOfSizes) else value


def sizes_in(value: Any) -> frozenset[str]:
    """The names of the sizes that a watched number is made of."""
    return value.sizes if isinstance(value, MadeOfSizes) else frozenset()


def sizes_of_term(term: Term) -> frozenset[str]:
    """The names of the sizes in a term."""
    value = getattr(term, "value", None)
    own = value.sizes() if isinstance(value, Poly) else frozenset()
    return own.union(*(sizes_of_term(t) for t in term.children))


def fraction(value: Any) -> tuple[Poly, Poly] | None:
    """A number as a quotient of integer expressions; None for roots, NaN, infinities and what is no number."""
    if isinstance(value, MadeOfSizes):
        return value.fraction
    if isinstance(value, int):
        return as_poly(int(value)), as_poly(1)
    if isinstance(value, float) and math.isfinite(value):
        simple = exact(value)
        return as_poly(simple.numerator), as_poly(simple.denominator)
    return None


def term_of(value: Any) -> Term | None:
    """A number as a term; None where it is not finite."""
    if isinstance(value, MadeOfSizes):
        return value.term
    return number(exact(float(value)) if isinstance(value, float) else Fraction(int(value))) if math.isfinite(value) else None


def escaping(kind: type, base: type, name: str) -> None:
    """Let a method give a plain number, and say so."""
    original, what = getattr(base, name), {"__repr__": "str", "__str__": "str"}.get(name, name.strip("_"))

    def method(self: Any, *args: Any) -> Any:
        self.log.escaped(sizes_in(self), what, sys._getframe(1))
        return original(bare(self), *(bare(a) for a in args))

    setattr(kind, name, method)
