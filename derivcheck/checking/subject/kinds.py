"""Kinds of data that a forward may rely on: a matrix that is symmetric stays so in every probe, and the report says it.

What holds in the given data to within rounding, and not by chance, is a kind: symmetric, positive definite, triangular, of
norm 1, adding up to 1, sorted.  A sign alone is none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

CHANCE = 1e-3  # how likely random data may be of a kind that is still taken to be meant
LARGE = 1 << 22  # elements beyond which nobody looks


@dataclass(frozen=True)
class Kind:
    """What is said of data, and drawn numbers made into such.

    Attributes:
        gentle: any numbers are made into such by moving them about: what a probe does to single ones is left in them.
    """

    name: str
    fit: Callable[[torch.Tensor], torch.Tensor]
    gentle: bool = False


def kinds_of(t: torch.Tensor) -> tuple[Kind, ...]:
    """The kinds that a tensor is of.

    >>> a = torch.randn(3, 3, dtype=torch.float64)
    >>> [k.name for k in kinds_of(a @ a.T + torch.eye(3))]
    ['is symmetric positive definite']
    >>> [k.name for k in kinds_of(torch.softmax(a, -1))]
    ['adds up to 1 along axis 1']
    """
    if not t.is_floating_point() or t.numel() < 2 or t.numel() > LARGE or not bool(torch.isfinite(t).all()):
        return ()
    v, room = t.detach().double().cpu(), 4 * torch.finfo(t.dtype).eps
    if bool((v == v.flatten()[0]).all()):
        return ()
    found = _matrix(v, room)
    if found is None:
        lines = (k for axis in reversed(range(v.ndim)) if (k := _line(v, axis, room)) is not None)
        found = next(lines, None)
    return () if found is None else (found,)


def rigid(kinds: Mapping[str, Sequence[Kind]]) -> set[str]:
    """The inputs whose single numbers no probe may change."""
    return {n for n, found in kinds.items() if not all(k.gentle for k in found)}


def fitted(kinds: Mapping[str, Sequence[Kind]], tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Changed data made into their kind again."""
    out = dict(tensors)
    for n in kinds.keys() & out.keys():
        for k in kinds[n]:
            if k.gentle and out[n].numel():
                out[n] = k.fit(out[n])
    return out


def _matrix(v: torch.Tensor, room: float) -> Kind | None:
    """The kind of a square matrix: symmetric, positive definite, triangular; None for one of no kind."""
    if v.ndim < 2 or v.shape[-1] != v.shape[-2] or v.shape[-1] < 2:
        return None
    size = float(v.abs().max())
    if bool(((v - v.mT).abs() <= room * size).all()):
        # an eigenvalue of 0 comes out as large as the roundings
        if v.shape[-1] > 1 and bool((torch.linalg.eigvalsh(v).amin(-1) > 1e-12 * size).all()):
            level = float(v.diagonal(dim1=-2, dim2=-1).mean())
            return Kind("is symmetric positive definite", _square(lambda x: _positive(x, level)))
        return Kind("is symmetric", _square(lambda x: (x + x.mT) / 2), gentle=True)
    for name, part in (("is lower triangular", torch.tril), ("is upper triangular", torch.triu)):
        if torch.equal(part(v), v):
            low = bool((v.diagonal(dim1=-2, dim2=-1) > 0).all())
            return Kind(name, _square(functools.partial(_triangle, part, low)))
    return None


def _square(fit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Of a forward that takes other matrices as well they stay what they are."""
    return lambda x: fit(x) if x.shape[-1] == x.shape[-2] else x


def _positive(x: torch.Tensor, level: float) -> torch.Tensor:
    n = x.shape[-1]
    spread = x / x.std().clamp(min=1e-12) if x.numel() > 1 else torch.ones_like(x)
    return level * (spread @ spread.mT / n + torch.eye(n, dtype=x.dtype)) / 2


def _triangle(part: Callable[[torch.Tensor], torch.Tensor], positive: bool, x: torch.Tensor) -> torch.Tensor:
    """With a diagonal that is not near 0, positive where it was."""
    x = part(x)
    d = x.diagonal(dim1=-2, dim2=-1)
    away = d.abs() + 0.5 * x.abs().mean()
    return x - torch.diag_embed(d) + torch.diag_embed(away if positive else torch.where(d < 0, -away, away))


def _line(v: torch.Tensor, axis: int, room: float) -> Kind | None:
    """The kind of the lines along an axis: one-hot, adding up to 1, of norm 1, sorted; None for lines of no kind."""
    n = v.shape[axis]
    if n < 2:
        return None
    where = f" along axis {axis}" if v.ndim > 1 else ""
    whole = bool(((v == 0) | (v == 1)).all())
    if bool(((v.sum(axis) - 1).abs() <= room * n**0.5).all()):
        if whole:
            return Kind(f"is one-hot{where}", lambda x: (x == x.amax(axis, keepdim=True)).to(x.dtype))
        if bool((v >= 0).all()):
            return Kind(f"adds up to 1{where}", lambda x: torch.softmax(x / _size(x), axis))
        return Kind(f"adds up to 1{where}", lambda x: x + (1 - x.sum(axis, keepdim=True)) / x.shape[axis])
    if whole:
        return Kind("is 0 or 1", lambda x: (x > 0).to(x.dtype))
    if bool(((torch.linalg.vector_norm(v, dim=axis) - 1).abs() <= room * n**0.5).all()):
        return Kind(f"has norm 1{where}", lambda x: x / torch.linalg.vector_norm(x, dim=axis, keepdim=True).clamp(min=1e-12))
    lines = v.numel() // n
    for name, steps, down in (("is sorted", v.diff(dim=axis), False), ("is sorted downwards", -v.diff(dim=axis), True)):
        if math.lgamma(n + 1) * lines > -math.log(CHANCE) and bool((steps >= 0).all()):
            return Kind(f"{name}{where}", functools.partial(_sorted, axis, down), gentle=True)
    return None


def _sorted(axis: int, down: bool, x: torch.Tensor) -> torch.Tensor:
    return torch.sort(x, axis, descending=down)[0]


def _size(x: torch.Tensor) -> torch.Tensor:
    return x.abs().mean().clamp(min=1e-12)
