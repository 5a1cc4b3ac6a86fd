"""Random polynomial sums with compared, counted and free indices, for the small-size theorem alone.

Pairs are made equal by laws that the normal form need not know (a range cut in two, a square opened by the order of its
indices, places counted), and unequal by mistakes that small sizes hide: ``(N−1)(N−2)`` and ``Σ[i < j < k]`` are 0 there.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import numpy as np

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ONE, add, mul, neg, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Bracket, Mul, Over, Pow, Term
from derivcheck.notation.terms.substitute import substitute, summation
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.exact import Exact
from tests.proof.random_terms import (
    COLUMN,
    INPUTS,
    ROW,
    M,
    Maker,
    N,
    Pair,
    coefficient,
    distributed,
    dropped,
    off_by_one,
    renamed,
    shuffled,
    somewhere,
    transposed,
)


class Sums(Maker):
    """Polynomial sums over x[N], y[N], S[N,N], w[M], A[N,M] and c."""

    def leaf(self, free: list[Index]) -> Term:
        rows, columns = ([i for i in free if i.size is p] for p in (N, M))
        options: list[Term] = [ref("c"), number(Fraction(self.rng.choice([1, 2, -1]), self.rng.choice([1, 2])))]
        options += [size_of(self.rng.choice([N, M])), power(size_of(N), -1)]
        for i in rows:
            options += [ref("x", i), ref("y", i), ref("S", i, self.rng.choice(rows)), size_of(i_poly(i))] * 2
            options += [power(add(ONE, power(mul(ref("x", i), ref("y", self.rng.choice(rows))), 2)), -1)]
            options += [ref("A", i, j) for j in columns]
        options += [ref("w", j) for j in columns]
        return self.rng.choice(options)

    def mask(self, free: list[Index]) -> Term:
        rows = [i for i in free if i.size is N]
        if len(rows) < 2:
            return ONE
        i, j = self.rng.sample(rows, 2)
        return bracket(self.rng.choice(["==", ">=", ">", "!="]), i_poly(i) - i_poly(j))

    def term(self, free: list[Index], depth: int) -> Term:
        if depth <= 0:
            return self.leaf(free)
        pick = self.rng.random()
        if pick < 0.45:
            bound = [self.index(self.rng.choice([N, N, N, M])) for _ in range(self.rng.choice([1, 2]))]
            return summation(bound, mul(self.mask(free + bound), self.term(free + bound, depth - 1)))
        if pick < 0.7:
            return mul(*(self.term(free, depth - 1) for _ in range(2)))
        if pick < 0.9:
            return add(*(self.term(free, depth - 1) for _ in range(2)))
        return power(self.term(free, depth - 1), 2)


def _cut(t: Term, m: Maker) -> Term:
    """A sum over two indices of one size is cut along its diagonal."""
    if isinstance(t, Over) and t.kind == "sum":
        rows = [i for i in t.indices if i.size is N]
        if len(rows) >= 2:
            below = bracket(m.rng.choice([">=", ">", "=="]), i_poly(rows[0]) - i_poly(rows[1]))
            return add(*(summation(t.indices, mul(b, t.body)) for b in (below, opposite(below))))
    return t


def _ordered(t: Term, m: Maker) -> Term:
    """``(Σ f)² = Σ f² + 2·Σ[i < j]·f(i)·f(j)``."""
    if isinstance(t, Pow) and isinstance(t.base, Over) and t.exponent is number(2) and len(t.base.indices) == 1:
        i = t.base.indices[0]
        j = m.index(i.size)
        other = substitute(t.base.body, {i: i_poly(j)})
        cross = summation([i, j], mul(bracket("<", i_poly(i) - i_poly(j)), t.base.body, other))
        return add(summation([i], power(t.base.body, 2)), mul(number(2), cross))
    return t


def _counted(t: Term, m: Maker) -> Term:
    """``N = Σ_i ([i ≥ r] + [i < r])``, and ``N(N+1)/2 = Σ_i Σ_j [i ≥ j]``."""
    if t is size_of(N):
        i, j = m.index(N), m.index(N)
        pairs = summation([i, j], bracket(">=", i_poly(i) - i_poly(j)))
        return sub(mul(number(2), pairs, power(size_of(N), -1)), ONE)
    return t


def _symmetric(t: Term, m: Maker) -> Term:
    """Two bound indices of a sum change places."""
    if isinstance(t, Over) and t.kind == "sum":
        rows = [i for i in t.indices if i.size is N]
        if len(rows) >= 2:
            i, j, spare = rows[0], rows[1], m.index(N)
            body = substitute(substitute(substitute(t.body, {i: i_poly(spare)}), {j: i_poly(i)}), {spare: i_poly(j)})
            return summation(t.indices, body)
    return t


def _small_factor(t: Term, m: Maker) -> Term:
    """More by a multiple of ``(N−1)(N−2)…``, which small sizes hide."""
    hidden = mul(*(size_of(N - k) for k in range(1, m.rng.choice([2, 3, 4, 5]))))
    return add(t, mul(ref("c"), hidden))


def _small_sum(t: Term, m: Maker) -> Term:
    """More by ``Σ[i < j < …]·x·y·…``, which is empty at small sizes."""
    i = [m.index(N) for _ in range(m.rng.choice([2, 3, 4]))]
    order = mul(*(bracket("<", i_poly(a) - i_poly(b)) for a, b in zip(i, i[1:])))
    return add(t, summation(i, mul(order, *(ref(m.rng.choice("xy"), a) for a in i if m.rng.random() < 0.7))))


def _other_order(t: Term, m: Maker) -> Term:
    if isinstance(t, Bracket) and isinstance(t.operand, Poly):
        return bracket(m.rng.choice([">=", ">", "<", "=="]), t.operand)
    return t


def _one_less(t: Term, m: Maker) -> Term:
    return sub(t, ONE) if isinstance(t, Mul) else neg(t)


LAWS = (shuffled, renamed, distributed, _cut, _cut, _ordered, _counted, _symmetric)
MISTAKES = (coefficient, dropped, off_by_one, transposed, _other_order, _one_less)
HIDDEN = (_small_factor, _small_sum)


def pair(seed: int) -> Pair:
    """The pair of that seed."""
    rng = random.Random(f"sums {seed}")
    m = Sums(rng)
    left = m.term(list(rng.choice([[], [], [ROW], [ROW, COLUMN]])), rng.randint(1, 3))
    right = left
    for _ in range(rng.randint(1, 3)):
        right = somewhere(right, rng.choice(LAWS), m)
    equal = rng.random() < 0.5
    if not equal:
        right = rng.choice(HIDDEN)(right, m) if rng.random() < 0.4 else somewhere(right, rng.choice(MISTAKES), m)
    return Pair(left, right, equal, seed)


def differs(p: Pair, sizes: tuple[dict[str, int], ...] = ({"N": 5, "M": 3}, {"N": 6, "M": 2}, {"N": 3, "M": 4})) -> bool:
    """Whether the two differ at these sizes, in exact rationals, where both are defined."""
    used = [i for i in (ROW, COLUMN) if i in p.left.free | p.right.free]
    names = p.left.names | p.right.names
    arguments = tuple(a for a in INPUTS if a.name in names)
    program = Program(
        arguments, (Definition("left", tuple(used), p.left), Definition("right", tuple(used), p.right)), ("left", "right")
    )
    for k, at in enumerate(sizes):
        rng = np.random.default_rng(p.seed * 11 + k)
        inputs: dict[str, Any] = {}
        for a in arguments:
            whole = rng.integers(1, 30, tuple(d.at(at) for d in a.dims))
            inputs[a.name] = np.vectorize(lambda v: Fraction(int(v), 7), otypes=[object])(whole)
        found = evaluate(program, inputs, at, Exact())
        pairs = zip(np.ravel(found["left"]), np.ravel(found["right"]))
        if any(u != v for u, v in pairs if u is not None and v is not None):  # None: not defined, as 1/r at r = 0
            return True
    return False
