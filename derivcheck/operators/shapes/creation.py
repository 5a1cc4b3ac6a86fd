"""Tensors made of sizes and numbers, copies, and changes of kind.  What is made melts into its uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, neg, size_of, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import Dtype, bools, floats, ints, row, sample
from derivcheck.operators.language.values import Value, as_integer, nonzero, spread


def _filled(b: Builder, dims: Sequence[PolyLike], value: Term, kind: str = "float") -> Value:
    return b.give(b.indices(b.dims([as_poly(d) for d in dims])), value, kind=kind)


@row("aten.full.default", samples=[sample([2, 3], 2.5)])
def full(b: Builder, size: Sequence[PolyLike], fill_value: Any, **made: Any) -> Value:
    """z[*n] = v"""
    return _filled(b, size, b.number(fill_value))


def _constant(name: str, value: Term) -> None:
    """Register a tensor of one number: of a size, like another tensor, and of a size and another's type."""

    def plain(b: Builder, size: Sequence[PolyLike], **made: Any) -> Value:
        return _filled(b, size, value)

    def like(b: Builder, input: Value, **made: Any) -> Value:
        return _filled(b, input.dims, value, input.kind)

    def new(b: Builder, input: Value, size: Sequence[PolyLike], **made: Any) -> Value:
        return _filled(b, size, value, input.kind)

    for f, full, arguments in ((plain, name, [[2, 3]]), (like, f"{name}_like", [_X]), (new, f"new_{name}", [_X, [5, 7]])):
        f.__doc__, f.__module__ = f"z[*n] = {value}", __name__
        row(f"aten.{full}.default", samples=[sample(*arguments)])(f)


_X = floats(2, 3)
_constant("ones", ONE)
_constant("zeros", ZERO)


@row("aten.full_like.default", samples=[sample(floats(2, 3), 2.5)])
def full_like(b: Builder, input: Value, fill_value: Any, **made: Any) -> Value:
    """z[*n] = v"""
    return _filled(b, input.dims, b.number(fill_value), input.kind)


@row("aten.new_full.default", samples=[sample(floats(2, 3), [5, 7], 2.5)])
def new_full(b: Builder, input: Value, size: Sequence[PolyLike], fill_value: Any, **made: Any) -> Value:
    """z[*n] = v"""
    return _filled(b, size, b.number(fill_value), input.kind)


@row("aten.fill.Scalar", "aten.fill.Tensor", samples=[sample(floats(2, 3), 2.5), sample(floats(2, 3), floats())])
def fill(b: Builder, input: Value, value: Any) -> Value:
    """z[*n] = v"""
    return _filled(b, input.dims, b.number(value), input.kind)


@row("aten.scalar_tensor.default", samples=[sample(2.5)])
def scalar_tensor(b: Builder, s: Any, **made: Any) -> Value:
    """z = v"""
    return _filled(b, (), b.number(s))


@row(
    "aten.arange.default",
    "aten.arange.start",
    "aten.arange.start_step",
    samples=[
        sample(5, only="aten.arange.default"),
        sample(2, 7, only="aten.arange.start"),
        sample(1, 8, 3, only="aten.arange.start_step"),
        sample(0.5, 3.0, 0.5, only="aten.arange.start_step"),
    ],
)
def arange(b: Builder, start: Any, end: Any = None, step: Any = 1, **made: Any) -> Value:
    """z[n] = start + step*n"""
    if b.operator == "aten.arange.default":
        start, end = 0, start
    exact = all(isinstance(v, (int, Poly)) for v in (start, end, step))
    length: Poly | None = None
    if exact:
        length = -((as_poly(start) - end) // step)
    elif b.out_dims is None:
        length = as_poly(max(0, -int((b.number(start).value - b.number(end).value) // b.number(step).value)))  # type: ignore[attr-defined]
    n = b.index(b.out_dims[0][0] if b.out_dims is not None or length is None else length)  # type: ignore[index]
    value = add(b.number(start), mul(b.number(step), size_of(i_poly(n))))
    whole = as_integer(value)
    return b.give((n,), value if whole is None else size_of(whole), kind="int" if exact else "float")


@row("aten.linspace.default", samples=[sample(0.5, 2.0, 5), sample(0.5, 2.0, 1)])
def linspace(b: Builder, start: Any, end: Any, steps: PolyLike, **made: Any) -> Value:
    """z[n] = start + n*(end - start)/(steps - 1)"""
    count = as_poly(steps)
    n = b.index(count)
    if count.constant == 1:
        return b.give((n,), b.number(start))
    step = div(sub(b.number(end), b.number(start)), size_of(extreme("max", count - 1, 1)))  # of one step only start
    return b.give((n,), add(b.number(start), mul(step, size_of(i_poly(n)))))


@row("aten.eye.default", "aten.eye.m", samples=[sample(5, only="aten.eye.default"), sample(3, 5, only="aten.eye.m")])
def eye(b: Builder, n: PolyLike, m: PolyLike | None = None, **made: Any) -> Value:
    """z[i, j] = [i = j]"""
    i, j = b.indices(b.dims((as_poly(n), as_poly(n if m is None else m))))
    return b.give((i, j), bracket("==", i_poly(i) - i_poly(j)))


@row("aten.one_hot.default", samples=[sample(ints(2, 3, below=5), 5)])
def one_hot(b: Builder, input: Value, num_classes: PolyLike = -1) -> Value:
    """z[*n, v] = [x[*n] = v]"""
    count = as_poly(num_classes)
    if count.constant is not None and count.constant < 0:
        if b.out_dims is None:
            b.refuse("the number of classes depends on the data", "Pass num_classes")
        count = b.out_dims[0][-1]
    *n, v = b.indices(b.dims((*input.dims, count)))
    return b.give((*n, v), bracket("==", input.entry(*n) - i_poly(v)), kind="int")


@row("aten.zero.default", samples=[sample(floats(2, 3))])
def zero(b: Builder, input: Value) -> Value:
    """z[*n] = 0"""
    return _filled(b, input.dims, ZERO, input.kind)


@row("aten.copy.default", samples=[sample(floats(2, 3), floats(3)), sample(floats(2, 3), ints(3, below=5))])
def copy(b: Builder, input: Value, src: Value, non_blocking: bool = False) -> Value:
    """z[*n] = y[*n]"""
    at = b.indices(b.dims(input.dims))
    if input.kind != src.kind and input.kind != "float":
        b.refuse(f"it writes {src.kind} values over {input.kind} ones")
    return b.give(at, src[spread(src.dims, at)], kind=input.kind)


# -- the same values --------------------------------------------------------------------
@row(
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.alias.default",
    "aten.lift_fresh_copy.default",
    "aten.lift_fresh.default",
    "aten.lift.default",
    "aten.resolve_conj.default",
    "aten.resolve_neg.default",
    "aten.conj.default",
    "aten.real.default",
    samples=[sample(floats(2, 3))],
)
def same(b: Builder, input: Value, **made: Any) -> Value:
    """z[*n] = x[*n]"""
    return input


@row("derivcheck.unseen.default")
def unseen(b: Builder, new: Value, old: Value) -> Value:
    """z[*n] = y[*n] + x[*n] - stop(x[*n]), whose value is y[*n]; no gradient flows through y, that of x is 1"""
    still = b.held(f"{old.name}_detached", old)
    at = b.indices(b.dims(old.dims))
    return b.give(at, add(new[at], old[at], neg(still[at])), spelling=b.spell("{}", new))


@row("aten.detach.default", samples=[sample(floats(2, 3))])
def detach(b: Builder, input: Value) -> Value:
    """z[*n] = x[*n]; no gradient flows"""
    at = b.indices(b.dims(input.dims))
    return b.give(at, input[at], kind=input.kind, stop=True)


def converted(b: Builder, input: Value, kind: str) -> Value:
    """The same values as floats, integers (rounded towards 0) or truth values."""
    if kind == input.kind:
        return input
    at = b.indices(b.dims(input.dims))
    x = input[at]
    if kind == "bool":
        x = nonzero(x)
    elif kind == "int" and input.kind == "float" and as_integer(x) is None:
        x = func("trunc", x)
    return b.give(at, x, kind=kind)


@row(
    "aten._to_copy.default",
    "aten.to.dtype",
    "aten.to.other",
    "aten.type_as.default",
    samples=[
        sample(floats(2, 3), only="aten._to_copy.default"),
        *(
            sample(t, Dtype(d), only="aten.to.dtype")
            for t in (floats(2, 3), ints(2, below=3), bools(3))
            for d in ("float64", "int64", "bool")
        ),
        sample(bools(2, 3), floats(2), only="aten.type_as.default"),
        sample(ints(2, 3, below=5), floats(2), only="aten.type_as.default"),
        sample(floats(2, 3), ints(2, below=5), only="aten.type_as.default"),
        sample(floats(2, 3), bools(2), only="aten.to.other"),
    ],
)
def to(b: Builder, input: Value, *args: Any, **made: Any) -> Value:
    """z[*n] = x[*n] in another kind"""
    return converted(b, input, b.kind(input.kind))
