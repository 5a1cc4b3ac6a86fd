"""Random programs of three definitions with comparisons at several places, and claims of them: rewritten, or mistaken."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.reads import inside
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, func, mul, number, power, ref, sub
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import inline, rename, summation
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report.proof import Proof
from tests.proof.random_elements import exponent, flipped, other_side, unmasked
from tests.proof.random_terms import Maker, coefficient, distributed, dropped, renamed, shuffled, somewhere

N = size("N")
R = Index("r", N)
INPUTS = (Input("x", (N,)), Input("y", (N,)), Input("c", ()))
OWN = {"h": "h_of_claim", "k": "k_of_claim"}


class Terms:
    """Random terms in which elements are compared."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.maker = rng, Maker(rng, INPUTS)

    def place(self, free: Sequence[Index]) -> Poly:
        i = i_poly(self.rng.choice(free))
        return N - 1 - i if self.rng.random() < 0.15 else i

    def leaf(self, free: Sequence[Index], names: str) -> Term:
        if self.rng.random() < 0.1:
            return number(Fraction(self.rng.choice([1, 2, -1, 3]), self.rng.choice([1, 2])))
        name = self.rng.choice(names)
        return ref("c") if name == "c" else ref(name, self.place(free))

    def mask(self, free: Sequence[Index], names: str) -> Term:
        u, v = self.leaf(free, names), self.leaf(free, names)
        return bracket(self.rng.choice([">", ">="]), mul(u, v) if self.rng.random() < 0.2 else sub(u, v))

    def term(self, free: Sequence[Index], depth: int, names: str) -> Term:
        rng = self.rng
        if depth <= 0:
            return self.leaf(free, names)
        u, pick = self.term(free, depth - 1, names), rng.random()
        if pick < 0.4:
            return (mul if pick < 0.2 else add)(u, self.term(free, depth - 1, names))
        if pick < 0.52:
            j = self.maker.index(N)
            return summation([j], self.term([*free, j], depth - 1, names))
        if pick < 0.58:
            return func(rng.choice(["exp", "tanh", "sin"]), u)
        if pick < 0.63:
            return power(add(ONE, power(u, 2)), rng.choice([Fraction(-1), Fraction(-1, 2)]))
        if pick < 0.72:
            return mul(self.mask(free, names), u)
        v = self.leaf(free, names)
        on = bracket(rng.choice([">", ">="]), sub(u, v) if rng.random() < 0.5 else sub(v, u))
        return add(v, mul(on, sub(u, v)))


def _cased(t: Term, m: Maker) -> Term:
    """A term by cases of a comparison of its own."""
    x, y = ref("x", R), ref("y", R)
    on = bracket(">", m.rng.choice([x, y, sub(x, y), ref("c")]))
    return add(mul(on, t), mul(sub(ONE, on), t))


def _turned(t: Term, m: Maker) -> Term:
    """The element at the other end."""
    return Ref(t.name, (N - 1 - t.at[0],)) if isinstance(t, Ref) and t.at else t


@dataclass(frozen=True)
class Sides:
    """A gradient, what is claimed to be it, and whether it was made equal."""

    gradient: Program
    claimed: Program
    equal: bool
    seed: int


def sides(seed: int, depth: int = 3) -> Sides:
    """The two sides of that seed."""
    rng = random.Random(seed)
    t = Terms(rng)
    terms = [t.term([R], rng.randint(1, depth), names) for names in ("xyxyc", "xyhhc", "xhkkc")]
    known = {n: ((R,), term) for n, term in zip("hk", terms)}
    claimed = list(terms)

    def written_out(term: Term, m: Maker) -> Term:
        return inline(term, known) if isinstance(term, Ref) and term.name in known else term

    def changed(laws: Iterable[Callable[[Term, Maker], Term]]) -> None:
        place = rng.randrange(3)
        claimed[place] = somewhere(claimed[place], rng.choice(list(laws)), t.maker)

    for _ in range(rng.randint(1, 5)):
        changed((_cased, other_side, other_side, shuffled, renamed, distributed, written_out, written_out))
    equal = rng.random() < 0.5
    if not equal:
        changed((coefficient, dropped, flipped, unmasked, exponent, _turned, _turned))
    gradient = tuple(Definition(n, (R,), term) for n, term in zip(("h", "k", "x_bar"), terms))
    claim = tuple(Definition(n, (R,), rename(term, OWN)) for n, term in zip((*OWN.values(), "x_bar"), claimed))
    one, other = (inside(Program(INPUTS, ds, ("x_bar",))) for ds in (gradient, claim))
    return Sides(one, other, equal, seed)


def proof_of(s: Sides, time_limit: float = 2.0) -> Proof:
    """The proof that the claim is the gradient."""
    h, k, x_bar = s.gradient.definitions
    forward = inside(Program(INPUTS, (h, k, Definition("out", (R,), x_bar.term)), ("out",)))
    return prove_programs(forward, s.gradient, s.claimed, time_limit=time_limit)


def apart(s: Sides) -> float:
    """How far the two sides are apart, relatively, at random numbers."""
    worst = 0.0
    for n in (1, 2, 3, 5):
        for scale in (0.4, 1.5, 5.0):
            rng = np.random.default_rng(s.seed + n)
            inputs = {"x": scale * rng.normal(size=n), "y": scale * rng.normal(size=n), "c": np.asarray(scale * rng.normal())}
            try:
                values = [
                    {k: np.asarray(v, float) for k, v in evaluate(p, inputs, {"N": n}).items()} for p in (s.gradient, s.claimed)
                ]
            except DerivcheckError:
                continue
            if not all(np.isfinite(v).all() for side in values for v in side.values()):
                continue
            u, v = (side["x_bar"] for side in values)
            worst = max(worst, float((np.abs(u - v) / np.maximum(np.maximum(np.abs(u), np.abs(v)), 1e-6)).max()))
    return worst
