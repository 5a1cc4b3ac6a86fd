"""The numbers that a term can be evaluated on: what :func:`derivcheck.notation.values.evaluator.evaluate` asks of them.

Integers (positions, masks, witnesses) are NumPy arrays whatever the numbers are.  The kinds here are ``Numpy`` (float64)
and ``Exact`` (rational numbers), a file each.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Positions = tuple[Any, ...]  # per dimension: an int, a slice or an integer array


class Mask(NamedTuple):
    """Where a bracket holds; ``open`` marks where numbers known only within an error cannot tell.

    ``scatter``: it compares with entries of an integer tensor, so a sum under it is a scatter-add.
    """

    holds: Bools
    open: Bools | None = None
    scatter: bool = False


class Whole(NamedTuple):
    """Integers, with a mark where numbers known only within an error cannot tell."""

    values: Ints
    open: Bools | None = None


class Numbers(Protocol):
    """Arrays of numbers of some kind.  All operations broadcast as NumPy does; only ``put`` may change an operand."""

    def given(self, array: Any, name: str) -> Any: ...  # an input
    def number(self, value: Fraction) -> Any: ...  # of no dimensions
    def integers(self, values: Whole) -> Any: ...
    def whole(self, a: Any) -> Whole: ...
    def indicator(self, mask: Mask) -> Any: ...  # 1 where it holds, else 0
    def held(self, a: Any) -> Any: ...  # the same values, of which no derivative is taken
    def added(self, total: Any, parts: Sequence[Any]) -> Any: ...  # three or more, whose order is no matter of meaning
    def shape(self, a: Any) -> tuple[int, ...]: ...
    def reshape(self, a: Any, shape: Sequence[int]) -> Any: ...
    def permute(self, a: Any, order: Sequence[int]) -> Any: ...
    def expand(self, a: Any, shape: Sequence[int]) -> Any: ...
    def take(self, a: Any, positions: Positions, open: Bools | None) -> Any: ...
    def zeros(self, shape: Sequence[int]) -> Any: ...
    def put(self, a: Any, axis: int, k: int, value: Any) -> Any: ...  # a with its k-th slice along axis replaced; may change a
    def add(self, a: Any, b: Any) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def power(self, a: Any, exponent: Any) -> Any: ...  # a Fraction or an array
    def func(self, name: str, args: Sequence[Any]) -> Any: ...
    def compare(self, relation: str, a: Any) -> Mask: ...  # with 0
    def where(self, mask: Mask, a: Any) -> Any: ...  # a where it holds, else 0, whatever a is there
    def matmul(self, a: Any, b: Any) -> Any: ...  # [B, M, K] × [B, K, N]
    def sum(self, a: Any, dims: tuple[int, ...]) -> Any: ...
    def prod(self, a: Any, dims: tuple[int, ...]) -> Any: ...
    def extreme(self, kind: str, a: Any, dims: tuple[int, ...]) -> Any: ...  # max or min
    def place(self, kind: str, a: Any, dims: tuple[int, ...]) -> Whole: ...  # argmax or argmin, row-major over dims
    def matrix(self, kind: str, a: Any) -> Any: ...  # of square matrices [..., n, n], by the kinds of terms.nodes.MATRICES
    def finite(self, a: Any) -> bool: ...
    def same(self, a: Any, b: Any) -> bool: ...
