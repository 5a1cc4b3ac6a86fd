"""Reshapes: the same elements in row-major order over other dimensions, by the digits of a mixed radix."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.notation.integers.atoms import exact_quotient
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.terms.build import ZERO
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import bools, floats, ints, row, sample
from derivcheck.operators.language.values import Position, Value, is_one
from derivcheck.operators.shapes.views import S2, S3, S4, S5, viewed


def _groups(old: Sequence[Poly], new: Sequence[Poly]) -> list[tuple[list[int], list[int]]]:
    """Runs of old and new dimensions of equal product, as short as can be found."""
    groups: list[tuple[list[int], list[int]]] = []
    a = c = 0
    while a < len(old) or c < len(new):
        left, right = [a] if a < len(old) else [], [c] if c < len(new) else []
        p, q = numel(old[k] for k in left), numel(new[k] for k in right)
        while p is not q:
            more_left, more_right = left and left[-1] + 1 < len(old), right and right[-1] + 1 < len(new)
            if more_left and (exact_quotient(q, p) is not None or not more_right):
                left.append(left[-1] + 1)
                p = p * old[left[-1]]
            elif more_right:
                right.append(right[-1] + 1)
                q = q * new[right[-1]]
            else:
                break
        if p is not q:  # sizes spelled differently: what is left is one run
            left, right = list(range(a, len(old))), list(range(c, len(new)))
        groups.append((left, right))
        a, c = a + len(left), c + len(right)
    return groups


def flat(at: Sequence[Index]) -> Poly:
    """The place of an element in row-major order."""
    total = as_poly(0)
    for i in at:
        total = total * i.size + i_poly(i)
    return total


def digits(flat: Poly, dims: Sequence[Poly]) -> list[Poly]:
    """The positions in ``dims`` of the element at ``flat`` in row-major order."""
    out: list[Poly] = []
    weight = as_poly(1)
    for n, d in enumerate(reversed(dims)):
        digit = flat // weight
        out.append(as_poly(0) if is_one(d) else digit if n == len(dims) - 1 else digit % d)
        weight = weight * d
    if dims and out and not is_one(dims[0]):
        out[-1] = flat // numel(dims[1:])
    return out[::-1]


def _factors(old: Sequence[Poly], new: Sequence[Poly]) -> list[Poly]:
    """Sizes of which both shapes are products of neighbours, so that neither splits a dimension of the other unevenly."""
    here, there = _suffixes(old), _suffixes(new)
    factors: list[Poly] = []
    weight = as_poly(1)
    while here or there:
        p, q = here[0] if here else None, there[0] if there else None
        if p is None or q is None:
            return [numel(new)]
        step = p if p is q or exact_quotient(q, p) is not None else q if exact_quotient(p, q) is not None else None
        factor = None if step is None else exact_quotient(step, weight)
        if step is None or factor is None:
            return [numel(new)]
        factors.append(factor)
        here, there = here[p is step :], there[q is step :]
        weight = step
    return factors[::-1]


def _suffixes(dims: Sequence[Poly]) -> list[Poly]:
    found, total = [], as_poly(1)
    for d in reversed(dims):
        total = total * d
        if not is_one(d):
            found.append(total)
    return found


def _merged(own: Sequence[Index], dims: Sequence[Poly]) -> list[Poly]:
    """The positions in ``dims`` of which each is a product of the sizes of neighbours in ``own``."""
    places: list[Poly] = []
    rest = list(own)
    for d in dims:
        run: list[Index] = []
        while not is_one(d) and (not run or numel(i.size for i in run) is not d):
            run.append(rest.pop(0))
        places.append(flat(run))
    return places


def reshaped(b: Builder, x: Value, dims: Sequence[Poly]) -> Value:
    """The same elements in row-major order over ``dims``."""
    dims = b.dims(dims)
    if any(d.constant == 0 for d in dims):  # there is no element
        return b.give(b.indices(dims), ZERO, kind=x.kind)
    groups = _groups(x.dims, dims)
    tangled = [g for g in groups if sum(not is_one(x.dims[k]) for k in g[0]) > 1 and sum(not is_one(dims[k]) for k in g[1]) > 1]
    if tangled:  # several dimensions on both sides: split into factors that both sides are made of, or through one dimension
        left, right = tangled[0]
        between = _factors([x.dims[k] for k in left], [dims[k] for k in right])
        lengths = [*x.dims[: left[0]], *between, *x.dims[left[-1] + 1 :]]
        at = b.indices(lengths)
        own = at[left[0] : left[0] + len(between)]
        if len(between) == 1:
            middle = digits(i_poly(own[0]), [x.dims[k] for k in left])
        else:
            middle = _merged(own, [x.dims[k] for k in left])
        places: list[Position] = [*at[: left[0]], *middle, *at[left[0] + len(between) :]]
        x = b.define("split" if len(between) > 1 else "flat", at, x[tuple(places)], kind=x.kind)
        return reshaped(b, x, dims)

    def positions(at: tuple[Index, ...]) -> list[Position]:
        found: list[Position] = [0] * x.rank
        for left, right in groups:
            for k, p in zip(left, digits(flat([at[k] for k in right]), [x.dims[k] for k in left])):
                found[k] = p
        return found

    return viewed(b, x, dims, positions)


def _wanted(b: Builder, x: Value, shape: Sequence[PolyLike]) -> list[Poly]:
    """The dimensions that a reshape asks for, with the one left open (−1) found."""
    dims = [as_poly(d) for d in shape]
    open_ = [k for k, d in enumerate(dims) if d.constant == -1]
    if open_:
        rest = numel(d for k, d in enumerate(dims) if k not in open_)
        dims[open_[0]] = numel(x.dims) // rest
    return dims


_RESHAPES = [
    sample(floats(2, 3, 5), [S2, S3 * S5]),
    sample(floats(2, 3, 5), [S2 * S3, S5]),
    sample(floats(2, 3, 5), [S2 * S3 * S5]),
    sample(floats(2, 3, 5), [-1]),
    sample(floats(2, 3, 5), [S3, S2, S5]),
    sample(floats(2, 3, 5), [S5, S3, S2]),
    sample(floats(2, 3), [1, S2, 1, S3]),
    sample(floats(1, 2, 1, 3), [S2, S3]),
    sample(floats(2, 3, 5, 7), [S2, S3 * S5, -1]),
    sample(floats(3), [S3, 1]),
    sample(floats(), [1]),
    sample(floats(1), []),
    sample(ints(2, 3, below=5), [S2 * S3]),
    sample(bools(2, 3), [-1]),
    sample(floats(2, 3, 4), [S2, S3, -1, S4]),
]


@row(
    "aten.view.default",
    "aten.reshape.default",
    "aten._unsafe_view.default",
    samples=_RESHAPES,
)
def view(b: Builder, input: Value, size: Sequence[PolyLike]) -> Value:
    """z[i, j*K + k] = x[i, j, k], and back"""
    return reshaped(b, input, _wanted(b, input, size))


@row("aten.view_as.default", "aten.reshape_as.default", samples=[sample(floats(2, 3), floats(3, 2))])
def view_as(b: Builder, input: Value, other: Value) -> Value:
    """z[i, j*K + k] = x[i, j, k], and back"""
    return reshaped(b, input, other.dims)


@row(
    "aten.flatten.using_ints",
    samples=[
        sample(floats(2, 3, 5)),
        sample(floats(2, 3, 5), 1),
        sample(floats(2, 3, 5, 7), 1, 2),
        sample(floats()),
        sample(floats(2, 1, 3), 1),
    ],
)
def flatten(b: Builder, input: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """z[i, j*K + k] = x[i, j, k]"""
    if not input.rank:
        return reshaped(b, input, [as_poly(1)])
    first, last = start_dim % input.rank, end_dim % input.rank
    return reshaped(b, input, [*input.dims[:first], numel(input.dims[first : last + 1]), *input.dims[last + 1 :]])


@row("aten.ravel.default", samples=[sample(floats(2, 3))])
def ravel(b: Builder, input: Value) -> Value:
    """z[j*K + k] = x[j, k]"""
    return reshaped(b, input, [numel(input.dims)])


@row("aten.unflatten.int", samples=[sample(floats(6, 5), 0, [2, 3]), sample(floats(2, 6), -1, [3, -1])])
def unflatten(b: Builder, input: Value, dim: int, sizes: Sequence[PolyLike]) -> Value:
    """z[*n, j, k] = x[*n, j*K + k]"""
    axis = dim % input.rank
    dims = [as_poly(d) for d in sizes]
    rest = numel(d for d in dims if d.constant != -1)
    dims = [input.dims[axis] // rest if d.constant == -1 else d for d in dims]
    return reshaped(b, input, [*input.dims[:axis], *dims, *input.dims[axis + 1 :]])
