"""Pooling: averages over windows, and maxima through their witness (the place of the maximum, which carries no gradient)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Spelling
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, func, mul, neg, power, size_of
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, summation
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, row, sample
from derivcheck.operators.language.values import Value, where, within
from derivcheck.operators.shapes.reshapes import digits

_LETTERS = ("uvw", "pqr")


def _each(value: Any, rank: int) -> list[Poly]:
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    return [as_poly(v) for v in (given * rank if len(given) == 1 else given)]


@dataclass(frozen=True)
class Window:
    """The window of a pooling and how it moves, as torch's schema has it; no stride is the window's own size."""

    kernel: Any
    stride: Any
    padding: Any
    dilation: Any = 1
    ceil: bool = False


class _Windows:
    """The windows of a pooling: positions ``s*p + d*u - pad`` over the last dimensions, with their brackets."""

    def __init__(self, b: Builder, x: Value, rank: int, window: Window, flat: bool) -> None:
        """The windows over the last ``rank`` dimensions; ``flat``: a window is run through by one index."""
        stride, ceil = window.stride, window.ceil
        self.kernel = _each(window.kernel, rank)
        self.stride = _each(stride, rank) if stride is not None and stride != [] else self.kernel
        self.pad, self.dilation = _each(window.padding, rank), _each(window.dilation, rank)
        self.lead, self.space = x.dims[: x.rank - rank], x.dims[x.rank - rank :]
        out = [
            _extent(n, k, s, p, d, ceil) for n, k, s, p, d in zip(self.space, self.kernel, self.stride, self.pad, self.dilation)
        ]
        self.at = b.indices(b.dims((*self.lead, *out)), [""] * len(self.lead) + list(_LETTERS[1][:rank]))
        self.n, self.p = self.at[: len(self.lead)], self.at[len(self.lead) :]
        self.over: tuple[Index, ...]
        if flat:
            self.over = (b.index(numel(self.kernel), "f"),)
        else:
            self.over = b.indices(self.kernel, list(_LETTERS[0][:rank]))
        self.ceil = ceil
        for n, k, s, p, d in zip(self.space, self.kernel, self.stride, self.pad, self.dilation):
            b.room(n + 2 * p + (s - 1 if ceil else 0), d * (k - 1) + 1)
            if d.constant != 1 and (p.constant != 0 or ceil):
                b.room(n, d)  # else a window can lie in the padding alone

    def places(self, offsets: Sequence[Poly]) -> list[Poly]:
        """The position in the input of the window's element at ``offsets``."""
        return [s * i_poly(p) + d * u - pad for s, p, d, u, pad in zip(self.stride, self.p, self.dilation, offsets, self.pad)]

    def guards(self, places: Sequence[Poly]) -> list[Term]:
        """The brackets that keep the positions inside the input, where they could leave."""
        out: list[Term] = []
        for q, n, pad in zip(places, self.space, self.pad):
            out.append(within(q, n) if pad.constant != 0 else bracket(">=", n - 1 - q) if self.ceil else ONE)
        return out

    def digits(self, flat: Poly) -> list[Poly]:
        """A window's flat element as offsets, last dimension fastest."""
        return digits(flat, self.kernel)


def _extent(n: Poly, k: Poly, s: Poly, p: Poly, d: Poly, ceil: bool) -> Poly:
    reach = n + 2 * p - d * (k - 1) - 1
    if not ceil:
        return reach // s + 1
    count = (reach + s - 1) // s + 1
    return count - 1 if _starts_outside(count, n, s, p) else count


def _starts_outside(count: Poly, n: Poly, s: Poly, p: Poly) -> bool:
    over = (count - 1) * s - (n + p)
    return over.constant is not None and over.constant >= 0


def _average(b: Builder, x: Value, rank: int, window: Window, include: bool, divisor: Any) -> Value:
    """The sum of a window divided by the divisor, its size, or how many of its elements there are."""
    w, ceil = _Windows(b, x, rank, window, flat=False), window.ceil
    places = w.places([i_poly(u) for u in w.over])
    guards = w.guards(places)
    total = summation(w.over, mul(*guards, x[(*w.n, *places)]))
    if divisor is not None:
        count: Term = b.number(divisor)
    elif include and ceil:
        inside = [bracket(">=", n + pad - 1 - q) for n, pad, q in zip(w.space, w.pad, places)]
        count = summation(w.over, mul(*inside))
    elif include:
        count = size_of(numel(w.kernel))
    else:
        count = summation(w.over, mul(*guards))
    numbers = [[p.constant for p in given] for given in (w.kernel, w.stride, w.pad)]
    spelling = None
    if not any(None in n for n in numbers) and divisor is None:
        options = ", ".join(str(tuple(n)) for n in numbers)
        spelling = b.torch(f"torch.nn.functional.avg_pool{rank}d({{}}, {options}, {ceil}, {include})", x)
    return b.give(w.at, mul(power(count, -1), total), spelling=spelling)


@row(
    "aten.avg_pool1d.default",
    "aten.avg_pool2d.default",
    "aten.avg_pool3d.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 8), [2], only="aten.avg_pool1d.default"),
        sample(floats(2, 3, 8), [3], [2], [1], only="aten.avg_pool1d.default"),
        sample(floats(2, 3, 8), [3], [2], [1], False, False, only="aten.avg_pool1d.default"),
        sample(floats(2, 3, 7), [3], [2], [1], True, only="aten.avg_pool1d.default"),
        sample(floats(2, 3, 8), [3], [3], [0], True, only="aten.avg_pool1d.default"),
        sample(floats(2, 3, 6, 5), [2, 3], [2, 1], [1, 1], only="aten.avg_pool2d.default"),
        sample(floats(3, 6, 5), [2, 2], [], [0, 0], False, True, 3, only="aten.avg_pool2d.default"),
        sample(floats(1, 2, 4, 4, 3), [2, 2, 2], only="aten.avg_pool3d.default"),
    ],
)
def avg_pool(
    b: Builder,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Value:
    """y[n, c, *p] = sum(*u: x[n, c, s*p + u - pad])/count"""
    window = Window(kernel_size, stride, padding, ceil=ceil_mode)
    return _average(b, input, int(b.rule[-2]), window, count_include_pad, divisor_override)


def _maximum(b: Builder, x: Value, rank: int, window: Window) -> tuple[Value, Value]:
    """The largest of a window through its witness, and where it stands in the input."""
    w, ceil = _Windows(b, x, rank, window, flat=True), window.ceil
    b.assume("no two elements of a pooling window are both its maximum (torch takes the first)")
    f = w.over[0]
    inside = w.places(w.digits(i_poly(f)))
    candidate = where(mul(*w.guards(inside)), x[(*w.n, *inside)], neg(func("inf")))
    name = b.unique("best")
    places = w.places(w.digits(as_poly(Entry(name, map(i_poly, w.at)))))
    flat = as_poly(0)
    for q, n in zip(places, w.space):
        flat = flat * n + q
    numbers = [[p.constant for p in given] for given in (w.kernel, w.stride, w.pad, w.dilation)]
    options = ", ".join(str(tuple(n)) for n in numbers)
    call = f"torch.nn.functional.max_pool{rank}d({{}}, {options}, {ceil}, return_indices=True)"
    known = not any(None in n for n in numbers) and b.spell(call, x) is not None
    where_spelled = Spelling(call, (x.name,), 1, flat) if known else None
    b.put(name, w.at, extremum("argmax", [f], candidate), kind="int", spelling=where_spelled)
    y = b.give(w.at, x[(*w.n, *places)], spelling=Spelling(call, (x.name,), 0) if known else None)
    where_ = b.give(w.at, size_of(flat), 1, kind="int", spelling=Spelling(call, (x.name,), 1) if known else None)
    return y, where_


_MAX_SAMPLES: list[tuple[tuple[int, ...], list[Any]]] = [
    ((2, 3, 8), [[2]]),
    ((2, 3, 8), [[3], [2], [1]]),
    ((2, 3, 9), [[2], [1], [0], [3]]),
    ((2, 3, 7), [[3], [2], [1], [1], True]),
]


@row(
    "aten.max_pool1d.default",
    "aten.max_pool2d.default",
    "aten.max_pool3d.default",
    gives="y",
    samples=[
        *(sample(floats(*shape, values="distinct"), *rest, only="aten.max_pool1d.default") for shape, rest in _MAX_SAMPLES),
        sample(floats(2, 3, 6, 5, values="distinct"), [2, 3], [2, 1], [1, 1], only="aten.max_pool2d.default"),
        sample(floats(3, 6, 5, values="distinct"), [2, 2], only="aten.max_pool2d.default"),
        sample(floats(1, 2, 4, 4, 3, values="distinct"), [2, 2, 2], only="aten.max_pool3d.default"),
    ],
)
def max_pool(
    b: Builder, input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Value:
    """y[n, c, *p] = x[n, c, s*p + d*u - pad] at u = argmax over the window"""
    return _maximum(b, input, int(b.rule[-2]), Window(kernel_size, stride, padding, dilation, ceil_mode))[0]


@row(
    "aten.max_pool1d_with_indices.default",
    "aten.max_pool2d_with_indices.default",
    "aten.max_pool3d_with_indices.default",
    gives="y",
    samples=[
        *(
            sample(floats(*shape, values="distinct"), *rest, only="aten.max_pool1d_with_indices.default")
            for shape, rest in _MAX_SAMPLES
        ),
        sample(floats(2, 3, 6, 5, values="distinct"), [2, 3], [2, 1], [1, 1], only="aten.max_pool2d_with_indices.default"),
        sample(floats(1, 2, 4, 4, 3, values="distinct"), [2, 2, 2], only="aten.max_pool3d_with_indices.default"),
    ],
)
def max_pool_with_indices(
    b: Builder, input: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Value, Value]:
    """y = max_pool(x), with the flat place of each maximum as a further result"""
    rank = int(b.rule.split("d_")[0][-1])
    return _maximum(b, input, rank, Window(kernel_size, stride, padding, dilation, ceil_mode))


def _bins(b: Builder, x: Value, output_size: Any, rank: int, flat: bool) -> tuple[Any, ...]:
    """The bins of adaptive pooling: input positions ``floor(p·H/O) ≤ a < ceil((p + 1)·H/O)``."""
    lead, space = x.dims[: x.rank - rank], x.dims[x.rank - rank :]
    given = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size] * rank
    out = [h if o is None else as_poly(o) for o, h in zip(given, space)]
    at = b.indices(b.dims((*lead, *out)), [""] * len(lead) + list(_LETTERS[1][:rank]))
    n, p = at[: len(lead)], at[len(lead) :]
    over = (b.index(numel(space), "f"),) if flat else b.indices(space, list("ijk"[:rank]))
    starts = [(i_poly(pi) * h) // o for pi, h, o in zip(p, space, out)]
    ends = [((i_poly(pi) + 1) * h + o - 1) // o for pi, h, o in zip(p, space, out)]
    return at, n, over, space, starts, ends


@row(
    "aten.adaptive_avg_pool1d.default",
    "aten.adaptive_avg_pool2d.default",
    "aten.adaptive_avg_pool3d.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 8), [3], only="aten.adaptive_avg_pool1d.default"),
        sample(floats(2, 3, 8), [1], only="aten.adaptive_avg_pool1d.default"),
        sample(floats(2, 3, 7, 5), [3, 5], only="aten.adaptive_avg_pool2d.default"),
        sample(floats(3, 7, 5), [1, 1], only="aten.adaptive_avg_pool2d.default"),
        sample(floats(1, 2, 4, 3, 5), [2, 3, 2], only="aten.adaptive_avg_pool3d.default"),
    ],
)
def adaptive_avg_pool(b: Builder, input: Value, output_size: Any) -> Value:
    """y[n, c, *p] = mean of x over the bin of p"""
    at, n, over, space, starts, ends = _bins(b, input, output_size, int(b.rule[-2]), flat=False)
    x = input[(*n, *over)]
    inside: list[Term] = []
    count = as_poly(1)
    for i, s, e in zip(over, starts, ends):
        inside += [bracket(">=", i_poly(i) - s), bracket(">=", e - 1 - i_poly(i))]
        count = count * (e - s)
    sizes = [o.size.constant for o in at[len(n) :]]
    call = f"torch.nn.functional.{b.rule}({{}}, {tuple(sizes)!r})"
    spelling = b.torch(call, input) if None not in sizes else None  # a mask of 0 times inf would spread it to every bin
    return b.give(at, mul(power(size_of(count), -1), summation(over, mul(*inside, x))), spelling=spelling)


@row(
    "aten.adaptive_max_pool1d.default",
    "aten.adaptive_max_pool2d.default",
    "aten.adaptive_max_pool3d.default",
    gives="y",
    samples=[
        sample(floats(2, 3, 8, values="distinct"), [3], only="aten.adaptive_max_pool1d.default"),
        sample(floats(2, 3, 7, 5, values="distinct"), [3, 2], only="aten.adaptive_max_pool2d.default"),
        sample(floats(1, 2, 4, 3, 5, values="distinct"), [2, 3, 2], only="aten.adaptive_max_pool3d.default"),
    ],
)
def adaptive_max_pool(b: Builder, input: Value, output_size: Any) -> tuple[Value, Value]:
    """y[n, c, *p] = max of x over the bin of p, with its flat place"""
    at, n, over, space, starts, ends = _bins(b, input, output_size, int(b.rule[-2]), flat=True)
    b.assume("no two elements of a pooling window are both its maximum (torch takes the first)")

    places = digits(i_poly(over[0]), space)
    inside: list[Term] = []
    for q, s, e in zip(places, starts, ends):
        inside += [bracket(">=", q - s), bracket(">=", e - 1 - q)]
    candidate = where(mul(*inside), input[(*n, *places)], neg(func("inf")))
    sizes = [o.size.constant for o in at[len(n) :]]
    call = f"torch.nn.functional.{b.rule}({{}}, {tuple(sizes)!r}, return_indices=True)"
    known = None not in sizes and b.spell(call, input) is not None
    spelled = [Spelling(call, (input.name,), k) if known else None for k in (0, 1)]
    best = b.define("best", at, extremum("argmax", over, candidate), kind="int", spelling=spelled[1])
    y = b.give(at, input[(*n, *digits(best.entry(*at), space))], spelling=spelled[0])
    return y, b.give(at, size_of(best.entry(*at)), 1, kind="int")
