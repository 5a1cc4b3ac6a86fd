"""Random claims for the proofs: masks, ties at elements, domains, what is dropped, sizes beyond every constant."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from derivcheck.notation.integers.atoms import entry
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.domains import dropped_conditions, partial
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, ZERO, add, div, func, mul, number, power, ref, size_of, sub
from derivcheck.notation.terms.dropped import listening
from derivcheck.notation.terms.nodes import Bracket, Func, Mul, Ref, Term
from derivcheck.notation.terms.substitute import summation
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report.proof import Proof
from tests.proof.random_terms import Maker, distributed, renamed, shuffled, somewhere

N = size("N")
R = Index("r", N)
INPUTS = (Input("x", (N,)), Input("y", (N,)), Input("m", (N,)), Input("w", (N, N)), Input("ids", (N,), "int", N))
BELOW = {"ids": N}
DIMS = {a.name: ("int<N: N" if a.kind == "int" else " ".join(map(str, a.dims))) for a in INPUTS}
CONSTANTS = (0, 1, 2, 7, 9)


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
            return entry("ids", i)
        return i

    def leaf(self, free: list[Index], names: str = "xxxym") -> Term:
        if self.rng.random() < 0.1:
            return number(Fraction(self.rng.choice([2, 4, -2, 1, 6]), 2))
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
        ways: list[Callable[[], Term]] = [
            lambda: func("log", u), lambda: power(u, Fraction(1, 2)), lambda: power(u, -1), lambda: power(u, Fraction(-1, 2)),
            lambda: func(rng.choice(["log1p", "acosh", "atanh", "tan", "lgamma"]), u),
            lambda: func("log", mul(u, self.leaf(free))), lambda: func("log", div(u, self.leaf(free))),
            lambda: power(u, self.leaf(free)), lambda: power(mul(u, u), Fraction(1, 2)),
        ]  # fmt: skip
        return rng.choice(ways)()

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
