"""Random Programs: sums of products, shifts, strides, masks, gathers, scatters, diagonals, reshapes, recurrences."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import torch

from derivcheck.notation.integers.atoms import Entry, entry
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import add, func, mul, neg, power, ref, size_of
from derivcheck.notation.terms.nodes import Number, Term
from derivcheck.notation.terms.substitute import extremum, product, summation

EXPONENTS = [Fraction(-1), Fraction(-2), Fraction(-1, 2), Fraction(1, 2)]
SIGNS: list[Callable[[Term], Term]] = [neg, lambda t: t]
A, B, C = size("A"), size("B"), size("C")
SIZES = (A, B, C, A * B, as_poly(2))
INPUTS = (
    Input("x", (A, B)),
    Input("y", (B,)),
    Input("z", (A, B, C)),
    Input("w", (C, B)),
    Input("s", ()),
    Input("q", (A, A)),
    Input("f", (A * B,)),
    Input("v", (as_poly(2), A)),
    Input("ids", (A,), "int", B),
    Input("at", (C, B), "int", A),
    Input("m", (A, B), "bool"),
)


class Maker:
    """Draws terms from a random source."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.serial = 0
        self.tensors: dict[str, tuple[tuple[Poly, ...], str]] = {a.name: (a.dims, a.kind) for a in INPUTS}

    def index(self, length: Poly, name: str = "i") -> Index:
        self.serial += 1
        return Index(self.random.choice("ijklmn") if name == "i" else name, length, self.serial)

    def position(self, length: Poly, free: list[Index], guards: list[Term]) -> PolyLike:
        """A position in a dimension of that length, with guards where it may leave it."""
        r = self.random
        fitting = [i for i in free if i.size is length]
        roll = r.random()
        if fitting and roll < 0.6:
            return i_poly(r.choice(fitting))
        if length is A * B and roll < 0.85:
            a, b = [i for i in free if i.size is A], [i for i in free if i.size is B]
            if a and b:
                return i_poly(r.choice(a)) * B + i_poly(r.choice(b))
        if length in (A, B) and roll < 0.7:
            both = [i for i in free if i.size is A * B]
            if both:
                i = i_poly(r.choice(both))
                return i // B if length is A else i - B * (i // B)
        if length is B and roll < 0.75:
            at = [i for i in free if i.size is A]
            if at:
                return entry("ids", i_poly(r.choice(at)))
        if length is A and roll < 0.75:
            at, bt = [i for i in free if i.size is C], [i for i in free if i.size is B]
            if at and bt:
                return entry("at", i_poly(r.choice(at)), i_poly(r.choice(bt)))
        if free:
            p = r.choice([1, 1, 1, 2, -1, -2]) * i_poly(r.choice(free)) + r.randint(-2, 2)
            if r.random() < 0.3:
                p = p + i_poly(r.choice(free))
            if r.random() < 0.2:
                p = p + length - 1
        else:
            p = as_poly(r.randint(0, 1))
        guards += [bracket(">=", p), bracket(">=", length - 1 - p)]
        return p

    def read(self, free: list[Index]) -> Term:
        r = self.random
        name = r.choice([n for n, (_, kind) in self.tensors.items() if kind == "float"])
        guards: list[Term] = []
        at = [self.position(d, free, guards) for d in self.tensors[name][0]]
        return mul(*guards, ref(name, *at))

    def condition(self, free: list[Index]) -> Term:
        r = self.random
        roll = r.random()
        if len(free) >= 2 and roll < 0.5:
            i, j = r.sample(free, 2)
            return bracket(r.choice([">=", "==", "!="]), i_poly(i) - i_poly(j) + r.randint(-1, 1))
        if free and roll < 0.7:
            return bracket(">=", i_poly(r.choice(free)) - 1)
        a, b = [i for i in free if i.size is A], [i for i in free if i.size is B]
        if a and b and roll < 0.85:
            return bracket("!=", ref("m", r.choice(a), r.choice(b)))
        if a and b:
            return bracket(
                r.choice(["==", "!="]), i_poly(r.choice(b)) - Poly(((((Entry("ids", (i_poly(r.choice(a)),)), 1),), 1),))
            )
        return bracket(r.choice([">", ">="]), self.read(free))

    def term(self, free: list[Index], depth: int) -> Term:
        """A term whose free indices are among ``free``."""
        r = self.random
        if depth <= 0:
            roll = r.random()
            if roll < 0.8:
                return self.read(free)
            if roll < 0.9 and free:
                return size_of(i_poly(r.choice(free)))
            return r.choice([Number(2), mul(Number(-1), size_of(A)), power(size_of(B), -1), self.condition(free)])
        roll = r.random()
        deeper = depth - 1
        if roll < 0.2:
            return add(self.term(free, deeper), r.choice(SIGNS)(self.term(free, deeper)))
        if roll < 0.4:
            return mul(self.term(free, deeper), self.term(free, deeper))
        if roll < 0.47:
            return mul(self.condition(free), self.term(free, deeper))
        if roll < 0.52:
            c = self.condition(free)
            return add(mul(c, self.term(free, deeper)), mul(opposite(c), self.term(free, deeper)))
        if roll < 0.6:
            return func(r.choice(["tanh", "sigmoid", "sin"]), self.term(free, deeper))
        if roll < 0.63:
            return power(
                add(Number(2), power(self.term(free, deeper), 2)),
                r.choice(EXPONENTS),
            )
        if roll < 0.66:
            return extremum(r.choice(["max", "min"]), [i := self.index(r.choice((A, B)))], self.term([*free, i], deeper))
        if roll < 0.69:
            return product([i := self.index(r.choice((A, C)))], self.term([*free, i], 0))
        if roll < 0.74 and free:
            return self.scatter(free, deeper)
        bound = [self.index(r.choice(SIZES)) for _ in range(r.choice((1, 1, 2, 2, 3)))]
        inner = [*free, *bound]
        return summation(bound, mul(*(self.term(inner, deeper - 1) for _ in range(r.choice((1, 2, 2, 3))))))

    def scatter(self, free: list[Index], depth: int) -> Term:
        r = self.random
        b = [i for i in free if i.size is B]
        if not b:
            return self.read(free)
        target = r.choice(b)
        i = self.index(A)
        rest = [j for j in free if j is not target]
        return summation([i], mul(bracket("==", i_poly(target) - entry("ids", i_poly(i))), self.term([*rest, i], depth)))

    def definition(self, name: str, depth: int) -> Definition:
        r = self.random
        indices = [self.index(d) for d in r.choice([(), (A,), (B,), (A, B), (B, A), (C, A, B), (A * B,), (A, as_poly(2))])]
        d = Definition(name, tuple(indices), self.term(indices, depth))
        self.tensors[name] = (d.dims, "float")
        return d


def program(seed: int, definitions: int = 2, depth: int = 3) -> Program:
    """A random Program over the inputs above."""
    maker = Maker(Random(seed))
    made = tuple(maker.definition(f"d{k}", depth) for k in range(definitions))
    return Program(INPUTS, made, tuple(d.name for d in made), structure="tuple")


def inputs(seed: int, sizes: dict[str, int], dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Tensors for the inputs above."""
    g = torch.Generator().manual_seed(seed % (1 << 31))
    out: dict[str, Any] = {}
    for a in INPUTS:
        shape = tuple(p.at(sizes) for p in a.dims)
        if a.kind == "int":
            assert a.below is not None
            out[a.name] = torch.randint(0, max(a.below.at(sizes), 1), shape, generator=g)
        elif a.kind == "bool":
            out[a.name] = torch.rand(shape, generator=g) > 0.5
        else:
            out[a.name] = torch.randn(shape, generator=g, dtype=torch.float64).to(dtype)
    return out
