"""Which sizes two formulas are compared at: the smallest that are admitted, then some further apart, then past every constant.

A Program may need ``N >= 8`` or ``N % 4 == 0``; a comparison with a constant (``[n < 9]``, ``x[7]``) shows what it does only
at sizes beyond it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from derivcheck.notation.integers.atoms import Extreme, Floor
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.nodes import Add, Number, SizeOf
from derivcheck.notation.terms.walk import polys, subterms

LEVELS = 6  # of each size, how many values
HIGHEST = 300  # no requirement is followed further
CONSTANT = 64  # an integer up to here is tried on every side
LARGEST = 1024  # an integer beyond this is out of reach
SPREAD = (
    (3, 2, 4, 5, 3, 2),
    (2, 3, 5, 4, 3, 2),
    (4, 5, 2, 3, 2, 3),
    (5, 4, 3, 2, 3, 2),
    (5, 3, 2, 2, 3, 3),
    (6, 5, 4, 3, 2, 2),
)


def assignments(program: Program, most: int = 60) -> Iterator[dict[str, int]]:
    """Sizes to try, of those that the Program admits: the smallest first, some in which no two agree, some past each constant.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> from derivcheck.notation.program.reads import inside
    >>> next(assignments(inside(parse_program("y[n] := x[7]*x[n]", {"x": "N"}))))
    {'N': 8}
    """
    names = size_names(program)
    ladder = _ladder(names, program.requires)
    if ladder is None:
        return
    tried: set[tuple[int, ...]] = set()
    for v in itertools.chain(_levels(len(names), most), _past(program, names, ladder)):
        values = tuple(ladder[n][k - 1] if k <= LEVELS else k for n, k in zip(names, v))
        sizes = dict(zip(names, values))
        if values not in tried and program.admits(sizes):
            tried.add(values)
            yield sizes


def apart(program: Program) -> Iterator[dict[str, int]]:
    """Admitted sizes of which no two agree where that is possible."""
    names = size_names(program)
    ladder = _ladder(names, program.requires)
    if ladder is None:
        return
    for v in (*SPREAD, (1, 2, 3, 4, 5, 6), (3,) * 6, (2,) * 6, (1,) * 6):
        sizes = {n: ladder[n][v[k % 6] - 1] for k, n in enumerate(names)}
        if program.admits(sizes):
            yield sizes


def size_names(program: Program) -> tuple[str, ...]:
    """The sizes of a Program, those of integer entries and of what is required included: a sum may end where no input does."""
    found = dict.fromkeys(program.sizes())
    for r in program.requires:
        found.update(dict.fromkeys(sorted(r.left.sizes() | r.right.sizes())))
    for a in program.arguments:
        if a.below is not None:
            found.update(dict.fromkeys(sorted(a.below.sizes())))
    return tuple(found)


def _levels(count: int, most: int) -> Iterator[tuple[int, ...]]:
    """Places on the ladders of so many sizes: small ones first, then those of which no two agree."""
    if not count:
        yield ()
        return
    small = sorted(itertools.product((1, 2, 3), repeat=min(count, 5)), key=lambda v: (sum(v), max(v), v))
    kept = small if len(small) <= most // 2 else [v for v in small if sum(v) <= len(v) + 2][: most // 2]
    for v in kept:
        yield (*v, *([2] * (count - len(v))))
    for v in SPREAD:
        yield tuple(v[k % 6] for k in range(count))


def _past(program: Program, names: tuple[str, ...], ladder: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Each size in turn at and beyond the integers that positions and brackets speak of, the others small."""
    near, wide = _constants(program)
    for beyond in (*((c, c + 1, c + 2) for c in near), *((c + 1,) for c in wide)):
        for far in beyond:
            if far > LEVELS:
                for k, n in enumerate(names):
                    if far not in ladder[n]:
                        yield tuple(far if j == k else min(2, far) for j in range(len(names)))


@lru_cache(maxsize=64)
def _ladder(names: tuple[str, ...], requires: tuple[Requirement, ...]) -> dict[str, tuple[int, ...]] | None:
    """The smallest admitted values of each size, the others being the smallest that are admitted; None where none was found."""
    at = dict.fromkeys(names, 1)
    for _ in range(4 * len(names) + 4):  # mending one requirement may break another: each size is moved a few times
        broken = next((r for r in requires if not _holds(r, at)), None)
        if broken is None:
            break
        moved = _mended(broken, at, requires)
        if moved is None:
            return None
        at = moved
    if not all(_holds(r, at) for r in requires):
        return None
    ladder = {}
    for n in names:
        own = [r for r in requires if n in r.left.sizes() | r.right.sizes()]
        alone = [r for r in own if r.left.sizes() | r.right.sizes() == {n}]
        found: list[int] = []
        for rules in (own, alone):  # sizes tied to each other are tried together
            if len(found) < LEVELS:
                fits = (v for v in range(at[n], HIGHEST) if all(_holds(r, {**at, n: v}) for r in rules))
                found = list(itertools.islice(fits, LEVELS))
        ladder[n] = tuple(found + [found[-1] if found else at[n]] * (LEVELS - len(found)))
    return ladder


def _mended(broken: Requirement, at: Mapping[str, int], requires: Iterable[Requirement]) -> dict[str, int] | None:
    """The sizes with one of those that a requirement speaks of changed, so that it holds and as few others as may be do not."""
    best: tuple[int, int] | None = None
    found: dict[str, int] | None = None
    for n in sorted(broken.left.sizes() | broken.right.sizes()):
        for v in range(1, HIGHEST):
            new = {**at, n: v}
            if n in at and _holds(broken, new):
                rank = (sum(not _holds(r, new) for r in requires), v)
                if best is None or rank < best:
                    best, found = rank, new
                break
    return found


def _holds(r: Requirement, sizes: Mapping[str, int]) -> bool:
    try:
        return r.holds(sizes)
    except ZeroDivisionError:
        return False


def _constants(program: Program) -> tuple[list[int], list[int]]:
    """The integers that positions, dimensions, integer brackets and factors made of sizes speak of: the small ones, and the
    first few of the large ones (a crop to 512, blocks of 256), at which numbers cost time."""
    found: set[int] = set()
    for d in program.definitions:
        found.update(abs(c) for i in d.indices for c in _numbers(i.size))
        for t in subterms(d.term):
            if isinstance(t, Add) and any(isinstance(a, SizeOf) for a in t.args):
                found.update(abs(int(a.value)) for a in t.args if isinstance(a, Number))
            found.update(abs(c) for p in polys(t) for c in _numbers(p))
    return sorted(c for c in found if c <= CONSTANT), sorted(c for c in found if CONSTANT < c <= LARGEST)[:2]


def _numbers(p: Poly) -> Iterator[int]:
    """The integers that are added in an expression, and in the quotients and extremes in it."""
    for m, c in p.terms:
        if not m:
            yield c
        for a, _ in m:
            for inner in (a.numerator, a.denominator) if isinstance(a, Floor) else a.args if isinstance(a, Extreme) else ():
                yield from _numbers(inner)
