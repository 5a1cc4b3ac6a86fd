"""Random claims for the proofs: masks, ties at elements, domains, what is dropped, sizes beyond every constant.

A claim is judged by an evaluation of its own, one element at a time in plain Python: what is not defined is None, a factor
that is a bracket selects.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as every_way
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.brackets import bracket
from derivcheck.notation.domains import dropped_conditions, partial
from derivcheck.notation.dropped import listening
from derivcheck.notation.functions import functions
from derivcheck.notation.parse import parse_program
from derivcheck.notation.program import Definition, Input, Program
from derivcheck.notation.reads import inside
from derivcheck.notation.sizes import Index, Poly, Size, i_poly, size
from derivcheck.notation.terms import (
    ONE, ZERO, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term,
    add, div, func, mul, neg, number, power, ref, size_of, sub, summation,
)  # fmt: skip
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report import Proof
from tests.proof.random_terms import Maker, distributed, renamed, shuffled, somewhere

N = size("N")
R = Index("r", N)
INPUTS = (Input("x", (N,)), Input("y", (N,)), Input("m", (N,)), Input("w", (N, N)), Input("ids", (N,), "int", N))
BELOW = {"ids": N}
DIMS = {a.name: ("int<N: N" if a.kind == "int" else " ".join(map(str, a.dims))) for a in INPUTS}
CONSTANTS = (0, 1, 2, 7, 9)
SIZES = (1, 2, 3, 9, 10, 12)


@dataclass(frozen=True)
class Claim:
    """A gradient and what is claimed to be it, with the terms that were dropped as they were built."""

    left: Term
    right: Term
    of_left: tuple[Term, ...]
    of_right: tuple[Term, ...]
    seed: int


# -- making ------------------------------------------------------------------------
class Claims:
    """Random terms in one free index."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.maker, self.least = rng, Maker(rng, INPUTS), 1

    def place(self, free: list[Index]) -> Poly:
        pick = self.rng.random()
        if pick < 0.12:
            c = self.rng.choice(CONSTANTS)
            self.least = max(self.least, c + 1)
            return Poly((((), c),) if c else ())
        i = i_poly(self.rng.choice(free))
        if pick < 0.2:
            return N - 1 - i
        if pick < 0.26:
            from derivcheck.notation.sizes import entry

            return entry("ids", i)
        return i

    def leaf(self, free: list[Index], names: str = "xxxym") -> Term:
        if self.rng.random() < 0.1:
            return number(self.rng.choice([1, 2, -1, Fraction(1, 2), 3]))
        if self.rng.random() < 0.12:
            return ref("w", self.place(free), self.place(free))
        return ref(self.rng.choice(names), self.place(free))

    def compared(self, free: list[Index]) -> Term:
        """What a mask compares with 0."""
        rng = self.rng
        kind = rng.randrange(9)
        x = self.leaf(free, "xxxxy")
        if kind < 4:
            return sub(x, ref(rng.choice("xxxy"), self.place(free)))
        if kind == 4:
            return sub(mul(size_of(N - rng.choice([2, 7, 9])), x), ZERO)
        if kind == 5:
            return mul(self.leaf(free, "xym"), x)
        if kind == 6:
            return add(x, self.leaf(free, "xy"), number(rng.choice([0, 0, 1, -1])))
        if kind == 7:
            j = self.maker.index(N)
            return sub(x, summation([j], mul(self.leaf([*free, j], "xym"), self.leaf([*free, j], "x"))))
        return mul(size_of(i_poly(rng.choice(free))), x) if rng.random() < 0.5 else x

    def mask(self, free: list[Index]) -> Term:
        if self.rng.random() < 0.2:
            return bracket(self.rng.choice([">=", "=="]), i_poly(self.rng.choice(free)) - self.rng.choice(CONSTANTS))
        return bracket(self.rng.choice([">", ">="]), self.compared(free))

    def partial(self, free: list[Index]) -> Term:
        """What is not defined everywhere."""
        rng = self.rng
        u = self.leaf(free) if rng.random() < 0.6 else add(self.leaf(free), self.leaf(free))
        return rng.choice([
            lambda: func("log", u), lambda: power(u, Fraction(1, 2)), lambda: power(u, -1), lambda: power(u, Fraction(-1, 2)),
            lambda: func(rng.choice(["log1p", "acosh", "atanh", "tan", "lgamma"]), u),
            lambda: func("log", mul(u, self.leaf(free))), lambda: func("log", div(u, self.leaf(free))),
            lambda: power(u, self.leaf(free)), lambda: power(mul(u, u), Fraction(1, 2)),
        ])()  # fmt: skip

    def term(self, free: list[Index], depth: int) -> Term:
        rng = self.rng
        if depth <= 0:
            return self.leaf(free)
        pick = rng.random()
        if pick < 0.3:
            return mul(self.mask(free), self.term(free, depth - 1))
        if pick < 0.5:
            return add(self.term(free, depth - 1), self.term(free, depth - 1))
        if pick < 0.68:
            return mul(self.term(free, depth - 1), self.term(free, depth - 1))
        if pick < 0.82:
            j = self.maker.index(N)
            return summation([j], self.term([*free, j], depth - 1))
        return self.partial(free) if pick < 0.94 else func(rng.choice(["exp", "tanh", "sin"]), self.leaf(free))


def _other_side(t: Term, m: Maker) -> Term:
    """[u ≥ 0] for [u > 0]: another subgradient, or a mistake."""
    if isinstance(t, Bracket) and isinstance(t.operand, Term):
        return Bracket({">": ">=", ">=": ">"}.get(t.relation, t.relation), t.operand)
    return t


def _far_other_side(t: Term, m: Maker) -> Term:
    """The other side from the tenth place on."""
    free = sorted(t.free, key=lambda i: i.key)
    new = _other_side(t, m)
    if new is t or not free:
        return t
    far = i_poly(m.rng.choice(free)) - m.rng.choice([1, 9])
    return add(mul(bracket(">=", far), new), mul(bracket(">=", -far - 1), t))


def _nothing_added(t: Term, m: Maker) -> Term:
    """What is 0 where it is defined, added."""
    c = Claims(m.rng)
    free = [R]
    u, v = c.partial(free), c.leaf(free)
    pick = m.rng.randrange(4)
    zero = mul(ZERO, u) if pick == 0 else sub(u, u) if pick == 1 else div(sub(v, v), v) if pick == 2 else sub(div(v, v), ONE)
    return add(t, zero)


def _logarithms(t: Term, m: Maker) -> Term:
    if isinstance(t, Func) and t.name == "log":
        (u,) = t.args
        if isinstance(u, Mul):
            return add(*(func("log", a) for a in u.args))
        return mul(number(Fraction(1, 2)), func("log", power(u, 2)))
    return t


def _root_of_square(t: Term, m: Maker) -> Term:
    return power(power(t, 2), Fraction(1, 2)) if isinstance(t, Ref) and t.name != "ids" else t


def _doubled(t: Term, m: Maker) -> Term:
    return mul(number(2), t) if isinstance(t, (Ref, Func)) else t


def _beyond(t: Term, m: Maker) -> Term:
    """Wrong from some place on alone."""
    free = sorted(t.free, key=lambda i: i.key)
    return add(t, mul(bracket(">=", i_poly(free[0]) - m.rng.choice([2, 9])), t)) if isinstance(t, Ref) and free else t


CHANGES: tuple[Callable[[Term, Maker], Term], ...] = (
    shuffled, renamed, distributed, _other_side, _other_side, _far_other_side, _logarithms,
    _root_of_square, _doubled, _beyond,
)  # fmt: skip


def claim(seed: int) -> Claim:
    """The claim of that seed."""
    rng = random.Random(seed)
    c = Claims(rng)
    with listening() as heard:
        left = c.term([R], rng.randint(1, 3))
    of_left = partial(heard, {})
    with listening() as heard:
        right = left
        for _ in range(rng.randint(1, 3)):
            right = somewhere(right, rng.choice(CHANGES), c.maker)
        if rng.random() < 0.2:
            right = _nothing_added(right, c.maker)
    return Claim(left, right, of_left, tuple(dict.fromkeys((*of_left, *partial(heard, {})))), seed)


def proof_of(c: Claim, time_limit: float = 0.5) -> Proof:
    """The proof that the right side is the left, which is as well what is differentiated: its domain is the forward's."""
    def program(name: str, t: Term, dropped: tuple[Term, ...]) -> Program:
        ds = (Definition(name, (R,), t),)
        return inside(Program(INPUTS, ds, (name,), dropped_conditions(dropped, ds), dropped=dropped))

    forward = program("y_out", c.left, c.of_left)
    return prove_programs(forward, program("x_bar", c.left, ()), program("x_bar", c.right, c.of_right), time_limit=time_limit)


# -- judging -----------------------------------------------------------------------
class Undefined(Exception):
    """A value that is no real number."""


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
            raise Undefined
        return float(data[t.name][places])
    if isinstance(t, Bracket):
        v = _place(t.operand, at, data, n) if isinstance(t.operand, Poly) else value(t.operand, at, data, n)
        return float({"==": v == 0, "!=": v != 0, ">=": v >= 0, ">": v > 0}[t.relation])
    if isinstance(t, Add):
        return math.fsum(value(a, at, data, n) for a in t.args)
    if isinstance(t, Mul):
        if any(value(a, at, data, n) == 0 for a in t.args if isinstance(a, Bracket)):
            return 0.0
        return math.prod(value(a, at, data, n) for a in t.args)
    if isinstance(t, Pow):
        return _power(value(t.base, at, data, n), value(t.exponent, at, data, n))
    if isinstance(t, Func):
        return _function(t.name, [value(a, at, data, n) for a in t.args])
    assert isinstance(t, Over) and t.kind == "sum", t
    ranges = [range(_place(i.size, at, data, n)) for i in t.indices]
    return math.fsum(value(t.body, {**at, **dict(zip(t.indices, v))}, data, n) for v in every_way(*ranges))


def _place(p: Poly, at: Mapping[Index, int], data: Data, n: int) -> int:
    def look(a: Any) -> int:
        if isinstance(a, Size):
            return n
        if isinstance(a, Index):
            return at[a]
        place = _place(a.at[0], at, data, n)
        if not 0 <= place < n:
            raise Undefined
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
            return f"proved, but at N = {n}, r = {bad[0]}: {right[bad[0]]}, expected {left[bad[0]]}; conditions {proof.conditions}"
    return ""


def _wrongly_refuted(c: Claim, proof: Proof) -> str:
    example = proof.counterexample
    assert example is not None
    n = example.sizes["N"]
    rng = random.Random(c.seed)
    for step in (0.0, 1e-5):
        data = {
            k: np.vectorize(lambda v: float(v) and float(v) + step * rng.uniform(-1, 1), otypes=[float])(v)
            if np.asarray(v).dtype == object
            else v
            for k, v in example.inputs.items()
            if np.size(v)
        }
        left, right = side(c.left, c.of_left, data, n), side(c.right, c.of_left, data, n)
        if not any(u is not None and v is not None and not _near(u, v, 1e-12) for u, v in zip(left, right)):
            return f"refuted at N = {n} by a step of {step}, where it agrees: {left[:4]}, {right[:4]}"
    return ""


def least(c: Claim) -> int:
    """The smallest size at which all constant positions are inside."""
    from derivcheck.notation.walking import subterms

    places = [p.constant for side_ in (c.left, c.right) for t in subterms(side_) if isinstance(t, Ref) for p in t.at]
    return 1 + max((p for p in places if p is not None), default=0)


def _near(u: float, v: float, tolerance: float = 1e-7) -> bool:
    return abs(u - v) <= tolerance * max(abs(u), abs(v), 1e-6)


def _is_broken(text: str, data: Data, n: int) -> bool:
    """Whether a condition does not hold; one of a kink somewhere beside the indices at which it may be 0."""
    found = re.fullmatch(r"(.*) (≠|>|≥) (0|1)( unless .*)?", text.removesuffix(" (a kink)"))
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
        except Undefined:
            return True
        if not {"≠": v != right, ">": v > right, "≥": v >= right}[relation]:
            return True
    return False


def _outside(text: str, data: Data, n: int) -> bool:
    term = _parsed(re.split(r" in [\[(]| is no | is a ", text)[0])
    name = "atanh" if " in (" in text else "asin" if " in [" in text else "lgamma"
    return term is None or any(v is None or None in values(func(name, number(Fraction(v))), data, n) for v in values(term, data, n))


def _parsed(lhs: str) -> Term | None:
    words = set(re.findall(r"[^\W\d]\w*", lhs)) - set(DIMS) - set(functions()) - {"N", "sum"}
    free = sorted(w for w in words if not re.search(rf"sum\([^:]*\b{w}\b[^:]*:", lhs))
    dims = {k: v for k, v in DIMS.items() if re.search(rf"\b{k}\b", lhs)}
    try:
        return parse_program(f"c_[{', '.join(f'{i} < N' for i in free)}] := {lhs}" if free else f"c_ := {lhs}", dims).definitions[0].term
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


__all__ = ["Claim", "claim", "fault", "neg", "proof_of", "value"]
