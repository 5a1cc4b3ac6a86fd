"""Rows of a table taken together: the sum, mean or largest of the embeddings of each bag, and elements repeated."""

from __future__ import annotations

from typing import Any

from derivcheck.notation.integers.atoms import extreme
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, div, func, mul, neg, size_of
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import extremum, substitute, summation
from derivcheck.operators.indexing.gathering import axis_of
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.row import floats, ints, row, sample
from derivcheck.operators.language.values import Value, is_one, where

SUM, MEAN, MAX = range(3)  # torch's mode
STARTS = ints(4, below=10, values="starts")
SHARES = ints(3, below=8, values="shares")


@row(
    "aten.embedding_bag.default",
    "aten.embedding_bag.padding_idx",
    gives="y",
    samples=[
        *(
            sample(floats(5, 3), ints(9, below=5), STARTS, False, mode, only="aten.embedding_bag.default")
            for mode in (SUM, MEAN, MAX)
        ),
        sample(floats(5, 3), ints(9, below=5), STARTS, False, SUM, False, floats(9), False, 2),
        sample(floats(5, 3), ints(9, below=3), ints(4, below=10, values="bounds"), False, MEAN, False, None, True, 2),
        sample(floats(5, 3, values="ties"), ints(9, below=5), STARTS, False, MAX, False, None, False, -5),
    ],
)
def embedding_bag(
    b: Builder,
    weight: Value,
    indices: Value,
    offsets: Value,
    scale_grad_by_freq: bool = False,
    mode: int = SUM,
    sparse: bool = False,
    per_sample_weights: Value | None = None,
    include_last_offset: bool = False,
    padding_idx: Any = None,
) -> tuple[Value, ...]:
    """y[a, d] = sum(i: [start[a] <= i < end[a]]*s[i]*w[ids[i], d]), or the mean or largest of them; of none 0"""
    if scale_grad_by_freq:
        b.refuse("scale_grad_by_freq changes the gradient and not the value", "Leave it False.")
    bags = offsets.dims[0] - 1 if include_last_offset else offsets.dims[0]
    a, d = b.indices(b.dims((bags, weight.dims[1])), ("a", "d"))
    i, place, inside = _members(b, indices.dims[0], offsets, a, include_last_offset)
    element = weight[indices.entry(place), d]
    if padding_idx is not None:
        padding = as_poly(padding_idx)
        unpadded = padding % weight.dims[0] if padding.constant is None or padding.constant < 0 else padding
        inside = mul(inside, bracket("!=", indices.entry(place) - unpadded))
    if mode == MAX:
        best = b.define("best", (a, d), extremum("argmax", [i], where(inside, element, neg(func("inf")))), kind="int")
        filled = bracket(">", summation([i], inside))
        return (b.give((a, d), mul(filled, substitute(element, {i: best.entry(a, d)}))),)
    if per_sample_weights is not None:
        element = mul(per_sample_weights[place], element)
    total = summation([i], mul(inside, element))
    if mode == MEAN:
        count = summation([i], inside)
        if count.names:
            count = size_of(extreme("max", b.define("count", (a,), count, kind="int").entry(a), 1))
        total = div(total, count)
    tables = [v for v in (indices, weight, offsets, per_sample_weights) if v is not None]
    options = f"mode={'mean' if mode == MEAN else 'sum'!r}, include_last_offset={include_last_offset}"
    options += ", per_sample_weights={}" if per_sample_weights is not None else ""
    options += f", padding_idx={padding_idx}" if padding_idx is not None else ""
    plain = padding_idx is None or isinstance(padding_idx, int)  # a matrix of 0 and 1 would spread an infinite row
    spelling = b.spell(f"torch.nn.functional.embedding_bag({{}}, {{}}, {{}}, {options})", *tables) if plain else None
    return (b.give((a, d), total, spelling=spelling),)


def _members(b: Builder, length: Poly, offsets: Value, a: Index, include_last_offset: bool) -> tuple[Index, Poly, Term]:
    """An index over the members of bag ``a``, the place of a member, and whether it is one."""
    start = offsets.entry(a)
    each = offsets.entry(i_poly(a) + 1) - start
    if offsets.closed is not None and not each.indices and offsets.entry(a.size) is length:  # bags of one size
        i = b.index(each, "i")
        return i, start + i_poly(i), ONE
    i = b.index(length, "i")
    begun = bracket(">=", i_poly(i) - start)
    if include_last_offset:
        b.assume("the last offset is the number of indices")
        return i, i_poly(i), mul(begun, bracket(">", offsets.entry(i_poly(a) + 1) - i_poly(i)))
    last = offsets.dims[0] - 1
    following = offsets.entry(extreme("min", i_poly(a) + 1, last))
    ends = where(bracket(">=", i_poly(a) - last), ONE, bracket(">", following - i_poly(i)))
    return i, i_poly(i), mul(begun, ends)


def _place(b: Builder, repeats: Value, length: Poly, k: Index) -> Poly:
    """Which element the ``k``-th of the repeated ones is: as many as end at or before it."""
    j, m = b.indices((length, length), ("j", "m"))
    times = repeats.entry(as_poly(0) if is_one(repeats.dims[0]) else m)
    ends = b.define("ends", (j,), summation([m], mul(bracket(">=", i_poly(j) - i_poly(m)), size_of(times))), kind="int")
    b.assume("the repeats add up to output_size")
    place = summation([j], bracket(">=", i_poly(k) - ends.entry(j)))
    return extreme("min", b.define("place", (k,), place, kind="int").entry(k), length - 1)


@row(
    "aten.repeat_interleave.Tensor",
    gives="place",
    samples=[sample(SHARES, output_size=7), sample(ints(1, below=8, values="shares"), output_size=7)],
)
def places_repeated(b: Builder, repeats: Value, *, output_size: Any = None) -> Value:
    """place[k] = sum(j: [k >= ends[j]]), ends[j] = sum(m: [m <= j]*r[m])"""
    (k,) = b.indices(b.dims((_total(b, output_size),)), ("k",))
    return b.give((k,), size_of(_place(b, repeats, repeats.dims[0], k)), kind="int")


@row(
    "aten.repeat_interleave.self_Tensor",
    gives="y",
    samples=[
        sample(floats(3, 5), SHARES, 0, output_size=7),
        sample(floats(5, 3), SHARES, -1, output_size=7),
        sample(floats(4), ints(4, below=8, values="shares"), output_size=7),
    ],
)
def repeat_interleave(b: Builder, input: Value, repeats: Value, dim: Any = None, *, output_size: Any = None) -> Value:
    """y[.., k, ..] = x[.., place[k], ..], place[k] the number of elements whose last copy comes before k"""
    if dim is None and input.rank != 1:
        b.refuse("repeats as a tensor without dim, for more than one dimension", "Flatten it first: x.flatten().")
    axis = axis_of(dim or 0, input.rank)
    at = b.indices(b.dims((*input.dims[:axis], _total(b, output_size), *input.dims[axis + 1 :])))
    place = _place(b, repeats, input.dims[axis], at[axis])
    return b.give(at, input[(*at[:axis], place, *at[axis + 1 :])], kind=input.kind)


def _total(b: Builder, output_size: Any) -> Poly:
    if output_size is None:
        b.refuse("the shape of its result depends on the data", "Give output_size.")
    return as_poly(output_size)
