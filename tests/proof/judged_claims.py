"""Whether a verdict on a random claim is right: by an evaluation of its own, one element at a time in plain Python.

What is not defined is None; a factor that is a bracket selects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import product as every_way
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index, Poly, Size
from derivcheck.notation.terms.build import func, number
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.text.parse import parse_program
from derivcheck.proof.report.proof import Proof
from tests.proof.random_claims import DIMS, INPUTS, Claim, R

SIZES = (1, 2, 3, 9, 10, 12)


class Undefined(Exception):
    """A value that is no real number."""


class Outside(Undefined):
    """An element that is not there."""


Data = Mapping[str, Any]


def value(t: Term, at: Mapping[Index, int], data: Data, n: int) -> float:
    """A term at values of its indices, in plain Python.

    Raises:
        Undefined: where it is no real number.
    """
    if isinstance(t, Number):
        return float(t.value)
    if isinstance(t, SizeOf):
        return float(_place(t.value, at, data, n))
    if isinstance(t, Ref):
        places = tuple(_place(p, at, data, n) for p in t.at)
        if any(not 0 <= p < n for p in places):
            raise Outside
        return float(data[t.name][places])
    if isinstance(t, Bracket):
        v = _place(t.operand, at, data, n) if isinstance(t.operand, Poly) else value(t.operand, at, data, n)
        return float({"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[t.relation])
    if isinstance(t, Add):
        return math.fsum(value(a, at, data, n) for a in t.args)
    if isinstance(t, Mul):
        if any(_is_zero(a, at, data, n) for a in t.args if isinstance(a, Bracket)):
            return 0.0
        return math.prod(value(a, at, data, n) for a in t.args)
    if isinstance(t, Pow):
        return _power(value(t.base, at, data, n), value(t.exponent, at, data, n))
    if isinstance(t, Func):
        return _function(t.name, [value(a, at, data, n) for a in t.args])
    assert isinstance(t, Over) and t.kind == "sum", t
    ranges = [range(_place(i.size, at, data, n)) for i in t.indices]
    return math.fsum(value(t.body, {**at, **dict(zip(t.indices, v))}, data, n) for v in every_way(*ranges))


def _is_zero(b: Bracket, at: Mapping[Index, int], data: Data, n: int) -> bool:
    """Whether a bracket is 0; one that has no value is left to the others."""
    try:
        return value(b, at, data, n) == 0
    except Undefined:
        return False


def _place(p: Poly, at: Mapping[Index, int], data: Data, n: int) -> int:
    def look(a: Any) -> int:
        if isinstance(a, Size):
            return n
        if isinstance(a, Index):
            return at[a]
        place = _place(a.at[0], at, data, n)
        if not 0 <= place < n:
            raise Outside
        return int(data[a.name][place])

    return int(p.evaluate(look))


def _power(base: float, exponent: float) -> float:
    if base == 0 and exponent < 0 or base < 0 and exponent != int(exponent):
        raise Undefined
    try:
        return float(base**exponent)
    except (OverflowError, ZeroDivisionError):
        raise Undefined from None


def _function(name: str, args: list[float]) -> float:
    own: dict[str, Callable[..., float]] = {"sigmoid": lambda v: 1 / (1 + math.exp(-v))}
    try:
        found = own.get(name) or getattr(math, name)
        return float(found(*args))
    except (ValueError, OverflowError, ZeroDivisionError):
        raise Undefined from None


def values(t: Term, data: Data, n: int) -> list[float | None]:
    """A term at all values of its free indices; None where it is not defined."""
    out: list[float | None] = []
    for v in every_way(*(range(n) for _ in t.free)):
        try:
            found = value(t, dict(zip(sorted(t.free, key=lambda i: i.key), v)), data, n)
            out.append(found if math.isfinite(found) else None)
        except Undefined:
            out.append(None)
    return out


def side(t: Term, dropped: tuple[Term, ...], data: Data, n: int) -> list[float | None]:
    """One side at each place of r; nowhere defined where something dropped is not defined."""
    if any(None in values(d, data, n) for d in dropped):
        return [None] * n
    found = values(t, data, n)
    return found * n if R not in t.free else found


def points(seed: int) -> Iterator[tuple[dict[str, Any], int, str]]:
    """Data, the size, and how it lies: ``general`` and ``positive`` tie nothing; ``masked`` has zeros in what is a mask."""
    for k, n in enumerate(SIZES):
        for kind in ("general", "positive", "tied") if n < 9 else (("general", "positive", "tied")[(seed + k) % 3],):
            rng = np.random.default_rng(seed * 31 + n)

            def real(*shape: int, rng: np.random.Generator = rng, kind: str = kind) -> Any:
                if kind == "tied":
                    return rng.integers(-1, 3, shape).astype(float)
                return rng.uniform(0.2 if kind == "positive" else -2.0, 2.0, shape)

            data = {a.name: real(*(n for _ in a.dims)) if a.kind == "float" else rng.integers(0, n, n) for a in INPUTS}
            if kind != "tied" and (seed + k) % 4 == 0:
                data["m"], kind = data["m"] * rng.integers(0, 2, n), "masked"
            yield data, n, kind


def fault(c: Claim, proof: Proof) -> str:
    """What is wrong with the verdict, or ""."""
    if proof.status == "proved":
        return _wrongly_proved(c, proof)
    if proof.status == "refuted" and proof.counterexample is not None:
        return _wrongly_refuted(c, proof)
    return ""


def _wrongly_proved(c: Claim, proof: Proof) -> str:
    for data, n, kind in points(c.seed):
        if n < least(c) or None in (left := side(c.left, c.of_left, data, n)):
            continue
        right = side(c.right, c.of_right, data, n)
        bad = [r for r, (u, v) in enumerate(zip(left, right)) if u is not None and (v is None or not _near(u, v))]
        if not bad and kind in ("tied", "masked"):
            continue
        broken = [t for t in proof.conditions if _is_broken(t, data, n)]
        vacuous = [t for t in broken if "≠" in t and kind in ("general", "positive")]
        if kind == "masked":  # a kink is none where a mask is 0
            broken = [t for t in broken if "kink" not in t]
        if vacuous:
            return f"the condition {vacuous[0]!r} does not hold at N = {n} in general position"
        if bad and not broken:
            found, expected = right[bad[0]], left[bad[0]]
            return f"proved, but at N = {n}, r = {bad[0]}: {found}, expected {expected}; conditions {proof.conditions}"
    return ""


def _wrongly_refuted(c: Claim, proof: Proof) -> str:
    example = proof.counterexample
    assert example is not None
    n = example.sizes["N"]
    for step, tries in ((0.0, 1), (1e-5, 8)):
        for k in range(tries):
            inputs = example.inputs.items()  # x alone is stepped: what is not differentiated in may be a mask
            data = {name: _beside(v, step if name == "x" else 0.0, c.seed + k) for name, v in inputs}
            left, right = side(c.left, c.of_left, data, n), side(c.right, c.of_left, data, n)
            if any(u is not None and v is not None and not _near(u, v, 1e-12) for u, v in zip(left, right)):
                break
        else:
            return f"refuted at N = {n}, but within a step of {step} the sides agree: {left[:4]}, {right[:4]}"
    return ""


def _beside(v: Any, step: float, seed: int) -> Any:
    """The numbers a step further; integers stay, and zeros."""
    if np.asarray(v).dtype != object:
        return v
    plain = np.asarray(v, float)
    return plain + (plain != 0) * step * np.random.default_rng(seed).uniform(-1, 1, plain.shape)


def least(c: Claim) -> int:
    """The smallest size at which all constant positions are inside."""
    places = [p.constant for side_ in (c.left, c.right) for t in subterms(side_) if isinstance(t, Ref) for p in t.at]
    return 1 + max((p for p in places if p is not None), default=0)


def _near(u: float, v: float, tolerance: float = 1e-7) -> bool:
    return abs(u - v) <= tolerance * max(abs(u), abs(v), 1e-6)


def _is_broken(text: str, data: Data, n: int) -> bool:
    """Whether a condition does not hold; one of a kink somewhere beside the indices at which it may be 0."""
    found = re.fullmatch(r"(.*) (≠|>|≥) (0|-?1)( unless .*)?", text.removesuffix(" (a kink)"))
    if found is None:
        return bool(re.search(r" in [\[(]| is no | is a ", text)) and _outside(text, data, n)
    lhs, relation, right, unless = found[1], found[2], float(found[3]), found[4]
    term = _parsed(lhs)
    if term is None:
        return False
    indices = sorted(term.free, key=lambda i: i.key)
    for at in every_way(*(range(n) for _ in indices)):
        here = dict(zip(indices, at))
        if unless and _any_equal(unless, {i.key: v for i, v in here.items()}, data, n):
            continue
        try:
            v = value(term, here, data, n)
        except Outside:
            continue  # said of places where it is there
        except Undefined:
            return True
        if not {"≠": v != right, ">": v > right, "≥": v >= right}[relation]:
            return True
    return False


def _outside(text: str, data: Data, n: int) -> bool:
    term = _parsed(re.split(r" in [\[(]| is no | is a ", text)[0])
    name = "atanh" if " in (" in text else "asin" if " in [" in text else "lgamma"
    if term is None:
        return False
    return any(v is None or None in values(func(name, number(Fraction(v))), data, n) for v in values(term, data, n))


def _parsed(lhs: str) -> Term | None:
    words = set(re.findall(r"[^\W\d]\w*", lhs)) - set(DIMS) - set(functions()) - {"N", "sum"}
    free = sorted(w for w in words if not re.search(rf"sum\([^:]*\b{w}\b[^:]*:", lhs))
    dims = {k: v for k, v in DIMS.items() if re.search(rf"\b{k}\b", lhs)}
    head = f"c_[{', '.join(f'{i} < N' for i in free)}]" if free else "c_"
    try:
        return parse_program(f"{head} := {lhs}", dims).definitions[0].term
    except DerivcheckError:
        return None


def _any_equal(unless: str, at: Mapping[str, int], data: Data, n: int) -> bool:
    """Whether one of the alternatives of "unless i = j and …, or …" holds."""
    for way in unless.removeprefix(" unless ").split(" or "):
        sides = [re.sub(r"ids\[(\w+)\]", lambda m: str(int(data["ids"][at.get(m[1], 0)])), e) for e in way.split(" and ")]
        if all(_whole(a, at, n) == _whole(b, at, n) for a, b in (e.split(" = ") for e in sides)):
            return True
    return False


def _whole(text: str, at: Mapping[str, int], n: int) -> int:
    """A small sum of multiples: ``2*i + 1``."""
    total = 0
    for sign, part in re.findall(r"([+-]?)\s*([\w*]+)", text):
        total += (-1 if sign == "-" else 1) * math.prod(int(f) if f.isdigit() else at.get(f, n) for f in part.split("*"))
    return total
