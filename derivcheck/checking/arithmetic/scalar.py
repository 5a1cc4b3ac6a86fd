"""The scalar functions on torch tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from derivcheck.errors import UnsupportedOperation

_TORCH: dict[str, Callable[..., Any]] = {
    **{
        n: getattr(torch, n)
        for n in (
            "exp",
            "log",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "asinh",
            "acosh",
            "atanh",
            "erf",
            "erfc",
            "lgamma",
            "digamma",
            "sigmoid",
            "log1p",
            "expm1",
            "floor",
            "ceil",
            "trunc",
            "round",
            "sign",
            "atan2",
            "log2",
            "log10",
            "exp2",
            "hypot",
            "xlogy",
            "erfinv",
            "sinc",
        )
    },
    **{n: getattr(torch.special, n) for n in ("i0", "i1", "i0e", "i1e", "erfcx", "log_ndtr", "ndtri", "entr", "xlog1py")},
    "softplus": lambda x: x.clamp(min=0) + torch.log1p(torch.exp(-x.abs())),  # F.softplus is linear beyond 20
    "logsigmoid": F.logsigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "polygamma": lambda n, x: torch.polygamma(int(n.reshape(-1)[0]), x),
}
_SYMPY_NAMES = {"loggamma": "lgamma", "ceiling": "ceil"}


@lru_cache(maxsize=256)
def torch_function(name: str) -> Callable[..., Any]:
    """A scalar function on tensors: torch's own, or its row's expression evaluated node by node."""
    if name == "pi":
        return lambda: torch.tensor(math.pi, dtype=torch.float64)
    found = _TORCH.get(name)
    if found is not None:
        return found
    import sympy  # loaded when a scalar derivative is asked for

    from derivcheck.notation.functions.table import expression, functions  # loads SymPy

    row = functions().get(name)
    if row is None:
        raise UnsupportedOperation(name, "there is no such scalar function")
    symbols = sympy.symbols(f"x0:{row.arity}")
    tree = expression(name, symbols)
    return lambda *args: _walk(tree, dict(zip(symbols, args)))


def _walk(tree: Any, values: Mapping[Any, Any]) -> Any:
    """A SymPy expression on tensors: each node in torch's own spelling."""
    if tree in values:
        return values[tree]
    if not tree.args:
        return torch.tensor(float(tree), dtype=torch.float64)
    args = [_walk(a, values) for a in tree.args]
    if tree.is_Add:
        return sum(args[1:], args[0])
    if tree.is_Mul:
        return math.prod(args[1:], start=args[0])
    if tree.is_Pow:
        return args[0] ** args[1]
    name = type(tree).__name__
    if name == "Abs":
        return args[0].abs()
    name = _SYMPY_NAMES.get(name, name)
    if name in _TORCH:
        return _TORCH[name](*args)
    raise UnsupportedOperation(name, "it has no spelling on tensors")
