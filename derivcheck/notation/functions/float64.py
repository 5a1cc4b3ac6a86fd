"""The scalar functions on float64 arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import expression, functions


def numpy_function(name: str) -> Callable[..., Any]:
    """A scalar function on float64 arrays: as its row computes it, else its expression node by node."""
    row = functions().get(name)
    if row is None:
        raise UnsupportedOperation(name, "there is no such scalar function")
    if row.float64 is not None:
        own: Callable[..., Any] = getattr(np, row.float64) if isinstance(row.float64, str) else partial(row.float64, np)
        return own
    import sympy  # slow to load, and most functions need none

    symbols = sympy.symbols(f"x0:{row.arity}")
    tree = expression(name, symbols)
    return lambda *args: _walk(tree, dict(zip(symbols, args)))


_OWN: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "sign": np.sign,
    "Max": lambda *args: np.maximum.reduce(np.broadcast_arrays(*args)),
    "Min": lambda *args: np.minimum.reduce(np.broadcast_arrays(*args)),
}


def _walk(tree: Any, values: Mapping[Any, Any]) -> Any:
    """A SymPy expression at float64 values of its symbols."""
    if tree in values:
        return values[tree]
    if not tree.args:
        return float(tree)
    args = [_walk(a, values) for a in tree.args]
    if tree.is_Add:
        return sum(args[1:], args[0])
    if tree.is_Mul:
        return math.prod(args[1:], start=args[0])
    if tree.is_Pow:
        return np.power(args[0], args[1])
    name = type(tree).__name__
    if name in _OWN:
        return _OWN[name](*args)
    own = next((row.name for row in functions().values() if row.sympy == name and row.float64 is not None), None)
    if own is None:
        raise UnsupportedOperation(name, "it has no spelling on float64 numbers")
    return numpy_function(own)(*args)
