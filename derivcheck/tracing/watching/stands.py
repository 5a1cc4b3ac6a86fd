"""What stands for Python's own functions while the code runs, so that numbers made of sizes stay watched through them.

``min``, ``max``, ``len``, ``range``, ``operator.index`` and the functions of :mod:`math` are replaced where they live;
``int``, ``float``, ``type`` and what a module imported by name (``from math import sqrt``) in the modules that read sizes.
"""

from __future__ import annotations

import builtins
import math
import operator
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from types import FrameType
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.tracing.watching.made_of_sizes import bare, sizes_in
from derivcheck.tracing.watching.real import Real, float_of, logarithm2, raised, scalar
from derivcheck.tracing.watching.watched import Watched, chosen, greatest_divisor, poly_of, whole_root

_LEN, _INDEX, _MIN, _MAX, _RANGE, _LOG = len, operator.index, min, max, range, math.log
_watched = (Watched, Real)
_PLAIN = {list, tuple, dict, str, set}


def _is_watched(x: Any) -> bool:
    return type(x) is Watched or type(x) is Real


def _length(x: Any) -> int:
    # The interpreter makes an int of what __len__ returns.
    if type(x) in _PLAIN:  # torch's own, most of them
        return _LEN(x)
    if type(x) is Steps:
        return x.length()  # type: ignore[no-any-return]
    return x.shape[0] if isinstance(x, torch.Tensor) and x.ndim else _LEN(x)


def _index(x: Any) -> int:
    if type(x) is Watched:
        x.log.escaped(sizes_in(x), "operator.index", sys._getframe(1))
    return _INDEX(bare(x))


def _extreme(kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """A ``min`` or ``max`` that keeps the expressions of watched numbers, and is Python's own for all others."""

    def stand(*args: Any, **options: Any) -> Any:
        if _LEN(args) == 1 and not options:
            args = tuple(args[0])
            if not args:
                return real(args)
            return chosen(kind, args, real) if any(map(_is_watched, args)) else real(args)
        return chosen(kind, args, real) if not options and any(map(_is_watched, args)) else real(*args, **options)

    stand.__name__ = kind
    return stand


class _Stand(type):
    """A class that stands for a builtin one where watched numbers pass through it."""

    kind: type
    made: Callable[..., Any]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.made(*args, **kwargs)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.kind) or cls.kind is range and type(x) is Steps

    def __subclasscheck__(cls, c: type) -> bool:
        return issubclass(c, cls.kind)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.kind, name)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.kind

    def __hash__(cls) -> int:
        return hash(cls.kind)


def _int(*args: Any, **kwargs: Any) -> Any:
    if _LEN(args) == 1 and type(args[0]) is Watched:
        return args[0]
    if _LEN(args) == 1 and type(args[0]) is Real:
        return args[0].__trunc__()
    return int(*args, **kwargs)


def _float(*args: Any) -> float:
    return float_of(args[0]) if args and type(args[0]) is Watched else float(*args)


def class_of(t: torch.Tensor) -> type[torch.Tensor]:
    """The class that a tensor without data stands for."""
    return torch.nn.Parameter if getattr(t, "_is_param", False) else torch.Tensor


def _type(*args: Any, **kwargs: Any) -> Any:
    """What code compares with ``torch.Tensor``: a tensor without data is none of its own kind there."""
    return class_of(args[0]) if _LEN(args) == 1 and type(args[0]) in (FakeTensor, FunctionalTensor) else type(*args, **kwargs)


class Steps:
    """A range that ends where a size says.  That a loop over it goes round so often is noted when one does."""

    def __init__(self, start: Any, stop: Any, step: Any) -> None:
        self.start, self.stop, self.step = start, stop, step
        self.plain = _RANGE(*map(bare, (start, stop, step)))
        self.log = next(n.log for n in (start, stop, step) if type(n) is Watched)
        if type(step) is Watched and not nonnegative(step.poly - 1):
            self.log.noted(">" if bare(step) > 0 else "<", step.poly, as_poly(0), True, sys._getframe(3))

    def _gap(self) -> tuple[Any, Any]:
        by, gap = poly_of(self.step), poly_of(self.stop) - poly_of(self.start)
        return (by, gap) if bare(self.step) > 0 else (-by, -gap)

    def length(self) -> Any:
        """How many steps it has."""
        by, gap = self._gap()
        return Watched.of(_LEN(self.plain), extreme("max", (gap + by - 1) // by, 0), self.log)

    def _noted(self, frame: FrameType) -> None:
        (by, gap), count = self._gap(), _LEN(self.plain)
        if by.constant == 1:
            self.log.noted("==" if count else "<=", gap, as_poly(count), True, frame, loop=True)
            return
        self.log.noted("<=", gap, count * by, True, frame, loop=True)
        if count:
            self.log.noted(">", gap, (count - 1) * by, True, frame, loop=True)

    def __iter__(self) -> Iterator[Any]:
        self._noted(sys._getframe(1))
        if type(self.start) is Watched or type(self.step) is Watched:
            return iter([self.start + k * self.step for k in _RANGE(_LEN(self.plain))])
        return iter(self.plain)

    def __reversed__(self) -> Iterator[Any]:
        return iter([*self][::-1])

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [*self][at]
        return self.start + (self.length() + at if bare(at) < 0 else at) * self.step

    def __contains__(self, x: Any) -> bool:
        up = self.step > 0
        return bool((self.start <= x < self.stop if up else self.stop < x <= self.start) and (x - self.start) % self.step == 0)

    def __len__(self) -> int:  # asked from C, which goes on to iterate where it matters; Python's len is stood for
        return _LEN(self.plain)

    def __bool__(self) -> bool:
        return bool(self.length() > 0)

    def __eq__(self, other: object) -> bool:
        return [*self] == [*other] if isinstance(other, (Steps, _RANGE)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _range(*args: Any) -> Any:
    if not any(type(a) is Watched for a in args):
        return _RANGE(*args)
    start, stop, step = (0, args[0], 1) if _LEN(args) == 1 else (*args, 1)[:3]
    return Steps(start, stop, step)


_CLASSES: dict[Any, Any] = {
    kind: _Stand(kind.__name__, (), {"kind": kind, "made": staticmethod(stand)})
    for kind, stand in ((int, _int), (float, _float), (range, _range), (type, _type))
}


def _root(x: Any) -> Any:
    return raised(x, 0.5, x.log)


def _logarithm(x: Any, base: Any = None) -> Any:
    value = _LOG(bare(x)) if base is None else _LOG(bare(x), bare(base))
    natural = scalar("log", _LOG(bare(x)), x) if type(x) in _watched else _LOG(x)
    if base is None:
        return natural
    below = scalar("log", _LOG(bare(base)), base) if type(base) in _watched else None
    whole = natural / (_LOG(base) if below is None else below)
    return _of_value(whole, value)


def _of_value(found: Any, value: float) -> Any:
    if type(found) is not Real:
        return value
    return Real(value, found.term, found.log)


_MATH: dict[str, Callable[..., Any]] = {
    "sqrt": _root,
    "log": _logarithm,
    "log2": logarithm2,
    "gcd": greatest_divisor,
    "isqrt": whole_root,
    "log10": lambda x, real=math.log10: scalar("log10", real(bare(x)), x),
    "exp": lambda x, real=math.exp: scalar("exp", real(bare(x)), x),
    "pow": lambda x, y: raised(float_of(x), float_of(y), x.log if type(x) in _watched else y.log),
    "floor": lambda x: x.__floor__(),
    "ceil": lambda x: x.__ceil__(),
    "trunc": lambda x: x.__trunc__(),
    "fabs": lambda x: abs(float_of(x)),
}


def _math_stand(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """A function of ``math`` that keeps the expressions of watched numbers where it is known how; else their sizes escape."""
    known = _MATH.get(name)

    def stand(*args: Any, **kwargs: Any) -> Any:
        """Python's own unless a number is watched."""
        if not any(type(a) in _watched for a in args):
            return real(*args, **kwargs)
        if known is not None and not kwargs:
            return known(*args)
        for a in args:
            if type(a) in _watched:
                a.log.escaped(sizes_in(a), f"math.{name}", sys._getframe(1))
        return real(*map(bare, args), **kwargs)

    return stand


def _product(values: Any, *, start: Any = 1) -> Any:
    return reduce(operator.mul, values, start)


_IN_MATH = {n: _math_stand(n, f) for n, f in vars(math).items() if callable(f) and not isinstance(f, type)}
_IN_MATH["prod"] = _product
_IN_BUILTINS: dict[str, Any] = {
    "len": _length, "min": _extreme("min", _MIN), "max": _extreme("max", _MAX), "range": _CLASSES[range]
}  # fmt: skip
_BY_NAME: dict[int, Any] = {id(getattr(math, n)): stand for n, stand in _IN_MATH.items()}

#: What torch's own Python asks of a number that may be a size.
SYMBOLIC: dict[Any, Callable[..., Any]] = {
    torch.sym_int: _int,
    torch.sym_float: _float,
    torch.sym_min: _IN_BUILTINS["min"],
    torch.sym_max: _IN_BUILTINS["max"],
}


_found: dict[int, tuple[int, list[str]]] = {}


def _named(names: dict[str, Any]) -> list[str]:
    """The names under which a module may hold functions of :mod:`math`; looked for again when it has got other names."""
    known = _found.get(id(names))
    if known is None or known[0] != len(names):
        known = _found[id(names)] = (len(names), [n for n, value in names.items() if id(value) in _BY_NAME])
    return known[1]


class Stands:
    """Puts the stands in their places, and takes them out again."""

    def __init__(self) -> None:
        self._changed: list[tuple[dict[str, Any], str, Any]] = []
        self.modules: dict[int, dict[str, Any]] = {}

    def within(self, names: dict[str, Any]) -> None:
        """In a module that handles sizes, given by its names."""
        if id(names) in self.modules:
            return
        self.modules[id(names)] = names
        for name in _named(names):
            stand = _BY_NAME.get(id(names.get(name)))
            if stand is not None:
                self._put(names, name, stand)
        for kind in (int, float, type):
            if kind.__name__ not in names:
                self._put(names, kind.__name__, _CLASSES[kind])

    def _put(self, names: dict[str, Any], name: str, stand: Any) -> None:
        self._changed.append((names, name, names.get(name, self)))
        names[name] = stand

    @contextmanager
    def watching(self, modules: Iterable[dict[str, Any]] = ()) -> Iterator[None]:
        """While the code runs, in these modules from the start."""
        for name, stand in _IN_BUILTINS.items():
            self._put(vars(builtins), name, stand)
        for name, stand in _IN_MATH.items():
            self._put(vars(math), name, stand)
        self._put(vars(operator), "index", _index)
        for names in modules:
            self.within(names)
        try:
            yield
        finally:
            for names, name, before in reversed(self._changed):
                if before is self:
                    names.pop(name, None)
                else:
                    names[name] = before
            self._changed.clear()
