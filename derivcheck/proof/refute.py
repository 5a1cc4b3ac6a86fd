"""Numbers refute: the smallest sizes at which two formulas differ, exactly where the formulas are rational.

Candidates are found in float64; what is reported was confirmed in exact rational arithmetic, or with 60 digits where a
function is not rational.  A difference that is not confirmed refutes nothing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter
from typing import Any

import numpy as np

from derivcheck.derivation.scalar import meaning
from derivcheck.errors import DerivcheckError
from derivcheck.notation.exact import Exact
from derivcheck.notation.meaning import evaluate
from derivcheck.notation.program import Input, Program
from derivcheck.notation.terms import Add, Bracket, Number
from derivcheck.notation.walking import subterms

DIGITS = 60
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


@dataclass(frozen=True)
class Counterexample:
    """Where a claimed gradient is wrong.

    Attributes:
        sizes: the sizes.
        name: the gradient.
        index: the element.
        claimed: the value that the claim gives there.
        gradient: the value of the gradient.
        inputs: the inputs at which it is so.
        exact: whether the values are exact rationals (else they carry 60 digits).
        by: who says ``claimed``.
    """

    sizes: dict[str, int]
    name: str
    index: tuple[int, ...]
    claimed: Any
    gradient: Any
    inputs: dict[str, Any]
    exact: bool
    by: str = "the claim"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "sizes": self.sizes,
            "name": self.name,
            "index": list(self.index),
            "claimed": str(self.claimed),
            "gradient": str(self.gradient),
            "exact": self.exact,
            "inputs": {n: _plain(v) for n, v in self.inputs.items()},
        }

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        sizes = ", ".join(f"{n} = {v}" for n, v in self.sizes.items())
        return f"{self.name}{at} is {_number(self.gradient)}, {self.by} gives {_number(self.claimed)}" + (
            f" at {sizes}" if sizes else ""
        )


@dataclass(frozen=True)
class Evidence:
    """How far two formulas were compared on numbers: the sizes tried, an example where they differ, all that differ."""

    tried: tuple[dict[str, int], ...]
    counterexample: Counterexample | None
    refuted: frozenset[str] = frozenset()


def _number(v: Any) -> str:
    return str(v) if isinstance(v, (Fraction, int)) else f"{float(v):.12g}"


def _plain(v: Any) -> Any:
    a = np.asarray(v)
    if a.dtype == object:
        return np.vectorize(str, otypes=[object])(a).tolist() if a.size else []
    return a.tolist()


class Digits(Exact):
    """Numbers of so many decimal digits (mpmath)."""

    def __init__(self, digits: int = DIGITS) -> None:
        import mpmath  # type: ignore[import-untyped]

        self.mp = mpmath.mp.clone()
        self.mp.dps = digits

    def exactly(self, value: Any) -> Any:
        if isinstance(value, Fraction):
            return self.mp.mpf(value.numerator) / value.denominator
        return (
            value if isinstance(value, self.mp.mpf) else self.mp.mpf(value.item() if isinstance(value, np.generic) else value)
        )

    def one_power(self, base: Any, exponent: Any) -> Any:
        if base is None or exponent is None:
            return None
        if isinstance(exponent, Fraction):
            if base == 0 and exponent < 0 or base < 0 and exponent.denominator != 1:
                return None
            if exponent.denominator == 1:
                return base ** int(exponent)
            return self.mp.power(base, self.exactly(exponent))
        return None if base <= 0 else self.mp.power(base, exponent)

    def one_value(self, name: str, values: Sequence[Any]) -> Any:
        if any(v is None for v in values):
            return None
        if name == "inf":  # masks add it; exp(−inf) is 0 again
            return self.mp.inf
        try:
            found = self.mp.mpf(1) * _function(name)(self.mp, *values)
        except (ValueError, ZeroDivisionError, TypeError):
            return None
        return None if not self.mp.isfinite(found) else found


def _function(name: str) -> Any:
    from derivcheck.notation.functions import functions

    plain = {"lgamma": "loggamma", "pi": "pi"}
    row = functions().get(name)
    if row is None or row.means is None:
        if name == "pi":
            return lambda mp: mp.pi
        if name == "polygamma":
            return lambda mp, n, x: mp.polygamma(int(n), x)
        return lambda mp, *a: getattr(mp, plain.get(name, name))(*a)
    term = meaning(name)
    return lambda mp, *a: _scalar(mp, term, a)


def _scalar(mp: Any, t: Any, args: Sequence[Any]) -> Any:
    from derivcheck.notation import terms as T

    if isinstance(t, T.Number):
        return mp.mpf(t.value.numerator) / t.value.denominator
    if isinstance(t, T.Ref):
        return args[int(t.name)]
    kids = [_scalar(mp, k, args) for k in t.children]
    if isinstance(t, T.Add):
        return sum(kids, mp.mpf(0))
    if isinstance(t, T.Mul):
        total = mp.mpf(1)
        for k in kids:
            total = total * k
        return total
    if isinstance(t, T.Pow):
        return mp.power(kids[0], kids[1])
    return _function(t.name)(mp, *kids)


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


def compared(
    program: Program, pairs: Sequence[tuple[str, str, str]], seconds: float = 0.6, masks: frozenset[str] = frozenset()
) -> Evidence:
    """Compare definitions of a Program on numbers.

    Args:
        program: one Program that defines both sides.
        pairs: (the gradient's public name, the definition that claims it, the definition that is it).
        masks: inputs that may be 0 in whole regions (see :mod:`~derivcheck.proof.kinks`).
    """
    far = reach(program)
    start = perf_counter()
    tried: list[dict[str, int]] = []
    first: Counterexample | None = None
    refuted: set[str] = set()
    for round_, sizes in enumerate(assignments(program)):
        if perf_counter() - start > seconds and tried:
            break
        open_ = [p for p in pairs if p[0] not in refuted]
        told = False
        for positive in (False, True):
            stretch, zeroed = (far, masks) if round_ % 2 else (1, frozenset[str]())
            inputs = sample(program, sizes, 7 * round_ + 1, positive, stretch, zeroed)
            if inputs is None:
                break
            found = _at(program, open_, sizes, inputs)
            if found is None:
                continue
            told = True
            for name, claimed, gradient in found:
                example = confirmed(program, name, claimed, gradient, sizes, inputs)
                if example is not None:
                    first = first or example
                    refuted.add(name)
            break
        if told:
            tried.append(sizes)
        if len(refuted) == len(pairs):
            break
    ends = (*tried[:1], *tried[-1:])
    variants = [(sizes, stretch, zeroed) for sizes in ends for stretch, zeroed in ((1, frozenset[str]()), (far, masks))]
    for sizes, stretch, zeroed in variants if perf_counter() - start < seconds else ():  # what float64 does not show
        for name, claimed, gradient in [p for p in pairs if p[0] not in refuted]:
            inputs = sample(program, sizes, 5, False, stretch, zeroed)
            example = None if inputs is None else confirmed(program, name, claimed, gradient, sizes, inputs)
            if example is not None and _clear(example):
                first = first or example
                refuted.add(name)
    return Evidence(tuple(tried), first, frozenset(refuted))


def _clear(c: Counterexample) -> bool:
    """Whether a gap is larger than what a constant written as a float64 (0.7978845608028654) makes."""
    u, v = c.claimed, c.gradient
    return float(abs(u - v)) > 1e-12 * float(max(abs(u), abs(v)))


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


def alike(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays agree in float64, dimensions of size 1 left out."""
    a, b = np.squeeze(np.asarray(a, dtype=float)), np.squeeze(np.asarray(b, dtype=float))
    if a.shape != b.shape or not a.size:
        return False
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()), 1e-3)
    return bool((np.abs(a - b) <= tolerance * scale).all())


def _at(program: Program, pairs: Sequence[tuple[str, str, str]], sizes: Mapping[str, int], inputs: Mapping[str, Any]) -> Any:
    values = values_at(program, sizes, inputs)
    if values is None:
        return None
    differ = []
    usable = False
    for pair in pairs:
        a, b = np.asarray(values[pair[1]], dtype=float), np.asarray(values[pair[2]], dtype=float)
        fine = np.isfinite(a) & np.isfinite(b)
        if not fine.any():
            continue
        usable = True
        scale = max(float(np.abs(b[fine]).max()), float(np.abs(a[fine]).max()), 1e-6)
        if (np.abs(a - b)[fine] > 1e-7 * scale).any():
            differ.append(pair)
    return differ if usable else None


def confirmed(
    program: Program, name: str, claimed: str, gradient: str, sizes: Mapping[str, int], inputs: Mapping[str, Any]
) -> Counterexample | None:
    """The element where they differ, exactly or with many digits; None where that is not confirmed."""
    needed = program.needed([n for n in (claimed, gradient) if n not in program.inputs])
    rational = pair_at(needed, claimed, gradient, sizes, inputs, Exact())
    if rational is not None:
        for at in np.ndindex(*rational[1].shape):
            u, v = rational[0][at], rational[1][at]
            if u is not None and v is not None and u != v:
                return Counterexample(dict(sizes), name, at, u, v, dict(inputs), True)
        return None
    short, long = (pair_at(needed, claimed, gradient, sizes, inputs, Digits(n)) for n in (DIGITS, 2 * DIGITS))
    if short is None or long is None:
        return None
    for at in np.ndindex(*long[1].shape):
        u, v, p, q = long[0][at], long[1][at], short[0][at], short[1][at]
        if any(x is None or not abs(x) < 10**DIGITS for x in (u, v, p, q)):
            continue
        gap = abs(u - v)
        # a gap that is rounding changes with the digits; one that is not stays
        if gap and abs((u - v) - (p - q)) <= 1e-9 * gap:
            return Counterexample(dict(sizes), name, at, u, v, dict(inputs), False)
    return None


def pair_at(
    program: Program, claimed: str, gradient: str, sizes: Mapping[str, int], inputs: Mapping[str, Any], numbers: Exact
) -> tuple[Any, Any] | None:
    """The values of the two definitions in such numbers; None stands for an element that is not defined."""
    try:
        values = {
            **{n: numbers.given(v, n) for n, v in inputs.items() if np.asarray(v).dtype == object},
            **evaluate(program, inputs, sizes, numbers),
        }
    except (DerivcheckError, ArithmeticError, IndexError, ValueError, TypeError, AttributeError):
        return None
    return values[claimed], values[gradient]
