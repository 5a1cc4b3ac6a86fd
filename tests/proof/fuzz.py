"""The nightly search for an unsound rule: ``python -m tests.proof.fuzz 50000`` judges random pairs by all rules.

Two sorts.  Terms: what is called equal must agree on numbers.  Claims of a gradient (:mod:`tests.proof.random_claims`): what
is proved must hold wherever the forward is defined and the conditions that are said hold, and these must hold in
general position; what is refuted must differ, not at a tie alone.  A single pair that does not is unsound, and is printed
with its seed.  Interrupted, it says how far it came.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from time import monotonic
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.proof.numbers.decimals import Digits
from tests.proof import polynomial_sums
from tests.proof.equality import equal_by_second_route, surely_equal
from tests.proof.judged_claims import fault
from tests.proof.random_claims import Claim, claim, proof_of
from tests.proof.random_terms import BELOW, COLUMN, INPUTS, ROW, Pair, pair

SIZES = ({"N": 3, "M": 2}, {"N": 2, "M": 3}, {"N": 1, "M": 1}, {"N": 4, "M": 3})


def differs(left: Term, right: Term, seed: int) -> bool:
    """Whether numbers tell two terms apart (60 digits where float64 seems to)."""
    used = [i for i in (ROW, COLUMN) if i in left.free | right.free]
    names = left.names | right.names
    arguments = tuple(a for a in INPUTS if a.name in names)
    program = Program(
        arguments, (Definition("left", tuple(used), left), Definition("right", tuple(used), right)), ("left", "right")
    )
    for k, sizes in enumerate(SIZES):
        rng = np.random.default_rng(seed * 7 + k)
        inputs: dict[str, Any] = {}
        for a in arguments:
            shape = tuple(p.at(sizes) for p in a.dims)
            if a.kind == "int":
                assert a.below is not None
                inputs[a.name] = rng.integers(0, a.below.at(sizes), shape)
            else:
                inputs[a.name] = rng.integers(1 if a.name == "p" else -8, 9, shape) / 8.0
        if _apart(program, inputs, sizes):
            return True
    return False


def _apart(program: Program, inputs: dict[str, Any], sizes: dict[str, int]) -> bool:
    try:
        found = evaluate(program, inputs, sizes)
    except (DerivcheckError, IndexError):
        return False
    a, b = np.asarray(found["left"], float), np.asarray(found["right"], float)
    fine = np.isfinite(a) & np.isfinite(b)
    gap = np.abs(a - b)
    if not fine.any() or not (gap[fine] > 1e-9 * np.maximum(np.abs(a), np.abs(b))[fine] + 1e-300).any():
        return False
    numbers = Digits()
    given = {
        n: np.vectorize(lambda v: Fraction(float(v)), otypes=[object])(v) if np.asarray(v).dtype.kind == "f" else v
        for n, v in inputs.items()
    }
    try:
        exact = evaluate(program, given, sizes, numbers)
    except (DerivcheckError, IndexError):
        return False
    for u, v in zip(np.ravel(exact["left"]), np.ravel(exact["right"])):
        if u is not None and v is not None and abs(u - v) > 1e-25 * max(abs(u), abs(v), 1e-20):
            return True
    return False


@dataclass
class Count:
    """How the pairs fared: ``proved`` by the normal form, ``otherwise`` by the second route where that left them open."""

    equal: int = 0
    proved: int = 0
    otherwise: int = 0
    unequal: int = 0
    unsound: tuple[Pair, ...] = ()
    failed: tuple[tuple[Pair | Claim, str], ...] = ()
    missed: tuple[Pair, ...] = ()
    claims: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("proved", "refuted", "undecided"), 0))
    wrong: tuple[tuple[Claim, str], ...] = ()

    @property
    def pairs(self) -> int:
        """How many were judged."""
        return self.equal + self.unequal + sum(self.claims.values())

    def __str__(self) -> str:
        failed = f"; {len(self.failed)} ended in an error" if self.failed else ""
        claims = ", ".join(f"{n} {status}" for status, n in self.claims.items())
        return (
            f"{self.pairs} pairs; terms: {self.equal} made equal, of which {self.proved} proved by the normal form and "
            f"{self.otherwise} by the second route; {self.unequal} made unequal; "
            f"claims: {claims}; {len(self.unsound) + len(self.wrong)} unsound{failed}"
        )


def judge(count: Count, p: Pair, apart: Callable[[Pair], bool], time_limit: float) -> None:
    """Judge one pair by the normal form, by the second route where that leaves it open; what is proved by numbers."""
    if p.left is p.right:
        return
    try:
        _judge(count, p, apart, time_limit)
    except Exception as e:  # a mistake in a rule, to be counted and shown, not to end the search
        count.failed += ((p, f"{type(e).__name__}: {e}"),)


def _judge(count: Count, p: Pair, apart: Callable[[Pair], bool], time_limit: float) -> None:
    normal = surely_equal(p.left, p.right, BELOW, time_limit)
    other = not normal and equal_by_second_route(p.left, p.right, BELOW, time_limit)
    if p.equal:
        count.equal += 1
        count.proved += normal
        count.otherwise += other
        if not (normal or other):
            count.missed += (p,)
    else:
        count.unequal += 1
    if (normal or other) and apart(p):
        count.unsound += (p,)


def judge_claim(count: Count, seed: int, time_limit: float) -> None:
    """Judge the claim of that seed."""
    c = claim(seed)
    try:
        proof = proof_of(c, time_limit)
        wrong = fault(c, proof)
    except Exception as e:  # a mistake in a rule, to be counted and shown, not to end the search
        count.failed += ((c, f"{type(e).__name__}: {e}"),)
        return
    count.claims[proof.status] += 1
    if wrong:
        count.wrong += ((c, wrong),)


def judged(seeds: range, time_limit: float = 0.5) -> Count:
    """Judge the pair and the claim of these seeds, and a polynomial sum for every fourth."""
    count = Count()
    for seed in seeds:
        _judge_seed(count, seed, time_limit)
    return count


def _judge_seed(count: Count, seed: int, time_limit: float = 0.5) -> None:
    judge(count, pair(seed), lambda p: differs(p.left, p.right, p.seed), time_limit)
    if seed % 4 == 0:
        judge(count, polynomial_sums.pair(seed), polynomial_sums.differs, time_limit)
    judge_claim(count, seed, time_limit)


def _shown(seeds: range, count: Count, console: Console) -> Iterator[int]:
    """The seeds, with a bar on a terminal and a line every half minute elsewhere."""
    if console.is_terminal:
        yield from track(seeds, "judging", console=console)
        return
    told = monotonic()
    for done, seed in enumerate(seeds):
        if monotonic() - told > 30:
            told = monotonic()
            print(f"{done} of {len(seeds)} seeds; {count}", flush=True)
        yield seed


def main(arguments: list[str]) -> int:
    """Judge the pairs of so many seeds and say how they fared."""
    total = int(arguments[0]) if arguments else 50_000
    first = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    count, done = Count(), 0
    try:
        for seed in _shown(range(first, first + total), count, Console()):
            before = len(count.unsound) + len(count.wrong)
            _judge_seed(count, seed)
            done += 1
            if len(count.unsound) + len(count.wrong) > before:
                print(f"UNSOUND at seed {seed}", flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {done} of {total} seeds")
    print(count)
    for p in count.unsound[:10]:
        print(f"UNSOUND seed {p.seed}\n  {p.left}\n  {p.right}")
    for c, wrong in count.wrong[:10]:
        print(f"UNSOUND claim of seed {c.seed}: {wrong}\n  {c.left}\n  {c.right}\n  dropped: {c.of_right}")
    for f, error in count.failed[:10]:
        print(f"FAILED seed {f.seed} {error}\n  {f.left}\n  {f.right}")
    if "-v" in arguments:
        for p in count.missed[:40]:
            print(f"missed seed {p.seed}\n  {p.left}\n  {p.right}")
    return 1 if count.unsound or count.wrong or count.failed else 0 if done == total else 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
