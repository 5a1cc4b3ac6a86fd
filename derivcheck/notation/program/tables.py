"""Tensors of known numbers written into a Program: ``c[i] := 2*[i == 0] + 5*[i == 1]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul, number, size_of
from derivcheck.notation.terms.nodes import Term

LETTERS = "ijklabcd"


def tabled(program: Program, tables: Mapping[str, Any]) -> Program:
    """The Program with these inputs as definitions of what they hold.

    Args:
        tables: arrays of Fractions, ints or bools by input name; their sizes are numbers.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := c[n]*x[n]", {"c": "2", "x": "2"})
    >>> print(tabled(p, {"c": np.array([2, 5])}).definitions[0].term)
    2*[i == 0] + 5*[i - 1 == 0]
    """
    made = [_definition(a, np.asarray(tables[a.name])) for a in program.arguments if a.name in tables]
    arguments = tuple(a for a in program.arguments if a.name not in tables)
    return replace(program, arguments=arguments, definitions=(*made, *program.definitions))


def _definition(a: Input, table: Any) -> Definition:
    """The tensor as a sum of its numbers, each in brackets that are 1 at its place."""
    indices = tuple(Index(LETTERS[k % 8], p, k // 8) for k, p in enumerate(a.dims))
    places = list(np.ndindex(*table.shape))
    values = [table[at] for at in places]
    if a.kind == "int":
        whole = size_of(_whole(indices, places, [int(v) for v in values]))
        return Definition(a.name, indices, whole, True, "int", rule="table")
    term: Term = number(values[0])
    if len(set(values)) > 1:
        term = add(*(mul(number(v), *_at(indices, at)) for at, v in zip(places, values) if v))
    return Definition(a.name, indices, term, True, a.kind, rule="table")


def _at(indices: Sequence[Index], at: Sequence[int]) -> list[Term]:
    return [bracket("==", i_poly(i) - k) for i, k in zip(indices, at)]


def _whole(indices: Sequence[Index], places: Sequence[Sequence[int]], values: Sequence[int]) -> Poly:
    """The integers as an integer expression: a straight line where they are one, else one addend a place."""
    if len(indices) == 1 and len(values) > 1:
        step = values[1] - values[0]
        if all(v == values[0] + k * step for k, v in enumerate(values)):
            return values[0] + step * i_poly(indices[0])
    total = as_poly(0)
    for at, v in zip(places, values):
        one = as_poly(1)
        for i, k in zip(indices, at):
            one = one * (1 - extreme("min", 1, extreme("max", i_poly(i) - k, k - i_poly(i))))
        total = total + v * one
    return total
