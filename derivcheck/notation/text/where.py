"""Conditions as a user writes them: what a layer is made for, ``"T % 2 == 0, S == T, D <= 8192, sigma > 0, det(A) > 0"``.

A condition of sizes alone is a :class:`~derivcheck.notation.program.requirements.Requirement`; one that reads tensors is
kept as a tree, for whoever has the tensors to evaluate.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from derivcheck.errors import InputError, NotationError
from derivcheck.notation.integers.polynomials import Index, Poly, Size, i_poly
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.build import MINUS_ONE, add, func, mul, number, power, ref, size_of
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.text import limits
from derivcheck.notation.text.positions import Integers
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Compare,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    children,
    read,
)

FUNCTIONS = ("det", "trace", "norm", "max", "min", "sum", "mean", "abs", "sqrt", "exp", "log")  # of data
EXAMPLE = "as in 'T % 2 == 0, D <= 8192, sigma > 0, det(A) > 0'"


@dataclass(frozen=True)
class Condition:
    """``left relation right``, as the user wrote it in ``text``."""

    text: str
    left: Piece
    relation: str
    right: Piece

    @property
    def names(self) -> frozenset[str]:
        """The names in it."""
        return frozenset(n.name for side in (self.left, self.right) for n in _within(side) if isinstance(n, Name))

    def __str__(self) -> str:
        return self.text


def parse_where(text: str) -> tuple[Condition, ...]:
    """The conditions of a text, parted by commas.

    Raises:
        NotationError: text that is none, in one sentence.

    >>> [str(c) for c in parse_where("T % 2 == 0, 0 < p < 1")]
    ['T % 2 == 0', '0 < p', 'p < 1']
    """
    if not isinstance(text, str):
        raise NotationError(f"where is of type {type(text).__name__}; expected conditions as text, {EXAMPLE}")
    shown = repr(limits.shortened(text))
    try:
        trees: list[Compare] = read(text, "conditions")
    except NotationError as e:
        what = str(e).partition("\n")[0].removeprefix("line 1, ")
        raise NotationError(f"where={shown}, {what}; expected conditions parted by commas, {EXAMPLE}") from None
    if not trees:
        raise NotationError(f"where={shown} says nothing; expected conditions parted by commas, {EXAMPLE}")
    found = []
    for tree, words in zip(trees, _apart(text)):
        for node in (n for side in tree.sides for n in _within(side)):
            if isinstance(node, (At, Compare)) or isinstance(node, Application) and node.body is not None:
                part = " ".join(text[node.span[0] : node.span[1]].split())
                raise NotationError(f"where={shown} has {part!r}; expected a condition on whole tensors, {EXAMPLE}")
            if isinstance(node, Application) and node.name not in FUNCTIONS:
                raise NotationError(f"where={shown} has the function {node.name!r}; expected one of {', '.join(FUNCTIONS)}")
        sides = list(zip(tree.sides, re.split(r"[<>=!]=?", words)))
        for relation, (left, one), (right, other) in zip(tree.relations, sides, sides[1:]):
            sign = "==" if relation == "=" else relation
            found.append(Condition(f"{' '.join(one.split())} {sign} {' '.join(other.split())}", left, sign, right))
    return tuple(found)


def _apart(text: str) -> list[str]:
    """The words of each condition: what stands between commas outside of brackets."""
    words, depth = [""], 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c in ",;\n" and not depth:
            words.append("")
        else:
            words[-1] += c
    return [w for w in words if w.strip()]


def of_sizes(condition: Condition, sizes: Mapping[str, Poly]) -> Requirement | None:
    """The condition as a relation between a Program's sizes; None where it reads a tensor.

    Args:
        sizes: what each name of a size is.

    Raises:
        NotationError: sizes in what is no integer expression.
    """
    if not condition.names <= sizes.keys():
        return None
    known = {Size(n): p for n, p in sizes.items()}
    sides = []
    for side in (condition.left, condition.right):
        reader = Integers(condition.text)
        try:
            found = reader.poly(side, {})
        except NotationError as e:
            raise NotationError(f"where says {condition.text!r}: {str(e).partition(chr(10))[0].partition(': ')[2]}") from None
        if found is None:
            raise NotationError(f"where says {condition.text!r}; between sizes expected whole numbers and + - * // % min max")
        sides.append(found.substitute(known))
    return Requirement(sides[0], condition.relation, sides[1])


def defined_where(condition: Condition, dims: Mapping[str, tuple[Poly, ...]], sizes: Mapping[str, Poly]) -> Term:
    """A term that is defined exactly where a condition on elements holds: ``log(x[i] - y[i])`` for ``x > y``.

    Args:
        dims: the dimensions of each tensor; all of one shape, or none.

    Raises:
        InputError: a condition on more than single elements.
    """
    shapes = {dims[n] for n in condition.names if dims.get(n)}
    beyond = InputError(f"where says {condition.text!r}; a proof takes inequalities between elements of one shape, or sizes")
    if len(shapes) > 1 or condition.relation == "==":
        raise beyond
    indices = [Index(f"i_{k}", p) for k, p in enumerate(next(iter(shapes), ()))]
    at = tuple(i_poly(i) for i in indices)

    def term(node: Piece) -> Term:
        """A side of a condition at the place at hand."""
        if isinstance(node, Num):
            return number(node.value)
        if isinstance(node, Item):
            return term(node.value)
        if isinstance(node, Name):
            return size_of(sizes[node.name]) if node.name in sizes else ref(node.name, *(at if dims[node.name] else ()))
        if isinstance(node, Negative):
            return mul(MINUS_ONE, term(node.operand))
        if isinstance(node, Power) and isinstance(node.exponent, Num):
            return power(term(node.base), number(node.exponent.value))
        if isinstance(node, Application) and node.name in ("exp", "log") and len(node.items) == 1:
            return func(node.name, term(node.items[0]))
        if isinstance(node, Chain) and not {"//", "%"} & set(node.operators):
            parts = [term(x) for x in node.operands]
            if node.operators[0] in "+-":
                return add(parts[0], *(p if o == "+" else mul(MINUS_ONE, p) for o, p in zip(node.operators, parts[1:])))
            return mul(parts[0], *(p if o == "*" else power(p, MINUS_ONE) for o, p in zip(node.operators, parts[1:])))
        raise beyond

    left, right = term(condition.left), term(condition.right)
    if condition.relation in ("<", "<="):
        left, right = right, left
    gap = add(left, mul(MINUS_ONE, right))
    if condition.relation == "!=":
        return power(gap, MINUS_ONE)
    return func("log", gap) if condition.relation in ("<", ">") else power(gap, number(Fraction(1, 2)))


def known_names(condition: Condition, sizes: Collection[str], tensors: Collection[str]) -> None:
    """Refuse a name that is neither a size nor an input.

    Raises:
        InputError: naming it.
    """
    for n in sorted(condition.names):
        if n not in sizes and n not in tensors:
            there = f"sizes are {', '.join(sizes) or 'none'}, inputs {', '.join(tensors)}"
            raise InputError(f"where says {condition.text!r}, and there is no {n!r}; {there}; dims= gives sizes their names")


def _within(node: Piece) -> Iterator[Piece]:
    yield node
    for child in children(node):
        yield from _within(child)
