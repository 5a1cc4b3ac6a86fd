"""Random terms over axes of literal size, whole on one side and spelt out on the other, with extremes and clamps in them."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product as every_way
from typing import Any

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, func, mul, neg, number, power, ref, sub
from derivcheck.notation.terms.nodes import Bracket, Func, Number, Over, Pow, Ref, Term
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report.proof import Proof
from tests.proof.random_terms import (
    Maker,
    Pair,
    coefficient,
    distributed,
    dropped,
    off_by_one,
    other_name,
    renamed,
    shuffled,
    somewhere,
)

N, THREE = size("N"), as_poly(3)
INPUTS = (
    Input("x", (N, THREE)),
    Input("y", (N, THREE)),
    Input("p", (N, THREE)),  # above 0
    Input("S", (THREE, THREE)),
    Input("z", (N,)),
    Input("b", (THREE,)),
)
ROW, AXIS = Index("r", N), Index("c", 3)


class Elements:
    """Random terms in a row and a literal axis."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.maker = rng, Maker(rng, INPUTS)

    def place(self, length: Poly, free: list[Index]) -> Poly:
        options = [i_poly(i) for i in free if i.size is length]
        if length is THREE and (not options or self.rng.random() < 0.2):
            return as_poly(self.rng.randrange(3))
        found = self.rng.choice(options)
        if length is THREE and self.rng.random() < 0.12:
            turned = found + self.rng.choice([1, 2])
            return turned - 3 * (turned // 3)
        return found

    def leaf(self, free: list[Index]) -> Term:
        rng = self.rng
        if rng.random() < 0.12:
            return number(Fraction(rng.choice([1, 2, 3, -1, -2]), rng.choice([1, 1, 2])))
        a = rng.choice(INPUTS[:2] * 3 + INPUTS)
        return ref(a.name, *(self.place(d, free) for d in a.dims))

    def extreme(self, u: Term, v: Term) -> Term:
        """``max(u, v)`` or ``min(u, v)``, as one of the ways to write it."""
        higher = self.rng.random() < 0.5
        above = bracket(self.rng.choice([">", ">="]), sub(u, v) if higher else sub(v, u))
        return add(v, mul(above, sub(u, v)))

    def term(self, free: list[Index], depth: int) -> Term:
        rng = self.rng
        if depth <= 0:
            return self.leaf(free)
        pick = rng.random()
        if pick < 0.2:
            return mul(*(self.term(free, depth - 1) for _ in range(2)))
        if pick < 0.4:
            return add(*(self.term(free, depth - 1) for _ in range(2)))
        if pick < 0.65:
            bound = [self.maker.index(THREE)]
            return summation(bound, self.term(free + bound, depth - 1))
        if pick < 0.73:
            return func(rng.choice(["exp", "tanh", "sin"]), self.term(free, depth - 1))
        if pick < 0.80:
            base = add(ONE, power(self.term(free, depth - 1), 2))
            return power(base, rng.choice([Fraction(-1), Fraction(-1, 2), Fraction(1, 2)]))
        if pick < 0.92:
            return self.extreme(self.term(free, depth - 1), self.leaf(free))
        at = [i for i in free if i.size is THREE]
        mask = bracket(rng.choice(["==", ">="]), i_poly(rng.choice(at)) - rng.randrange(3)) if at else ONE
        return mul(mask, self.term(free, depth - 1))


# -- equal terms -----------------------------------------------------------------------
def _spelt(t: Term, m: Maker) -> Term:
    """A sum over a literal axis as its addends."""
    if isinstance(t, Over) and t.kind == "sum" and len(t.indices) == 1 and t.indices[0].size is THREE:
        return add(*(substitute(t.body, {t.indices[0]: as_poly(k)}) for k in range(3)))
    return t


def _stacked(t: Term, m: Maker) -> Term:
    """An axis as three components, one beside the other."""
    at = sorted((i for i in t.free if i.size is THREE), key=lambda i: i.key)
    if not at:
        return t
    i = at[0]
    return add(*(mul(bracket("==", i_poly(i) - k), substitute(t, {i: as_poly(k)})) for k in range(3)))


def _cased(t: Term, m: Maker) -> Term:
    """A term by cases of a comparison of its own."""
    names = [Ref("x", (i_poly(ROW), as_poly(0))), Ref("z", (i_poly(ROW),))] if ROW in t.free else [Ref("b", (as_poly(1),))]
    on = bracket(">", m.rng.choice(names))
    return add(mul(on, t), mul(sub(ONE, on), t))


def other_side(t: Term, m: Maker) -> Term:
    """``[u > 0]`` as ``1 − [−u ≥ 0]``."""
    if isinstance(t, Bracket) and isinstance(t.operand, Term):
        return sub(ONE, bracket(">" if t.relation == ">=" else ">=", neg(t.operand)))
    return t


LAWS: tuple[Callable[[Term, Maker], Term], ...] = (
    _spelt, _spelt, _spelt, _stacked, _stacked, _cased, other_side, shuffled, renamed, distributed,
)  # fmt: skip


# -- mistakes ----------------------------------------------------------------------------
def _moved(t: Term, m: Maker) -> Term:
    """Another component."""
    if isinstance(t, Ref) and t.at and t.at[-1].constant is not None:
        return Ref(t.name, (*t.at[:-1], as_poly((t.at[-1].constant + 1) % 3)))
    return t


def _transposed(t: Term, m: Maker) -> Term:
    return Ref(t.name, tuple(reversed(t.at))) if isinstance(t, Ref) and t.name == "S" else t


def flipped(t: Term, m: Maker) -> Term:
    """``[−u > 0]`` for ``[u > 0]``."""
    return bracket(t.relation, neg(t.operand)) if isinstance(t, Bracket) and isinstance(t.operand, Term) else t


def unmasked(t: Term, m: Maker) -> Term:
    return ONE if isinstance(t, Bracket) and isinstance(t.operand, Term) else t


def exponent(t: Term, m: Maker) -> Term:
    return power(t.base, t.exponent.value + 1) if isinstance(t, Pow) and isinstance(t.exponent, Number) else t


def _negative(t: Term, m: Maker) -> Term:
    return Func(t.name, tuple(neg(a) for a in t.args)) if isinstance(t, Func) else t


MISTAKES: tuple[Callable[[Term, Maker], Term], ...] = (
    coefficient, dropped, off_by_one, other_name, _moved, _moved, _transposed, flipped, unmasked, exponent, _negative,
)  # fmt: skip


def pair(seed: int, depth: int = 4) -> Pair:
    """The pair of that seed."""
    rng = random.Random(seed)
    e = Elements(rng)
    free = rng.choice([[ROW], [ROW, AXIS], [ROW, AXIS]])
    left = e.term(list(free), rng.randint(1, depth))
    right = left
    for _ in range(rng.randint(1, 4)):
        right = somewhere(right, rng.choice(LAWS), e.maker)
    equal = rng.random() < 0.5
    if not equal:
        right = somewhere(right, rng.choice(MISTAKES), e.maker)
    return Pair(left, right, equal, seed)


def proof_of(p: Pair, time_limit: float = 2.0) -> Proof:
    """The proof that the right side is the left, over the row and the axis."""

    def program(name: str, t: Term) -> Program:
        return Program(INPUTS, (Definition(name, (ROW, AXIS), t),), (name,))

    return prove_programs(program("y_out", p.left), program("x_bar", p.left), program("x_bar", p.right), time_limit=time_limit)


def gap(p: Pair) -> float:
    """How far the two sides are apart, relatively, at random numbers."""
    d = (Definition("left", (ROW, AXIS), p.left), Definition("right", (ROW, AXIS), p.right))
    program = Program(INPUTS, d, ("left", "right"))
    worst = 0.0
    for n, scale in every_way((1, 3, 40), (0.3, 1.0, 4.0)):
        rng = np.random.default_rng(p.seed + n)
        inputs: dict[str, Any] = {}
        for a in INPUTS:
            v = scale * rng.normal(size=tuple(q.at({"N": n}) for q in a.dims))
            inputs[a.name] = np.abs(v) + 0.1 if a.name == "p" else v
        try:
            found = evaluate(program, inputs, {"N": n})
        except DerivcheckError:
            continue
        u, v = (np.asarray(found[k], float) for k in ("left", "right"))
        fine = np.isfinite(u) & np.isfinite(v)
        apart = np.abs(u - v)[fine] / np.maximum(np.maximum(np.abs(u), np.abs(v))[fine], 1e-6)
        worst = max(worst, float(apart.max(initial=0.0)))
    return worst
