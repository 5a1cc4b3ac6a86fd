"""Inputs at which two formulas are compared: small rationals, far enough for every bracket."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Atom, Poly, Size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.symmetric import has, taken_of
from derivcheck.notation.terms.nodes import Add, Bracket, Number, SizeOf
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.float64 import WithHoles
from derivcheck.proof.numbers.sizes_to_try import apart

ELEMENTS = 20_000  # of an input: larger ones take long
MARKS = 9  # values that masks of numbers are made of
LARGE = 1000  # what a bracket compares with beyond this is out of reach
PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41)


@dataclass(frozen=True)
class Draw:
    """How inputs are drawn.

    Attributes:
        positive: real numbers are above 0.
        stretch: how many times larger they are than usual.
        definite: matrices are symmetric and positive definite.
        masks: inputs some of whose elements are 0, or one of ``held``.
    """

    positive: bool = False
    stretch: int | Fraction = 1
    definite: bool = False
    masks: frozenset[str] = frozenset()
    held: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Point:
    """Where two formulas are compared: sizes, inputs of those sizes, and which of these are masks."""

    sizes: Mapping[str, int]
    inputs: Mapping[str, Any]
    masks: frozenset[str] = frozenset()


def draws(stretch: int = 1, masks: Iterable[str] = (), held: tuple[int, ...] = (0,)) -> list[Draw]:
    """Numbers of both signs, and until all of the forward is defined: positive ones, those below 1/2, those above 1."""
    signs = ((False, stretch), (True, stretch), (True, Fraction(1, 3)), (True, 4))
    return [Draw(positive, wide, masks=frozenset(masks), held=held) for positive, wide in signs]


def points(program: Program, sizes: Mapping[str, int], seed: int, every: Iterable[Draw]) -> Iterator[Point]:
    """Small rational inputs of those sizes, drawn in these ways; none where a dimension would not be positive.

    Where a Cholesky factor or the logarithm of a determinant is taken, at last with definite matrices.
    """
    for draw in _ways(program, every):
        point = sample(program, sizes, seed, draw)
        if point is None:
            return
        yield point


def _ways(program: Program, every: Iterable[Draw]) -> list[Draw]:
    ways = list(every)
    return [*ways, replace(ways[0], definite=True)] if has(program, "cholesky", "logdet") else ways


def sample(program: Program, sizes: Mapping[str, int], seed: int, draw: Draw) -> Point | None:
    """Small rational inputs of those sizes; None where a dimension would not be positive."""
    rng = random.Random(seed)
    out: dict[str, Any] = {}
    symmetric, positive = taken_of(program, "cholesky"), taken_of(program, "logdet")
    for place, a in enumerate(program.arguments):
        shape = tuple(p.at(sizes) for p in a.dims)
        if any(n < 1 for n in shape) or np.prod(shape, dtype=float) > ELEMENTS:
            return None
        drawn = _drawn(a, shape, sizes, rng, PRIMES[place % len(PRIMES)], draw.positive)
        if a.kind == "float":
            drawn = drawn if draw.stretch == 1 else np.asarray(drawn * draw.stretch, dtype=object)
            if a.name in draw.masks:
                at = np.array([rng.random() < 0.4 for _ in range(drawn.size)], dtype=bool).reshape(shape)
                drawn[at] = [Fraction(rng.choice(draw.held)) for _ in range(int(at.sum()))]
            if len(shape) > 1 and shape[-1] == shape[-2]:
                drawn = _definite(drawn) if a.name in symmetric or draw.definite else drawn
                drawn = _turned(drawn) if a.name in positive else drawn
        out[a.name] = drawn
    return Point(sizes, out, draw.masks)


def _definite(drawn: Any) -> Any:
    """Symmetric positive definite matrices of rational numbers, as large as those drawn."""
    n = drawn.shape[-1]
    size = sum((abs(v) for v in drawn.ravel()), Fraction(0)) / max(drawn.size, 1) or Fraction(1)
    eye = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    return (drawn @ drawn.swapaxes(-1, -2)) / (n * size) + eye * size / 2


def _turned(drawn: Any) -> Any:
    """Matrices of positive determinant: the first row of the others with another sign."""
    negative = np.linalg.det(drawn.astype(float)) < 0
    signs = np.where(negative[..., None, None] & (np.arange(drawn.shape[-1]) == 0)[:, None], -1, 1)
    return drawn * signs


def beside(point: Point) -> Point:
    """The inputs a little further, each real number by a step of its own; masks stay, and zeros, which they are made of."""
    rng = random.Random(7)
    step = np.vectorize(lambda v: v and v + Fraction(rng.choice((1, -1)) * rng.randrange(1, 10**6), 10**9 + 7), otypes=[object])
    inputs = point.inputs
    moved = [n for n, v in inputs.items() if np.asarray(v).dtype == object and np.size(v) and n not in point.masks]
    return replace(point, inputs={**inputs, **{n: step(inputs[n]) for n in moved}})


def marks(program: Program) -> tuple[int, ...]:
    """What a mask of numbers may be made of: 0, 1, −1 and the integers in the code."""
    found = {0, 1, -1}
    for d in program.definitions:
        whole = (t.value for t in subterms(d.term) if isinstance(t, Number) and t.value.denominator == 1)
        found.update(int(s * v) for v in whole for s in (1, -1) if abs(v) < LARGE)
    return tuple(sorted(found, key=lambda v: (abs(v), v)))[:MARKS]


def reach(program: Program) -> int:
    """How far the numbers have to go to be on either side of every bracket: twice the largest one that is compared with."""
    found = [1]
    for d in program.definitions:
        for t in subterms(d.term):
            if isinstance(t, Bracket) and isinstance(t.operand, Add):
                found += [int(2 * abs(c.value)) for c in t.operand.args if isinstance(c, Number) and abs(c.value) < LARGE]
    return max(found)


@lru_cache(maxsize=4096)
def _part(n: int, over: int) -> Fraction:
    return Fraction(n, over)


def _drawn(a: Input, shape: tuple[int, ...], sizes: Mapping[str, int], rng: random.Random, over: int, positive: bool) -> Any:
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
        values[k] = _part(left.pop(), over)
    return values.reshape(shape)


def values_at(program: Program, point: Point) -> dict[str, Any] | None:
    """Every input and definition in float64; None where they cannot be evaluated, or write where nothing is."""
    values = _values(program, point)
    return None if values is None or _astray(program, values, point.sizes) else values


def writes_astray(program: Program, point: Point) -> bool:
    """Whether it can be evaluated in float64, and writes where nothing is."""
    values = _values(program, point)
    return values is not None and _astray(program, values, point.sizes)


def _values(program: Program, point: Point) -> dict[str, Any] | None:
    floats = {n: v.astype(float) if v.dtype == object else v for n, v in point.inputs.items()}
    try:
        return {**floats, **evaluate(program, floats, point.sizes, WithHoles())}
    except (DerivcheckError, ArithmeticError, IndexError, ValueError, TypeError):
        return None


def _astray(program: Program, values: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Whether an integer that is computed of real numbers (``floor(u)``) is a place that is not there: torch raises then."""
    computed = {d.name for d in program.definitions if d.kind == "int" and not isinstance(d.term, SizeOf)}
    if not computed:
        return False
    for t in {t for d in program.definitions if not d.term.names.isdisjoint(computed) for t in subterms(d.term)}:
        if not isinstance(t, Bracket) or t.relation != "==" or not isinstance(t.operand, Poly):
            continue
        for i in t.operand.indices:
            found = t.operand.linear_in(i)
            if found is None or found[0] not in (1, -1) or found[1].names.isdisjoint(computed):
                continue
            place = -found[0] * found[1]
            axes = sorted(place.indices, key=lambda j: j.key)
            grid = dict(zip(axes, np.meshgrid(*(np.arange(j.size.at(sizes)) for j in axes), indexing="ij")))
            at = np.asarray(place.evaluate(partial(_look, grid, values, sizes)))
            if ((at < 0) | (at >= i.size.at(sizes))).any():
                return True
    return False


def _look(grid: Mapping[Any, Any], values: Mapping[str, Any], sizes: Mapping[str, int], a: Atom) -> Any:
    if isinstance(a, Size):
        return sizes[a.name]
    if isinstance(a, Entry):
        at = tuple(np.asarray(p.evaluate(partial(_look, grid, values, sizes))).astype(int) for p in a.at)
        return np.asarray(values[a.name])[at].astype(int)
    return grid[a]


def spread(program: Program, first: tuple[Definition, ...]) -> tuple[Point, dict[str, Any]] | None:
    """Sizes of which no two agree where that is possible, inputs, and all values there: finite.

    Args:
        first: definitions that read none of the others; their values are kept for the next Program that has them.
    """
    for round_, sizes in enumerate(apart(program)):
        for draw in _ways(program, (Draw(), Draw(positive=True))):
            found = _first_values(program, first, sizes, 11 * round_ + 5, draw)
            if found is None:
                break
            point, known = found
            values = None if known is None else _others(program, first, point, known)
            if values is None:
                return None
            if all(np.isfinite(np.asarray(v, dtype=float)).all() for v in values.values()):
                return point, values
    return None


_FirstValues = tuple[Point, dict[str, Any] | None]
_kept: OrderedDict[Any, tuple[tuple[Definition, ...], _FirstValues]] = OrderedDict()
KEPT = 16  # points with the values there: many claims are held against one gradient


def _first_values(
    program: Program, first: tuple[Definition, ...], sizes: Mapping[str, int], seed: int, draw: Draw
) -> _FirstValues | None:
    """A point, and the values of inputs and these definitions there; None where a dimension would not be positive."""
    drawn = taken_of(program, "cholesky"), taken_of(program, "logdet")  # what a point depends on beside sizes and draw
    # the definitions are held as long as the key, so that no other has their place in memory
    key = tuple(map(id, first)), program.arguments, tuple(sizes.items()), seed, draw, drawn
    kept = _kept.pop(key, None)
    if kept is None:
        point = sample(program, sizes, seed, draw)
        if point is None:
            return None
        kept = first, (point, _values(replace(program, definitions=first, outputs=()), point))
    _kept[key] = kept  # the latest
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return kept[1]


def _others(program: Program, first: tuple[Definition, ...], point: Point, known: Mapping[str, Any]) -> dict[str, Any] | None:
    """All values, where those of some definitions are known; None as in :func:`values_at`."""
    own = {d.name for d in first}
    more = tuple(Input(d.name, d.dims, d.kind) for d in first)
    left = tuple(d for d in program.definitions if d.name not in own)
    rest = replace(program, arguments=(*program.arguments, *more), definitions=left, outputs=())
    values = _values(rest, replace(point, inputs=known))
    return None if values is None or _astray(program, values, point.sizes) else values
