"""Tensors over lanes: an axis of place p is the dimension p from the right."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from derivcheck.kernels.lanes.lanes import Axis, Lanes
from derivcheck.notation.integers.polynomials import Index, Poly, Size


def depends(t: torch.Tensor, place: int) -> bool:
    """Whether a tensor varies along an axis; told by its shape, so that every size has to be at least 2."""
    return t.dim() > place and int(t.shape[-(place + 1)]) != 1


def spread(t: torch.Tensor, axes: Iterable[Axis], lanes: Lanes) -> torch.Tensor:
    """A tensor that has all these axes in full."""
    count = {a.place: lanes.size(a.index.size) for a in axes}
    rank = max([t.dim(), *(p + 1 for p in count)])
    return t.expand([count.get(rank - 1 - d, -1 if rank - d <= t.dim() else 1) for d in range(rank)])


def summed(t: torch.Tensor, axes: Iterable[Axis], lanes: Lanes) -> torch.Tensor:
    """The sum over axes, which stay as dimensions of size 1."""
    gone = list(axes)
    if not gone:
        return t
    return spread(t, gone, lanes).sum([-(a.place + 1) for a in gone], keepdim=True)


def last(t: torch.Tensor, axes: Iterable[Axis], lanes: Lanes) -> torch.Tensor:
    """The last lane of axes: what is left when all of them wrote; they stay as dimensions of size 1."""
    for a in axes:
        if t.dim() > a.place:
            t = spread(t, [a], lanes)
            t = t.narrow(t.dim() - a.place - 1, lanes.size(a.index.size) - 1, 1)
    return t


def arranged(t: torch.Tensor, axes: list[Axis], lanes: Lanes) -> torch.Tensor:
    """A tensor with just these axes as its dimensions, in this order; all others have size 1."""
    t = spread(t, axes, lanes)
    places = list(range(t.dim() - 1, -1, -1))
    wanted = [a.place for a in axes]
    for p in [p for p in places if p not in wanted]:
        t = t.select(places.index(p), 0)
        places.remove(p)
    order = [places.index(p) for p in wanted]
    return t if order == sorted(order) else t.permute(order)


def over_lanes(t: torch.Tensor, axes: list[Axis]) -> torch.Tensor:
    """A tensor whose dimensions are these axes, as one over the lanes."""
    order = sorted(range(len(axes)), key=lambda k: -axes[k].place)
    if order != sorted(order):
        t = t.permute(order)
    places = [axes[k].place for k in order]
    for p in range(max(places, default=-1), -1, -1):
        if p not in places:
            t = t.unsqueeze(max(places) - p)
    return t


def taken(t: torch.Tensor, digits: Iterable[Poly], dims: Iterable[Poly], lanes: Lanes) -> torch.Tensor:
    """The elements of a tensor at positions over the lanes."""
    at, rest = 0, []
    for digit, dim in zip(digits, dims):
        if all(isinstance(a, Size) for a in digit.atoms()):
            t = t.select(at, lanes.size(digit))
        else:
            rest.append((digit, dim))
            at += 1
    axes = [own_axis(digit, lanes) for digit, _ in rest]
    plain = [a for a in axes if a is not None]
    if len(plain) == len(rest) and len(set(plain)) == len(plain) and all(a.index.size is d for a, (_, d) in zip(plain, rest)):
        return over_lanes(t, plain)
    return t[tuple(position(digit, dim, lanes) for digit, dim in rest)] if rest else t


def own_axis(digit: Poly, lanes: Lanes) -> Axis | None:
    """The axis that a digit is, if it is just one."""
    index = digit.index
    return None if index is None else next((a for a in lanes.axes if a.index is index), None)


def position(digit: Poly, dim: Poly, lanes: Lanes) -> torch.Tensor:
    """A digit as a tensor; where the lane is masked out it may lie outside, and is 0 instead."""
    found, mask = lanes.tensor(digit), lanes.mask
    kept, lanes.facts = lanes.facts, []
    inside = lanes.nonnegative(digit) and lanes.nonnegative(dim - 1 - digit)
    lanes.facts = kept
    return found if inside or mask is None else torch.where(mask, found, torch.zeros((), dtype=torch.int64))


def axes_of(p: Poly, lanes: Lanes) -> list[Axis]:
    """The axes that a whole number may vary along."""
    found: dict[Axis, None] = {}
    for a in p.atoms():
        if isinstance(a, Index):
            found.update({x: None for x in lanes.axes if x.index is a})
        elif not isinstance(a, Size):
            found.update({x: None for x in lanes.axes if x.place < lanes.data[a][1]})  # type: ignore[index]
    return list(found)
