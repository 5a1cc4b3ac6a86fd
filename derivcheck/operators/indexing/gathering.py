"""Gather: an integer tensor inside a position, ``y[n] = x[ids[n]]``.

Its adjoint is ``Σ_n [a = ids[n]]·…``, so that repeated indices add up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from derivcheck.notation.integers.bounds import lower_bound, nonnegative, numel
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import add, mul, size_of
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Value, broadcast_dims, spread
from derivcheck.operators.shapes.reshapes import digits

F = TypeVar("F", bound=Callable[..., Any])


def axis_of(dim: Any, rank: int) -> int:
    return int(dim) % max(rank, 1)


def _row(x: Any) -> Any:
    """A tensor without dimensions as a row of one element."""
    if not isinstance(x, Value) or x.rank:
        return x
    return Value(x.name, (as_poly(1),), x.kind, ((Index("z", 1),), x[()]))


def scalars_are_rows(f: F) -> F:
    """Tensors without dimensions are indexed as rows of one element, and given back without dimensions."""

    @functools.wraps(f)
    def wrapped(b: Builder, input: Value, dim: Any, index: Value, *rest: Any, **named: Any) -> Value:
        """The row on tensors of one dimension, where a tensor has none."""
        if input.rank and index.rank:
            return cast(Value, f(b, input, dim, index, *rest, **named))
        deep = input.rank if b.rule != "gather" else index.rank
        lifted = (_row(input), dim, _row(index), *(_row(r) for r in rest))
        keep, b.out_dims = b.out_dims, b.out_dims if deep else None
        found = cast(Value, f(b, *lifted, **{k: _row(v) for k, v in named.items()}))
        b.out_dims = keep
        return found if deep else b.give((), found[(0,) * found.rank])

    return cast(F, wrapped)


@row(
    "aten.gather.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(2, 3, below=5)),
        sample(floats(5, 3), 1, ints(5, 7, below=3)),
        sample(floats(5, 3, 2), -1, ints(4, 2, 3, below=2)),
        sample(floats(5), 0, ints(7, below=5)),
        sample(floats(), 0, ints(below=1)),
    ],
)
@scalars_are_rows
def gather(b: Builder, input: Value, dim: Any, index: Value, *, sparse_grad: bool = False) -> Value:
    """y[*i] = x[.., ids[*i], ..] with ids at ``dim``"""
    axis = axis_of(dim, input.rank)
    at = b.indices(index.dims)
    covers(b, input, index, axis)
    reaches(b, index.entry(*at), input.dims[axis])
    return b.give(at, input[(*at[:axis], index.entry(*at), *at[axis + 1 :])])


@row(
    "aten.index_select.default",
    gives="y",
    samples=[
        sample(floats(5, 3), 0, ints(7, below=5)),
        sample(floats(2, 5, 3), 1, ints(2, below=5)),
        sample(floats(5), -1, ints(3, below=5)),
        sample(floats(), 0, ints(1, below=1)),
    ],
)
@scalars_are_rows
def index_select(b: Builder, input: Value, dim: Any, index: Value) -> Value:
    """y[*i, j, *k] = x[*i, ids[j], *k]"""
    axis = axis_of(dim, input.rank)
    at = b.indices((*input.dims[:axis], index.dims[0], *input.dims[axis + 1 :]))
    reaches(b, index.entry(at[axis]), input.dims[axis])
    return b.give(at, input[(*at[:axis], index.entry(at[axis]), *at[axis + 1 :])])


@row(
    "aten.embedding.default",
    gives="y",
    samples=[
        sample(floats(5, 3), ints(7, below=5)),
        sample(floats(5, 3), ints(2, 4, below=5)),
        sample(floats(5, 3), ints(11, below=5), 2),
        sample(floats(5, 3), ints(below=5)),
    ],
)
def embedding(
    b: Builder, weight: Value, indices: Value, padding_idx: Any = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Value:
    """y[*n, d] = w[ids[*n], d]; no gradient flows into the padding row"""
    if scale_grad_by_freq:
        b.refuse("scale_grad_by_freq changes the gradient and not the value", "Leave it False.")
    *n, d = b.indices((*indices.dims, weight.dims[1]))
    place = indices.entry(*n)
    reaches(b, place, weight.dims[0])
    padding = as_poly(padding_idx)
    if padding.constant is not None and padding.constant < 0:
        return b.give((*n, d), weight[place, d])
    frozen = b.held("frozen", weight)
    here = bracket("==", place - padding)
    return b.give((*n, d), add(mul(opposite(here), weight[place, d]), mul(here, frozen[place, d])))


def reaches(b: Builder, place: Poly, length: Poly) -> bool:
    """Require a ``length`` that holds a position which the code makes of sizes; whether the position is surely 0 or more.

    A position that the data give is taken to fit: torch's own code raises where it does not.
    """
    least, most = lower_bound(place), lower_bound(-place)
    if place.names or least is None or most is None:
        return False
    b.require(length, ">=", 1 - most)
    if not nonnegative(least):
        b.require(length, ">=", -least)
    return nonnegative(least)


def covers(b: Builder, x: Value, index: Value, axis: int | None = None) -> None:
    """Require that ``x`` is at least as long as ``index`` in every dimension but ``axis``."""
    for k, (have, need) in enumerate(zip(x.dims, index.dims, strict=True)):
        if k != axis:
            b.require(have, ">=", need)


def from_the_end(b: Builder, index: Value, x: Value, axis: int | None = None) -> Value:
    """Positions in ``x``, along an axis or read as one row, where negative ones count from the end.

    Generated code leaves those that lie outside of ``x`` as they are, for torch to raise, as it does for the user's code.
    """
    length = numel(x.dims) if axis is None else x.dims[axis]
    at = b.indices(index.dims)
    if reaches(b, index.entry(*at), length):
        b._indices = [i for i in b._indices if i not in at]
        return index
    end = "{1}.numel()" if axis is None else f"{{1}}.shape[{axis}]"
    spelling = b.spell(f"torch.where({{0}} < 0, {{0}} + {end}, {{0}})", index, x)
    if spelling is None or axis is None:
        b.assume("indices lie within what they index (torch raises where they do not)")
    found = b.define("at", at, size_of(index.entry(*at) % length), kind="int", spelling=spelling)
    b._indices = [i for i in b._indices if i not in at]
    return Value(found.name, found.dims, "int")


def advanced(b: Builder, x: Value, indices: Sequence[Value | None]) -> tuple[tuple[Index, ...], list[Poly], list[Poly]]:
    """The result's indices of ``x[indices]``, the position in x, and the result's dimensions (NumPy's advanced indexing)."""
    given = [*indices, *[None] * (x.rank - len(indices))]
    used = [k for k, v in enumerate(given) if v is not None]
    places: dict[int, Value] = {}
    for k in used:
        v = given[k]
        assert v is not None
        if v.kind != "int":
            b.refuse("indexing with a mask gives a shape that depends on the data", "Use torch.where or masked_fill.")
        places[k] = from_the_end(b, v, x, k)
    shape = broadcast_dims(*(places[k].dims for k in used)) if used else ()
    together = used == list(range(used[0], used[0] + len(used))) if used else True
    first = used[0] if together and used else 0
    before = [k for k in range(x.rank) if k not in places and k < first]
    after = [k for k in range(x.rank) if k not in places and k not in before]
    dims = [*(x.dims[k] for k in before), *shape, *(x.dims[k] for k in after)]
    at = b.indices(b.dims(dims))
    block = at[len(before) : len(before) + len(shape)]
    free = dict(zip([*before, *after], [*at[: len(before)], *at[len(before) + len(shape) :]]))
    position = [places[k].entry(*spread(places[k].dims, block)) if k in places else i_poly(free[k]) for k in range(x.rank)]
    return at, position, list(dims)


@row(
    "aten.index.Tensor",
    gives="y",
    samples=[
        sample(floats(5, 3), [ints(7, below=5)]),
        sample(floats(5, 3), [None, ints(2, 4, below=3)]),
        sample(floats(5, 3, 4), [ints(2, below=5), ints(2, below=3)]),
        sample(floats(5, 3, 4), [ints(2, below=5), None, ints(2, below=4)]),
        sample(floats(5, 3, 4), [None, ints(7, 1, below=3), ints(2, below=4)]),
    ],
)
def index(b: Builder, input: Value, indices: Sequence[Value | None]) -> Value:
    """y[*n] = x[ids[*n], ..]"""
    at, position, _ = advanced(b, input, indices)
    return b.give(at, input[tuple(position)])


@row(
    "aten.take.default",
    gives="y",
    samples=[sample(floats(5, 3), ints(7, below=15)), sample(floats(5), ints(2, 3, below=5))],
)
def take(b: Builder, input: Value, index: Value) -> Value:
    """y[*i] = x[ids[*i]], x read as one row"""
    at = b.indices(index.dims)
    place = from_the_end(b, index, input).entry(*at)
    return b.give(at, input[tuple(digits(place, input.dims))])


@row(
    "aten.take_along_dim.default",
    gives="y",
    samples=[
        sample(floats(5, 3), ints(2, 3, below=5), 0),
        sample(floats(5, 3), ints(5, 7, below=3), 1),
        sample(floats(5, 3), ints(1, 3, below=5), 0),
        sample(floats(5, 3), ints(7, below=15)),
    ],
)
def take_along_dim(b: Builder, input: Value, indices: Value, dim: Any = None) -> Value:
    """y[*i] = x[.., ids[*i], ..], the other dimensions broadcast"""
    if dim is None:
        at = b.indices((numel(indices.dims),))
        place = indices.entry(*digits(i_poly(at[0]), indices.dims))
        return b.give(at, input[tuple(digits(place, input.dims))])
    axis = axis_of(dim, input.rank)
    shape = list(broadcast_dims((*input.dims[:axis], as_poly(1), *input.dims[axis + 1 :]), indices.dims))
    shape[axis] = indices.dims[axis]
    at = b.indices(b.dims(shape))
    entry = indices.entry(*spread(indices.dims, at))
    position = [entry if k == axis else p for k, p in enumerate(spread(input.dims, at))]
    return b.give(at, input[tuple(position)])
