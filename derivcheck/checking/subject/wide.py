"""Running a user's code in float64 as if it had been written for it: no cast inside it rounds, what it makes is float64 too.

Code that upcasts (``x.float()`` in a norm, meant for half precision) would round float64 inputs to float32, code that makes
tensors (``torch.zeros(n)``) would mix types, and so would the tensors that it holds (a module in a closure).  None of them is
a fault of its mathematics, which float64 is there to see.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

R = TypeVar("R")
NARROW = (torch.float32, torch.float16, torch.bfloat16)
CASTS = {torch.Tensor.float: torch.float32, torch.Tensor.half: torch.float16, torch.Tensor.bfloat16: torch.bfloat16}
_DTYPE = torch.Tensor.dtype.__get__  # type: ignore[attr-defined]


class Widening(TorchFunctionMode):
    """Reads every narrower floating-point type and tensor as float64, and keeps which types the code casts to."""

    def __init__(self) -> None:
        super().__init__()
        self.met: set[torch.dtype] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CASTS:
            self.met.add(CASTS[func])
            return args[0].double()
        name = getattr(func, "__name__", "")
        tensors = func == _DTYPE if name == "__get__" else not _writes(name)  # other attributes are those of the tensor itself
        given = {k: self._wide(v, tensors) for k, v in (kwargs or {}).items()}
        return func(*(self._wide(a, tensors) for a in args), **given)

    def _wide(self, value: Any, tensors: bool) -> Any:
        """The same value without narrow types in it, in lists and tuples too."""
        if isinstance(value, torch.dtype) and value in NARROW:
            self.met.add(value)
            return torch.float64
        if isinstance(value, torch.Tensor):
            return value.double() if tensors and value.dtype in NARROW else value
        if type(value) in (list, tuple):
            return type(value)(self._wide(v, tensors) for v in value)
        return value


def _writes(name: str) -> bool:
    """Whether a function of torch writes into a tensor that it is given: a wider copy of it would take the numbers."""
    own = ("__set__", "__setitem__", "__deepcopy__")
    return name.endswith("_") and not name.endswith("__") or name in own or name.startswith("__i")


@contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[Widening]:
    """Code that runs inside computes in float64 where that is the dtype; in any other dtype it is left as it is.

    >>> with computing_in(torch.float64) as widening:
    ...     (torch.ones(2).double().float() + torch.zeros(2)).dtype, widening.met
    (torch.float64, {torch.float32})
    """
    widening = Widening()
    if dtype is not torch.float64:
        yield widening
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with widening:
            yield widening
    finally:
        torch.set_default_dtype(before)


def widened(run: Callable[..., R], held: frozenset[str], met: set[torch.dtype] | None = None) -> Callable[..., R]:
    """The same call, computed in float64 where its tensors are float64, but for those that the code holds itself.

    Args:
        met: takes the types that the code casts to.
    """

    @functools.wraps(run)
    def wide(tensors: Mapping[str, torch.Tensor], *more: Any) -> R:
        double = any(t.dtype is torch.float64 for n, t in tensors.items() if n not in held)
        with computing_in(torch.float64 if double else torch.float32) as widening:
            if met is not None:
                widening.met = met
            return run(tensors, *more)

    return wide
