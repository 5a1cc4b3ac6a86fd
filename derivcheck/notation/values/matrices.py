"""Inverses, determinants and Cholesky factors of matrices of numbers: float64 by LAPACK, any others by elimination.

Where there is none (a singular matrix has no inverse) the numbers are holes.

>>> from fractions import Fraction
>>> a = np.array([[Fraction(2), Fraction(1)], [Fraction(1), Fraction(1)]], dtype=object)
>>> from derivcheck.notation.values.exact import Exact
>>> print(Exact().matrix("inv", a).tolist())
[[Fraction(1, 1), Fraction(-1, 1)], [Fraction(-1, 1), Fraction(2, 1)]]
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

Rows = list[list[Any]]


class Scalars(Protocol):
    """What elimination asks of single numbers, beside ``+`` and ``*``."""

    def exactly(self, value: Any) -> Any: ...
    def sign(self, value: Any) -> Any: ...
    def one_power(self, base: Any, exponent: Any) -> Any: ...
    def one_value(self, name: str, values: Any) -> Any: ...


def of_floats(kind: str, a: Any, strict: bool = False) -> Any:
    """The same for float64 arrays ``[..., n, n]``, NaN where there is none; ``strict``: a factor of symmetric ones alone."""
    flat = a.reshape(-1, *a.shape[-2:])
    with np.errstate(all="ignore"):
        found = [np.full(m.shape, np.nan) if strict and kind == "cholesky" and _odd(m) else _of_one(kind, m) for m in flat]
    shape = a.shape if kind in ("inv", "cholesky") else a.shape[:-2]
    return np.array(found, dtype=np.float64).reshape(shape)


def _odd(m: Any) -> bool:
    """Whether a matrix is not symmetric, by more than rounding."""
    return bool((np.abs(m - m.T) > 1e-9 * np.abs(m).max(initial=0)).any())


def _of_one(kind: str, m: Any) -> Any:
    """Of one matrix of float64."""
    if kind == "det":
        return np.linalg.det(m)
    if kind in ("logdet", "logabsdet"):
        sign, size = np.linalg.slogdet(m)
        return size if kind == "logabsdet" or sign > 0 else -np.inf if sign == 0 else np.nan
    try:
        return np.linalg.inv(m) if kind == "inv" else np.linalg.cholesky((m + m.T) / 2)
    except np.linalg.LinAlgError:
        return np.full(m.shape, np.nan)


def eliminated(numbers: Scalars, kind: str, a: Any, strict: bool = False) -> Any:
    """Arrays ``[..., n, n]`` of single numbers, by elimination; None where there is no value."""
    n = a.shape[-1]
    out = np.empty(a.shape if kind in ("inv", "cholesky") else a.shape[:-2], dtype=object)
    for at in np.ndindex(*a.shape[:-2]):
        rows: Rows = [[a[(*at, i, j)] for j in range(n)] for i in range(n)]
        defined = all(v is not None for row in rows for v in row)
        if defined and strict and kind == "cholesky":
            defined = not _odd(np.array([[float(numbers.sign(v)) for v in row] for row in rows]))
        found = _KINDS[kind](numbers, rows) if defined else None
        if kind in ("inv", "cholesky"):
            for i in range(n):
                for j in range(n):
                    out[(*at, i, j)] = None if found is None else found[i][j]
        else:
            out[at] = found
    return out


def _combined(numbers: Scalars, row: list[Any], other: list[Any], factor: Any) -> list[Any]:
    """``row − factor · other``."""
    minus = numbers.exactly(Fraction(-1)) * factor
    return [u + minus * v for u, v in zip(row, other)]


def _pivot(numbers: Scalars, rows: Rows, k: int) -> int | None:
    """The row, from k on, whose k-th number is largest; None where all are 0."""
    best = max(range(k, len(rows)), key=lambda i: abs(numbers.sign(rows[i][k])))
    return best if numbers.sign(rows[best][k]) != 0 else None


def _inverse(numbers: Scalars, rows: Rows) -> Rows | None:
    """Gauss and Jordan's, on the matrix with the unit matrix beside it."""
    n = len(rows)
    one, zero = numbers.exactly(Fraction(1)), numbers.exactly(Fraction(0))
    work = [[*row, *(one if i == j else zero for j in range(n))] for i, row in enumerate(rows)]
    for k in range(n):
        p = _pivot(numbers, work, k)
        if p is None:
            return None
        work[k], work[p] = work[p], work[k]
        factor = numbers.one_power(work[k][k], Fraction(-1))
        work[k] = [factor * v for v in work[k]]
        for i in range(n):
            if i != k:
                work[i] = _combined(numbers, work[i], work[k], work[i][k])
    return [row[n:] for row in work]


def _determinant(numbers: Scalars, rows: Rows) -> Any:
    """The product of the pivots, with a sign for each exchange of rows."""
    work = [list(row) for row in rows]
    total = numbers.exactly(Fraction(1))
    for k in range(len(work)):
        p = _pivot(numbers, work, k)
        if p is None:  # 0, but its slopes are not known from here
            still = all(not getattr(v, "slopes", None) for row in rows for v in row)
            return numbers.exactly(Fraction(0)) if still else None
        if p != k:
            work[k], work[p] = work[p], work[k]
            total = numbers.exactly(Fraction(-1)) * total
        total = total * work[k][k]
        inverse = numbers.one_power(work[k][k], Fraction(-1))
        for i in range(k + 1, len(work)):
            work[i] = _combined(numbers, work[i], work[k], inverse * work[i][k])
    return total


def _logarithm(numbers: Scalars, rows: Rows, either_sign: bool) -> Any:
    det = _determinant(numbers, rows)
    if det is None or numbers.sign(det) == 0 or numbers.sign(det) < 0 and not either_sign:
        return None
    if numbers.sign(det) < 0:
        det = numbers.exactly(Fraction(-1)) * det
    return numbers.one_value("log", (det,))


def _cholesky(numbers: Scalars, rows: Rows) -> Rows | None:
    """The lower triangular factor of the symmetric part."""
    n = len(rows)
    zero, half, minus = (numbers.exactly(Fraction(*c)) for c in ((0,), (1, 2), (-1,)))
    out = [[zero] * n for _ in range(n)]
    for j in range(n):
        for i in range(j, n):
            rest = half * (rows[i][j] + rows[j][i])
            for k in range(j):
                rest = rest + minus * (out[i][k] * out[j][k])
            if i == j:
                if numbers.sign(rest) <= 0:
                    return None
                out[j][j] = numbers.one_power(rest, Fraction(1, 2))
                inverse = numbers.one_power(out[j][j], Fraction(-1))
            else:
                out[i][j] = rest * inverse
    return out


_KINDS: dict[str, Callable[[Scalars, Rows], Any]] = {
    "inv": _inverse,
    "det": _determinant,
    "logdet": lambda numbers, rows: _logarithm(numbers, rows, False),
    "logabsdet": lambda numbers, rows: _logarithm(numbers, rows, True),
    "cholesky": _cholesky,
}
