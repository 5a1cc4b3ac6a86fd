"""``Σ|terms|``: the scale of the numbers that a gradient's last step adds up.

A gradient that is truly zero (a bias before batch norm) adds up numbers that cancel: its own size says
nothing, the size of what is added does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from derivcheck.checking.arithmetic import matrix_errors
from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.live import tensor
from derivcheck.checking.arithmetic.pairs import Pair
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.numbers import Whole


def scales(d: Definition, program: Program, pairs: Mapping[str, Pair], sizes: Mapping[str, int]) -> torch.Tensor:
    """``Σ|terms|`` of one definition, with every name in it at its value."""
    names = d.term.names | frozenset().union(*(p.names for p in d.dims)) if d.dims else d.term.names
    if d.name in names:
        return pairs[d.name].value.abs()
    arguments = tuple(Input(n, program.dims(n), program.kind(n)) for n in sorted(names))
    alone = Program(arguments, (d,), (d.name,))
    found = evaluate(alone, {n: pairs[n] for n in names}, sizes, Magnitudes())
    pair: Pair = found[d.name]
    return _size(pair)


class Magnitudes(Bound):
    """Pairs (value, Σ|terms|): sums add magnitudes, products multiply them, functions start anew."""

    def given(self, a: Any, name: str) -> Pair:
        value = a.value if isinstance(a, Pair) else torch.as_tensor(a).double()
        return Pair(value, value.abs())

    def number(self, value: Fraction) -> Pair:
        v = torch.tensor(value.numerator / value.denominator, dtype=torch.float64)
        return Pair(v, v.abs())

    def integers(self, values: Whole) -> Pair:
        v = tensor(values.values).double()
        return Pair(v, v.abs())

    def whole(self, a: Pair) -> Whole:
        return Whole(super().whole(Pair(a.value)).values)

    def add(self, a: Pair, b: Pair) -> Pair:
        return Pair(a.value + b.value, _size(a) + _size(b))

    def mul(self, a: Pair, b: Pair) -> Pair:
        return Pair(a.value * b.value, _size(a) * _size(b))

    def power(self, a: Pair, exponent: Any) -> Pair:
        v = super().power(Pair(a.value), exponent if isinstance(exponent, Fraction) else Pair(exponent.value)).value
        if isinstance(exponent, Fraction) and exponent.denominator == 1 and exponent > 0:
            return Pair(v, _size(a) ** int(exponent))
        return Pair(v, v.abs())

    def func(self, name: str, args: Sequence[Pair]) -> Pair:
        v = super().func(name, [Pair(a.value) for a in args]).value
        return Pair(v, v.abs())

    def compare(self, relation: str, a: Pair) -> Any:
        return super().compare(relation, Pair(a.value))

    def matmul(self, a: Pair, b: Pair) -> Pair:
        return Pair(a.value @ b.value, _size(a) @ _size(b))

    def sum(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        return Pair(a.value.sum(dims), _size(a).sum(dims))

    def prod(self, a: Pair, dims: tuple[int, ...]) -> Pair:
        found = super().prod(Pair(a.value), dims).value
        return Pair(found, found.abs())

    def extreme(self, kind: str, a: Pair, dims: tuple[int, ...]) -> Pair:
        found = super().extreme(kind, Pair(a.value), dims).value
        return Pair(found, found.abs())

    def place(self, kind: str, a: Pair, dims: tuple[int, ...]) -> Whole:
        return super().place(kind, Pair(a.value), dims)

    def matrix(self, kind: str, a: Pair) -> Pair:
        found = matrix_errors.value(kind, a.value)
        return Pair(found, found.abs())

    def finite(self, a: Pair) -> bool:
        return bool(torch.isfinite(a.value).all()) and bool(torch.isfinite(_size(a)).all())


def _size(a: Pair) -> torch.Tensor:
    return a.value.abs() if a.error is None else a.error
