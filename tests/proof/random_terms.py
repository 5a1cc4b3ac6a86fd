"""Random terms for the proofs: equal ones rewritten by laws, unequal ones that nearly are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from derivcheck.notation.integers.atoms import Entry, entry
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import ONE, add, div, func, mul, neg, number, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import product, rebuild, substitute, summation
from derivcheck.notation.terms.walk import subterms

N, M = size("N"), size("M")
INPUTS = (
    Input("x", (N,)),
    Input("y", (N,)),
    Input("w", (M,)),
    Input("A", (N, M)),
    Input("B", (M, N)),
    Input("S", (N, N)),
    Input("p", (N,)),
    Input("c", ()),
    Input("ids", (N,), "int", M),
    Input("t", (M,), "int", N),
    Input("Z", (N * M,)),
    Input("V", (2 * N + M,)),
    Input("D", (2 * N,)),
)
BELOW = {"ids": M, "t": N}
ROW, COLUMN = Index("r", N), Index("q", M)


class Maker:
    """Random terms over the inputs, with some free indices."""

    def __init__(self, rng: random.Random, inputs: tuple[Input, ...] = INPUTS) -> None:
        self.rng = rng
        self.inputs = inputs
        self.serial = 0

    def index(self, length: Poly) -> Index:
        self.serial += 1
        return Index(self.rng.choice("ijkl"), length, self.serial)

    def place(self, length: Poly, free: list[Index]) -> Poly | None:
        """A position along a dimension of that size."""
        options: list[Poly] = [i_poly(i) for i in free if i.size is length]
        flat = [i_poly(i) for i in free if i.size is N * M]
        rows, columns = ([i_poly(i) for i in free if i.size is d] for d in (N, M))
        if length is N * M and rows and columns:
            options.append(self.rng.choice(rows) * M + self.rng.choice(columns))
        elif length is 2 * N + M and rows and columns:
            options += [2 * self.rng.choice(rows) + self.rng.choice(columns)] * 2
        elif length is 2 * N:
            options += [i_poly(i) + self.rng.choice([0, 1]) for i in free if i.size is 2 * N - 1]
        elif length is N:
            options += [a // M for a in flat]
            options += [self.rng.choice([i_poly(i), 2 * N - 1 - i_poly(i)]) // 2 for i in free if i.size is 2 * N]
            options += [(i_poly(i) + self.rng.choice([0, 1])) // 2 for i in free if i.size is 2 * N - 1]
        elif length is M:
            options += [a - (a // M) * M for a in flat]
        if length is M:
            options += [entry("ids", i_poly(i)) for i in free if i.size is N]
        elif self.rng.random() < 0.15:
            options += [entry("t", i_poly(i)) for i in free if i.size is M]
        if options and self.rng.random() < 0.1:
            return length - 1 - self.rng.choice(options)
        return self.rng.choice(options) if options else None

    def leaf(self, free: list[Index]) -> Term:
        names = ["x", "y", "w", "A", "B", "S", "p", "c", "number", "size", "Z", "V", "D"]
        for _ in range(20):
            n = self.rng.choice(names)
            if n == "number":
                return number(Fraction(self.rng.choice([1, 2, 3, -1, -2]), self.rng.choice([1, 1, 2, 3])))
            if n == "size":
                return size_of(self.rng.choice([N, M, N, N + 1]))
            a = next(a for a in INPUTS if a.name == n)
            at = [self.place(d, free) for d in a.dims]
            if all(p is not None for p in at):
                return ref(n, *at)  # type: ignore[arg-type]
        return ref("c")

    def mask(self, free: list[Index]) -> Term:
        rows = [i for i in free if i.size is N]
        if len(rows) >= 2 and self.rng.random() < 0.7:
            i, j = self.rng.sample(rows, 2)
            return bracket(self.rng.choice(["==", ">=", ">", "!="]), i_poly(i) - i_poly(j) + self.rng.choice([0, 0, 1, -1]))
        if rows and self.rng.random() < 0.2:
            columns = [i for i in free if i.size is M]
            target = Entry("t", (i_poly(self.rng.choice(columns)),)) if columns else None
            if target is not None:
                return bracket(self.rng.choice(["==", ">=", "!="]), i_poly(self.rng.choice(rows)) - as_poly(target))
        if rows and self.rng.random() < 0.5:
            return bracket(self.rng.choice([">=", "=="]), i_poly(self.rng.choice(rows)) - self.rng.choice([0, 1, 2]))
        return bracket(self.rng.choice([">", ">="]), self.leaf(free))

    def positive(self, free: list[Index], depth: int) -> Term:
        rows = [i for i in free if i.size is N]
        pick = self.rng.random()
        if pick < 0.4 and rows:
            return ref("p", self.rng.choice(rows))
        if pick < 0.7:
            return add(ONE, power(self.term(free, depth - 1), 2))
        return func("exp", self.leaf(free))

    def term(self, free: list[Index], depth: int) -> Term:
        if depth <= 0:
            return self.leaf(free)
        pick = self.rng.random()
        if pick < 0.24:
            return mul(*(self.term(free, depth - 1) for _ in range(self.rng.choice([2, 2, 3]))))
        if pick < 0.42:
            return add(*(self.term(free, depth - 1) for _ in range(self.rng.choice([2, 2, 3]))))
        if pick < 0.66:
            sizes = [N, N, N, M, M, N * M, 2 * N, 2 * N - 1]
            bound = [self.index(self.rng.choice(sizes)) for _ in range(self.rng.choice([1, 1, 2]))]
            return summation(bound, self.term(free + bound, depth - 1))
        if pick < 0.72:
            return func(self.rng.choice(["exp", "tanh", "sigmoid", "silu", "sin", "erf"]), self.leaf(free))
        if pick < 0.78:
            return power(
                self.positive(free, depth),
                self.rng.choice([Fraction(-1), Fraction(-1, 2), Fraction(1, 2), Fraction(-2), Fraction(3, 2)]),
            )
        if pick < 0.80:
            return func("log", self.positive(free, depth))
        if pick < 0.83:
            bound = [self.index(N)]
            return product(bound, self.leaf(free + bound))
        if pick < 0.85:
            bound = [self.index(self.rng.choice([N, M]))]
            return Over("max", tuple(bound), self.leaf(free + bound))
        if pick < 0.95:
            return mul(self.mask(free), self.term(free, depth - 1))
        return power(self.term(free, depth - 1), 2)


# -- laws: each gives an equal term -------------------------------------------------
def shuffled(t: Term, m: Maker) -> Term:
    if isinstance(t, (Add, Mul)):
        args = list(t.args)
        m.rng.shuffle(args)
        return (add if isinstance(t, Add) else mul)(*args)
    return t


def renamed(t: Term, m: Maker) -> Term:
    if isinstance(t, Over):
        new = [m.index(i.size) for i in t.indices]
        body = substitute(t.body, {i: i_poly(j) for i, j in zip(t.indices, new)})
        m.rng.shuffle(new)
        return summation(new, body) if t.kind == "sum" else Over(t.kind, tuple(new), body)
    return t


def _reflected(t: Term, m: Maker) -> Term:
    if isinstance(t, Over) and t.kind in ("sum", "prod"):
        i = m.rng.choice(t.indices)
        j = m.index(i.size)
        body = substitute(t.body, {i: i.size - 1 - i_poly(j)})
        new = [j if k is i else k for k in t.indices]
        return summation(new, body) if t.kind == "sum" else product(new, body)
    return t


def _shifted(t: Term, m: Maker) -> Term:
    if isinstance(t, Over) and t.kind == "sum":
        i = m.rng.choice(t.indices)
        by = m.rng.choice([1, 2])
        j = m.index(i.size + by)
        body = mul(bracket(">=", i_poly(j) - by), substitute(t.body, {i: i_poly(j) - by}))
        return summation([j if k is i else k for k in t.indices], body)
    return t


def distributed(t: Term, m: Maker) -> Term:
    if isinstance(t, Mul):
        for k, a in enumerate(t.args):
            if isinstance(a, Add):
                rest = t.args[:k] + t.args[k + 1 :]
                return add(*(mul(*rest, b) for b in a.args))
    if isinstance(t, Over) and t.kind == "sum" and isinstance(t.body, Add):
        return add(*(summation(t.indices, a) for a in t.body.args))
    if isinstance(t, Pow) and t.exponent is Number(2) and isinstance(t.base, Add):
        return add(*(mul(a, t.base) for a in t.base.args))
    return t


def _delta(t: Term, m: Maker) -> Term:
    if isinstance(t, Ref) and t.at:
        a = next((a for a in m.inputs if a.name == t.name), None)
        if a is None:
            return t
        k = m.rng.randrange(len(t.at))
        j = m.index(a.dims[k])
        at = list(t.at)
        at[k] = i_poly(j)
        return summation([j], mul(bracket("==", i_poly(j) - t.at[k]), Ref(t.name, tuple(at))))
    return t


def _complement(t: Term, m: Maker) -> Term:
    return sub(ONE, opposite(t)) if isinstance(t, Bracket) else t


def _digits(t: Term, m: Maker) -> Term:
    if isinstance(t, Over) and t.kind == "sum":
        for i in t.indices:
            if i.size is N * M:
                h, e = m.index(N), m.index(M)
                rest = [k for k in t.indices if k is not i]
                return summation([*rest, h, e], substitute(t.body, {i: i_poly(h) * M + i_poly(e)}))
    return t


def _split(t: Term, m: Maker) -> Term:
    if isinstance(t, Over) and t.kind == "sum" and len(t.indices) == 1:
        i = t.indices[0]
        first = substitute(t.body, {i: as_poly(0)})
        return add(first, summation([i], mul(bracket(">=", i_poly(i) - 1), t.body)))
    return t


def _multiplied(t: Term, m: Maker) -> Term:
    if isinstance(t, Ref):
        v = m.rng.choice([func("exp", t), add(ONE, power(t, 2)), size_of(N)])
        return div(mul(t, v), v)
    return t


def _function(t: Term, m: Maker) -> Term:
    if isinstance(t, Func) and len(t.args) == 1:
        u = t.args[0]
        if t.name == "exp":
            return mul(func("exp", mul(number(Fraction(1, 2)), u)), func("exp", mul(number(Fraction(1, 2)), u)))
        if t.name == "sigmoid":
            return sub(ONE, func("sigmoid", neg(u)))
        if t.name == "tanh":
            return sub(mul(number(2), func("sigmoid", mul(number(2), u))), ONE)
        if t.name == "silu":
            return mul(u, func("sigmoid", u))
        if t.name in ("sin", "erf"):
            return neg(func(t.name, neg(u)))
    if isinstance(t, Pow) and t.exponent is Number(Fraction(-1, 2)):
        return mul(power(t.base, Fraction(1, 2)), power(t.base, -1))
    return t


LAWS: tuple[Callable[[Term, Maker], Term], ...] = (
    shuffled,
    renamed,
    _reflected,
    _shifted,
    distributed,
    _delta,
    _complement,
    _digits,
    _split,
    _multiplied,
    _function,
)


# -- mistakes: each gives a term that is nearly equal ---------------------------------
def coefficient(t: Term, m: Maker) -> Term:
    return mul(number(m.rng.choice([Fraction(2), Fraction(-1), Fraction(1, 2)])), t)


def dropped(t: Term, m: Maker) -> Term:
    if isinstance(t, (Add, Mul)):
        k = m.rng.randrange(len(t.args))
        return (add if isinstance(t, Add) else mul)(*(a for j, a in enumerate(t.args) if j != k))
    return t


def off_by_one(t: Term, m: Maker) -> Term:
    if isinstance(t, Bracket) and isinstance(t.operand, Poly):
        return bracket(t.relation, t.operand + m.rng.choice([1, -1]))
    return t


def other_name(t: Term, m: Maker) -> Term:
    swap = {"x": "y", "y": "p", "p": "x"}
    return Ref(swap[t.name], t.at) if isinstance(t, Ref) and t.name in swap else t


def transposed(t: Term, m: Maker) -> Term:
    return Ref(t.name, tuple(reversed(t.at))) if isinstance(t, Ref) and t.name == "S" else t


def _exponent(t: Term, m: Maker) -> Term:
    return power(t.base, t.exponent.value + 1) if isinstance(t, Pow) and isinstance(t.exponent, Number) else t


def _negative(t: Term, m: Maker) -> Term:
    return Func(t.name, tuple(neg(a) for a in t.args)) if isinstance(t, Func) else t


def _unreflected(t: Term, m: Maker) -> Term:
    return SizeOf(t.value + 1) if isinstance(t, SizeOf) else t


def _absolute(t: Term, m: Maker) -> Term:
    """√(u²) for u."""
    return power(power(t, 2), Fraction(1, 2)) if isinstance(t, Ref) else t


MISTAKES: tuple[Callable[[Term, Maker], Term], ...] = (
    coefficient,
    dropped,
    off_by_one,
    other_name,
    transposed,
    _exponent,
    _negative,
    _unreflected,
    _absolute,
)


def somewhere(t: Term, change: Callable[[Term, Maker], Term], m: Maker) -> Term:
    """The term with the change made at one random place where it changes something."""
    places = list(subterms(t))
    m.rng.shuffle(places)
    for p in places:
        new = change(p, m)
        if new is not p:
            return _replaced(t, p, new)
    return t


def _replaced(t: Term, old: Term, new: Term) -> Term:
    if t is old:
        return new
    if not t.children:
        return t
    kids = tuple(_replaced(k, old, new) for k in t.children)
    return t if kids == t.children else rebuild(t, kids)


@dataclass(frozen=True)
class Pair:
    """Two terms, and whether they were made equal."""

    left: Term
    right: Term
    equal: bool
    seed: int


def pair(seed: int, depth: int = 3) -> Pair:
    """The pair of that seed."""
    rng = random.Random(seed)
    m = Maker(rng)
    free = rng.choice([[], [ROW], [ROW, COLUMN]])
    left = m.term(list(free), rng.randint(1, depth))
    right = left
    for _ in range(rng.randint(1, 4)):
        right = somewhere(right, rng.choice(LAWS), m)
    equal = rng.random() < 0.5
    if not equal:
        right = somewhere(right, rng.choice(MISTAKES), m)
    return Pair(left, right, equal, seed)
