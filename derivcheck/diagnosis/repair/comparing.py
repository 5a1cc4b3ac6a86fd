"""Candidates held against what a definition would have to be: all at once, as arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from derivcheck.diagnosis.repair.pool import PoolPart
from derivcheck.diagnosis.scene import Array

THIRD = 22  # of the variables, what products are made with
CLOSE = 1e-7


@dataclass(frozen=True, eq=False)
class Hit:
    """A candidate that is proportional to what is looked for.

    Attributes:
        form: ``factor``, ``divisor``, ``addend``, ``share`` (an addend that has what stands there as a factor), ``one`` (the
            same beside 1), ``square`` (a factor that is what stands there), ``place`` (in its place), or ``branch`` (in its
            place where a mask does not hold).
        parts: the factors of the candidate.
        coefficient: what it is to be multiplied by.
        cost: without the coefficient's.
    """

    form: str
    parts: tuple[PoolPart, ...]
    coefficient: float
    cost: float


@dataclass(frozen=True, eq=False)
class Gap:
    """What a value in the backward leaves wrong.

    Attributes:
        now: the value that stands there.
        residual: what the gradients lack, flattened.
        jacobian: of the gradients in the value; None where the residual is that of the value itself.
    """

    now: Array
    residual: Array
    jacobian: Array | None = None


def hits(gap: Gap, first: list[PoolPart], second: list[PoolPart]) -> Iterator[Hit]:
    """The candidates that make up for a gap."""
    jacobian, residual = gap.jacobian, gap.residual
    shape, flat = gap.now.shape, gap.now.ravel()

    def seen(rows: Array) -> Array:
        return rows if jacobian is None else rows @ jacobian.T

    target = residual + (flat if jacobian is None else jacobian @ flat)
    yield from _proportional("factor", target, seen(flat[None]), [()], 1.3)
    itself = PoolPart("", torch.from_numpy(gap.now), 0.0)
    yield from _proportional("square", target, seen((flat * flat)[None]), [(itself,)], 1.3)
    rows, own = _rows(second, shape)
    if not len(own):
        return
    with np.errstate(all="ignore"):
        for form, values, wanted, cost in (
            ("place", rows, target, 1.0),
            ("factor", rows * flat, target, 1.0),
            ("divisor", np.where(rows != 0, flat / rows, np.nan), target, 1.1),
            ("addend", rows, residual, 1.3),
            ("share", rows * flat, residual, 1.6),
            ("one", rows * flat, target - seen(np.ones_like(flat)[None])[0], 1.6),
        ):
            yield from _proportional(form, wanted, seen(values), [(p,) for p in own], cost)
        masks = [k for k, p in enumerate(own) if p.words.startswith("the mask")]
        others = [(PoolPart(text, torch.tensor(float(text)), 0.4), np.full(flat.shape, float(text))) for text in ("1", "-1")]
        others += [(p, rows[k]) for k, p in enumerate(own) if p.cost <= 0.1]
        for q, value in others if masks else ():
            values = np.where(rows[masks] != 0, flat, value)
            found = _proportional("branch", target, seen(values), [(own[k], q) for k in masks], 1.6)
            yield from (h for h in found if abs(h.coefficient - 1) < 1e-9)
        few, names = _rows([p for p in first if p.value.ndim or p.cost == 0][:THIRD], shape)
        for k, p in enumerate(names):
            both = [(p, q) for q in own]
            below = PoolPart(f"1 / {p.inner}", 1 / p.value, p.cost, "", True)
            yield from _proportional("addend", residual, seen(rows * few[k]), both, 1.9)
            yield from _proportional("factor", target, seen(rows * few[k] * flat), both, 1.9)
            yield from _proportional("place", target, seen(rows * few[k]), both, 2.1)
            yield from _proportional(
                "factor",
                target,
                seen(np.where(few[k] != 0, rows / few[k], np.nan) * flat),
                [(q, below) for q in own],
                2.1,
            )


def _rows(parts_: list[PoolPart], shape: tuple[int, ...]) -> tuple[Array, list[PoolPart]]:
    """The parts that broadcast to a shape, flattened into the rows of a matrix, and which parts those are."""
    rows, own = [], []
    for p in parts_:
        if p.value.ndim > len(shape):
            continue
        try:
            rows.append(np.broadcast_to(p.value.numpy(), shape).ravel())
        except ValueError:
            continue
        own.append(p)
    return (np.stack(rows) if rows else np.zeros((0, 0))), own


def _proportional(form: str, wanted: Array, found: Array, of: Sequence[tuple[PoolPart, ...]], cost: float) -> Iterator[Hit]:
    """The rows of ``found`` that are a number times what is wanted, elementwise and not in the norm alone."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        norms = np.einsum("ij,ij->i", found, found)
        c = found @ wanted / norms
        off = np.abs(c[:, None] * found - wanted).max(axis=1) if found.size else np.zeros(0)
        scale = float(np.abs(wanted).max(initial=0.0))
        good = np.flatnonzero(np.isfinite(c) & (norms > 0) & (off <= CLOSE * scale) & (np.abs(c) > 1e-9))
    for k in map(int, good):
        if form == "factor" and not of[k] and abs(c[k] - 1) < 1e-9:
            continue
        yield Hit(form, of[k], float(c[k]), cost + sum(p.cost for p in of[k]))
