"""Reductions over some dimensions or all: sums, means, extremes, norms, variances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.brackets import opposite
from derivcheck.notation.terms.build import ZERO, add, div, func, mul, power, size_of, sub
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.substitute import extremum, product, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Dtype, Sample, bools, floats, ints, row, sample
from derivcheck.operators.language.values import Position, Value, finite, nonzero, not_a_number, test
from derivcheck.operators.pointwise.elementwise import root

Axes = int | Sequence[int] | None


@dataclass(frozen=True)
class ReducedAxes:
    """What a reduction runs over.

    Attributes:
        out: the indices of the result, with one of size 1 for each kept dimension.
        inner: the indices that are reduced.
        at: the positions in the operand.
        axes: the reduced dimensions.
    """

    out: tuple[Index, ...]
    inner: tuple[Index, ...]
    at: tuple[Index, ...]
    axes: tuple[int, ...]

    @property
    def count(self) -> Poly:
        """The number of elements that go into one."""
        return numel(i.size for i in self.inner)

    @property
    def kept(self) -> tuple[Index, ...]:
        """The indices of ``at`` that are not reduced."""
        return tuple(i for i in self.at if i not in self.inner)


def over(b: Builder, dims: Sequence[Poly], dim: Axes = None, keepdim: bool = False, k: int = 0) -> ReducedAxes:
    """A reduction of a tensor of ``dims`` over ``dim`` (None or nothing: all)."""
    rank = len(dims)
    given = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(sorted({d % rank for d in given})) if given and rank else tuple(range(rank))
    shape = [as_poly(1) if a in axes else d for a, d in enumerate(dims) if keepdim or a not in axes]
    shape = list(b.dims(shape, k))
    out: list[Index] = []
    at: list[Index] = []
    inner: list[Index] = []
    for a, d in enumerate(dims):
        if a not in axes:
            i = b.index(shape[a if keepdim else len(out)])
            out.append(i)
            at.append(i)
        else:
            at.append(b.index(d))
            inner.append(at[-1])
            if keepdim:
                out.append(b.index(as_poly(1)))
    return ReducedAxes(tuple(out), tuple(inner), tuple(at), axes)


def line(at: Sequence[Index], axis: int, p: Position) -> tuple[Position, ...]:
    """The same position with another place along one axis."""
    return (*at[:axis], p, *at[axis + 1 :])


_ALL = (sample(floats(2, 3, 5)), sample(floats()), sample(floats(1, 3)))
_SOME = (
    sample(floats(2, 3, 5), [0, 2]),
    sample(floats(2, 3, 5), [1], True),
    sample(floats(2, 3, 5), [-1]),
    sample(floats(2, 1, 3), [1]),
)


@row(
    "aten.sum.default",
    "aten.sum.dim_IntList",
    gives="s",
    samples=[
        *(sample(*s.args, only="aten.sum.default") for s in _ALL),
        *(sample(*s.args, only="aten.sum.dim_IntList") for s in _SOME),
        sample(floats(2, 3), None, True, only="aten.sum.dim_IntList"),
        sample(ints(2, 3, below=5), only="aten.sum.default"),
        sample(bools(2, 3), [1], only="aten.sum.dim_IntList"),
        sample(ints(2, 3, below=5), dtype=Dtype("float64"), only="aten.sum.default"),
    ],
)
def sum_(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """s[*n] = sum(*k: x[*n, *k])"""
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, summation(r.inner, input[r.at]), kind="float" if input.kind == "float" else "int")


@row(
    "aten.mean.default",
    "aten.mean.dim",
    gives="m",
    samples=[
        *(sample(*s.args, only="aten.mean.default") for s in _ALL),
        *(sample(*s.args, only="aten.mean.dim") for s in _SOME),
    ],
)
def mean(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """m[*n] = sum(*k: x[*n, *k])/size(*k)"""
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, div(summation(r.inner, input[r.at]), size_of(r.count)))


@row(
    "aten.prod.default",
    "aten.prod.dim_int",
    gives="p",
    samples=[
        *(sample(*s.args, only="aten.prod.default") for s in _ALL),
        sample(floats(2, 3), 1, only="aten.prod.dim_int"),
        sample(floats(3, 5, values="ties"), 0, True, only="aten.prod.dim_int"),
        sample(floats(5, values="ties"), only="aten.prod.default"),
    ],
)
def prod(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """p[*n] = prod(*k: x[*n, *k])"""
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, product(r.inner, input[r.at]), kind="float" if input.kind == "float" else "int")


# -- truth ------------------------------------------------------------------------
@row(
    "aten.any.default",
    "aten.any.dim",
    "aten.any.dims",
    gives="c",
    samples=[
        sample(bools(2, 3), only="aten.any.default"),
        sample(bools(2, 3), 1, only="aten.any.dim"),
        sample(bools(2, 3), [0], True, only="aten.any.dims"),
    ],
)
def any_(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    """c[*n] = [sum(*k: [x[*n, *k] != 0]) > 0]"""
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, test(">", summation(r.inner, nonzero(input[r.at])), ZERO), kind="bool")


@row(
    "aten.all.default",
    "aten.all.dim",
    "aten.all.dims",
    "aten._is_all_true.default",
    gives="c",
    samples=[
        sample(bools(2, 3), only="aten.all.default"),
        sample(bools(2, 3), only="aten._is_all_true.default"),
        sample(bools(2, 3), 1, only="aten.all.dim"),
        sample(bools(2, 3), [0], True, only="aten.all.dims"),
    ],
)
def all_(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    """c[*n] = [sum(*k: [x[*n, *k] = 0]) = 0]"""
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, test("==", summation(r.inner, opposite(nonzero(input[r.at]))), ZERO), kind="bool")


@row(
    "aten.count_nonzero.default",
    "aten.count_nonzero.dim_IntList",
    gives="c",
    samples=[
        sample(floats(3, 5, values="ties"), only="aten.count_nonzero.default"),
        sample(floats(3, 5, values="ties"), [1], only="aten.count_nonzero.dim_IntList"),
    ],
)
def count_nonzero(b: Builder, input: Value, dim: Axes = None) -> Value:
    """c[*n] = sum(*k: [x[*n, *k] != 0])"""
    r = over(b, input.dims, dim)
    return b.give(r.out, summation(r.inner, nonzero(input[r.at])), kind="int")


# -- extremes ----------------------------------------------------------------------
def shared_extreme(b: Builder, kind: str, r: ReducedAxes, x: Term, spelling: Spelling | None = None, k: int = 0) -> Value:
    """The extreme of ``x``, whose gradient all places that reach it share evenly (torch's amax)."""
    if not r.inner:
        return b.give(r.out, x, k)
    m = b.define("top" if kind == "max" else "bottom", r.kept, extremum(kind, r.inner, x), stop=True)
    reached = test("==", x, m[r.kept])
    count = b.define("ties", r.kept, summation(r.inner, reached), stop=True)
    return b.give(r.out, div(summation(r.inner, mul(reached, x)), count[r.kept]), k, spelling=spelling)


_EXTREME = [
    sample(floats(3, 5, values="ties"), [1]),
    sample(floats(2, 3, 5), [0, 2], True),
    sample(floats(3, 5, values="ties")),
    sample(floats(2, 3), []),
]


def _amax(b: Builder, kind: str, input: Value, dim: Axes, keepdim: bool) -> Value:
    r = over(b, input.dims, dim, keepdim)
    if input.kind != "float":
        return b.give(r.out, extremum(kind, r.inner, input[r.at]), kind=input.kind)
    spelling = b.spell(f"torch.a{kind}({{}}, dim={r.axes}, keepdim={keepdim})", input) if r.axes else None
    return shared_extreme(b, kind, r, input[r.at], spelling)


@row(
    "aten.aminmax.default",
    gives="m",
    samples=[sample(floats(2, 3), dim=1), sample(floats(3, 5, values="ties"), dim=0, keepdim=True), sample(floats(2, 3))],
)
def aminmax(b: Builder, input: Value, *, dim: int | None = None, keepdim: bool = False) -> tuple[Value, Value]:
    """m[*n] = min(k: x[*n, k]), max(k: x[*n, k]); ties share the gradient"""
    low, high = over(b, input.dims, dim, keepdim), over(b, input.dims, dim, keepdim)
    return shared_extreme(b, "min", low, input[low.at]), shared_extreme(b, "max", high, input[high.at], k=1)


def _witness(b: Builder, kind: str, input: Value, dim: int, keepdim: bool) -> tuple[Value, Value]:
    r = over(b, input.dims, dim, keepdim)
    place = b.define("best", r.kept, extremum(f"arg{kind}", r.inner, input[r.at]), stop=True, kind="int")
    at: list[Position] = [place.entry(*r.kept) if a in r.axes else i for a, i in enumerate(r.at)]
    value = b.give(r.out, input[tuple(at)], kind=input.kind)
    return value, b.give(r.out, size_of(place.entry(*r.kept)), 1, kind="int")


_WITNESSED = [
    sample(floats(2, 5, values="distinct"), 1),
    sample(floats(2, 3, 5), 1, True),
    sample(floats(3), -1),
    sample(floats(2, 3, 5), -2),
]


def _arg(b: Builder, kind: str, input: Value, dim: int | None, keepdim: bool) -> Value:
    r = over(b, input.dims, dim, keepdim)
    return b.give(r.out, extremum(kind, r.inner, input[r.at]) if r.inner else ZERO, kind="int")


_ARGUED = [sample(floats(2, 3)), sample(floats(2, 3, 5), 1), sample(floats(2, 3, 5), 1, True)]
_WHOLE = [sample(floats(2, 3)), sample(floats(3, 5, values="ties")), sample(ints(5, below=9))]


def _extremes(kind: str) -> None:
    """Register ``amax``, ``max``, ``max`` along a dimension and ``argmax``, or those of the minimum."""

    def some(b: Builder, input: Value, dim: Axes = (), keepdim: bool = False) -> Value:
        return _amax(b, kind, input, dim, keepdim)

    def whole(b: Builder, input: Value) -> Value:
        return _amax(b, kind, input, None, False)

    def along(b: Builder, input: Value, dim: int, keepdim: bool = False) -> tuple[Value, Value]:
        return _witness(b, kind, input, dim, keepdim)

    def place(b: Builder, input: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        return _arg(b, f"arg{kind}", input, dim, keepdim)

    for f, name, gives, samples, text in (
        (some, f"a{kind}.default", "m", _EXTREME, f"m[*n] = {kind}(*k: x[*n, *k]); ties share the gradient"),
        (whole, f"{kind}.default", "m", _WHOLE, f"m = {kind}(*k: x[*k]); ties share the gradient"),
        (along, f"{kind}.dim", "m", _WITNESSED, f"m[*n] = x[*n, best[*n]] with best[*n] = arg{kind}(k: x[*n, k])"),
        (place, f"arg{kind}.default", "best", _ARGUED, f"best[*n] = arg{kind}(k: x[*n, k])"),
    ):
        f.__doc__, f.__module__ = text, __name__
        row(f"aten.{name}", gives=gives, samples=samples)(f)


_extremes("max")
_extremes("min")


@row(
    "aten.logsumexp.default",
    "aten.special_logsumexp.default",
    gives="lse",
    samples=[sample(floats(2, 3, 5), [1]), sample(floats(2, 3, 5), [0, 2], True), sample(floats(3), [0])],
)
def logsumexp(b: Builder, input: Value, dim: Axes, keepdim: bool = False) -> Value:
    """lse[*n] = m[*n] + log(sum(k: exp(x[*n, k] - m[*n]))), m the largest, through which no gradient flows"""
    r = over(b, input.dims, dim, keepdim)
    b.require(r.count, ">=", 1)
    top = b.define("top", r.kept, extremum("max", r.inner, input[r.at]) if r.inner else input[r.at], stop=True)[r.kept]
    m = b.define("m", r.kept, mul(finite(top), top), stop=True)  # inf - inf is no number
    total = summation(r.inner, func("exp", sub(input[r.at], m[r.kept])))
    spelling = b.spell(f"torch.logsumexp({{}}, dim={r.axes}, keepdim={keepdim})", input) if r.axes else None
    return b.give(r.out, add(m[r.kept], func("log", total)), spelling=spelling)


# -- variance -------------------------------------------------------------------------
def _variance(b: Builder, input: Value, dim: Axes, correction: Any, keepdim: bool, deviation: bool) -> tuple[Value, Value]:
    """``(variance or its root, mean)``."""
    r = over(b, input.dims, dim, keepdim)
    c = 1 if correction is None else correction
    b.require(r.count, ">=", c if isinstance(c, (int, Poly)) else math.ceil(c))  # torch divides by 0 where less is left
    m = b.define("mean", r.kept, div(summation(r.inner, input[r.at]), size_of(r.count)))
    free = size_of(r.count - c) if isinstance(c, (int, Poly)) else sub(size_of(r.count), b.number(c))
    spread_ = div(summation(r.inner, power(sub(input[r.at], m[r.kept]), 2)), free)
    std = var = inner = None
    if r.axes and isinstance(c, (int, float, Fraction)):
        options = f"dim={r.axes}, correction={c if isinstance(c, int) else float(c)}"
        std, var = (b.torch(f"torch.{name}({{}}, {options}, keepdim={keepdim})", input) for name in ("std", "var"))
        inner = b.torch(f"torch.var({{}}, {options})", input)
    if not deviation:
        return b.give(r.out, spread_, spelling=var), m
    v = b.define("var", r.kept, spread_, spelling=inner)  # of equal numbers exactly 0, where the slope is 0, too
    return b.give(r.out, root(v[r.kept]), spelling=std), m


def _variances(name: str) -> None:
    """Register the three overloads of ``var``, ``std``, ``var_mean`` or ``std_mean``."""
    deviation, means = name.startswith("std"), name.endswith("mean")

    def result(b: Builder, pair: tuple[Value, Value], input: Value, dim: Axes, keepdim: bool) -> Any:
        if not means:
            return pair[0]
        r = over(b, input.dims, dim, keepdim)
        return pair[0], b.give(r.out, pair[1][r.kept], 1)

    def default(b: Builder, input: Value, unbiased: bool = True) -> Any:
        return result(b, _variance(b, input, None, int(unbiased), False, deviation), input, None, False)

    def dim_(b: Builder, input: Value, dim: Axes, unbiased: bool = True, keepdim: bool = False) -> Any:
        return result(b, _variance(b, input, dim, int(unbiased), keepdim, deviation), input, dim, keepdim)

    def correction_(b: Builder, input: Value, dim: Axes = None, *, correction: Any = None, keepdim: bool = False) -> Any:
        return result(b, _variance(b, input, dim, correction, keepdim, deviation), input, dim, keepdim)

    text = "var[*n] = sum(*k: (x[*n, *k] - mean[*n])^2)/(size(*k) - correction)"
    forms: list[tuple[Callable[..., Any], str, list[Sample]]] = [
        (default, "default", [sample(floats(2, 3)), sample(floats(2, 3), False)]),
        (dim_, "dim", [sample(floats(2, 3, 5), [1]), sample(floats(2, 3, 5), [0, 2], False, True)]),
        (
            correction_,
            "correction",
            [
                sample(floats(2, 3, 5), [1]),
                sample(floats(2, 3, 5), [0, 2], correction=0, keepdim=True),
                sample(floats(2, 3), correction=1.5),
                sample(floats(2, 5), [-1], correction=2),
            ],
        ),
    ]
    for f, overload, samples in forms:
        f.__doc__, f.__module__ = text if not deviation else text + "; its root", __name__
        row(f"aten.{name}.{overload}", gives=name[:3], samples=samples)(f)


for _name in ("var", "std", "var_mean", "std_mean"):
    _variances(_name)


@row(
    "aten.nansum.default",
    gives="s",
    samples=[sample(floats(2, 3, 5)), sample(floats(2, 3, 5), [1]), sample(floats(2, 3, values="infinite"), [0], True)],
)
def nansum(b: Builder, input: Value, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """s[*n] = sum(*k: x[*n, *k] where that is a number)"""
    r = over(b, input.dims, dim, keepdim)
    x = input[r.at]
    return b.give(r.out, summation(r.inner, mul(Bracket("==", not_a_number(x)), x)))
