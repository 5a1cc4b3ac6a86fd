"""Sizes and inputs at which two formulas are compared: small rationals, far enough for every bracket."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.meaning import evaluate
from derivcheck.notation.program import Input, Program
from derivcheck.notation.terms import Add, Bracket, Number
from derivcheck.notation.walking import subterms

ELEMENTS = 20000
LARGE = 1000  # what a bracket compares with beyond this is out of reach
PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
SPREAD = (
    (3, 2, 4, 5, 3, 2),
    (2, 3, 5, 4, 3, 2),
    (4, 5, 2, 3, 2, 3),
    (5, 4, 3, 2, 3, 2),
    (5, 3, 2, 2, 3, 3),
    (6, 5, 4, 3, 2, 2),
)


def assignments(program: Program, most: int = 60) -> Iterator[dict[str, int]]:
    """Sizes to try, of those that the Program admits: the smallest first, then some in which no two sizes agree."""
    return filter(program.admits, _assignments(program, most))


def _assignments(program: Program, most: int) -> Iterator[dict[str, int]]:
    names = _sizes(program)
    if not names:
        yield {}
        return
    seen: set[tuple[int, ...]] = set()
    small = sorted(itertools.product((1, 2, 3), repeat=min(len(names), 5)), key=lambda v: (sum(v), max(v), v))
    kept = small if len(small) <= most // 2 else [v for v in small if sum(v) <= len(v) + 2][: most // 2]
    for v in kept:
        full = (*v, *([2] * (len(names) - len(v))))
        if full not in seen:
            seen.add(full)
            yield dict(zip(names, full))
    for v in SPREAD:
        full = tuple(v[k % 6] for k in range(len(names)))
        if full not in seen:
            seen.add(full)
            yield dict(zip(names, full))


def _sizes(program: Program) -> tuple[str, ...]:
    found = dict.fromkeys(program.sizes())
    for a in program.arguments:
        if a.below is not None:
            found.update(dict.fromkeys(sorted(a.below.sizes())))
    return tuple(found)


def sample(
    program: Program,
    sizes: Mapping[str, int],
    seed: int,
    positive: bool,
    stretch: int = 1,
    masks: frozenset[str] = frozenset(),
) -> dict[str, Any] | None:
    """Small rational inputs of those sizes; None where a dimension would not be positive.

    Args:
        stretch: how many times larger the numbers are than usual.
        masks: inputs some of whose elements are 0.
    """
    rng = random.Random(seed)
    out: dict[str, Any] = {}
    for place, a in enumerate(program.arguments):
        shape = tuple(p.at(sizes) for p in a.dims)
        if any(n < 1 for n in shape) or np.prod(shape, dtype=float) > ELEMENTS:
            return None
        drawn = _drawn(a, shape, sizes, rng, PRIMES[place % len(PRIMES)], positive)
        if a.kind == "float":
            drawn = np.asarray(drawn * stretch, dtype=object)
            if a.name in masks:
                drawn[np.array([rng.random() < 0.4 for _ in range(drawn.size)], dtype=bool).reshape(shape)] = Fraction(0)
        out[a.name] = drawn
    return out


def reach(program: Program) -> int:
    """How far the numbers have to go to be on either side of every bracket: twice the largest one that is compared with."""
    found = [1]
    for d in program.definitions:
        for t in subterms(d.term):
            if isinstance(t, Bracket) and isinstance(t.operand, Add):
                found += [int(2 * abs(c.value)) for c in t.operand.args if isinstance(c, Number) and abs(c.value) < LARGE]
    return max(found)


def _drawn(
    a: Input, shape: tuple[int, ...], sizes: Mapping[str, int], rng: random.Random, over: int, positive: bool
) -> Any:
    """Numbers over a prime of their own: what a kink compares is then hardly ever equal."""
    count = int(np.prod(shape, dtype=int))
    if a.kind == "int":
        top = a.below.at(sizes) if a.below is not None else 1
        return np.array([rng.randrange(max(top, 1)) for _ in range(count)], dtype=np.int64).reshape(shape)
    if a.kind == "bool":
        return np.array([rng.random() < 0.6 for _ in range(count)]).reshape(shape)
    most = 3 * over // 2
    choices = [v for v in range(1 if positive else -most, most + 1) if v % over]
    values = np.empty(count, dtype=object)
    left: list[int] = []
    for k in range(count):
        if not left:
            left = rng.sample(choices, len(choices))
        values[k] = Fraction(left.pop(), over)
    return values.reshape(shape)


def values_at(program: Program, sizes: Mapping[str, int], inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Every input and definition in float64; None where they cannot be evaluated."""
    floats = {n: v.astype(float) if v.dtype == object else v for n, v in inputs.items()}
    try:
        return {**floats, **evaluate(program, floats, sizes)}
    except (DerivcheckError, ArithmeticError, IndexError, ValueError, TypeError):
        return None


def spread(program: Program) -> tuple[dict[str, int], dict[str, Any], dict[str, Any]] | None:
    """Sizes of which no two agree where that is possible, inputs, and the values there: finite somewhere."""
    names = _sizes(program)
    for round_, v in enumerate(SPREAD):
        sizes = dict(zip(names, (v[k % 6] for k in range(len(names)))))
        if not program.admits(sizes):
            continue
        for positive in (False, True):
            inputs = sample(program, sizes, 11 * round_ + 5, positive)
            if inputs is None:
                break
            values = values_at(program, sizes, inputs)
            if values is None:
                return None
            if all(np.isfinite(np.asarray(v, dtype=float)).all() for v in values.values()):
                return sizes, inputs, values
    return None
