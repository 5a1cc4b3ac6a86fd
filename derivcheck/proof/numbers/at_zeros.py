"""A proof is put to numbers where its conditions could hide something: at zeros beside kinks, where the claim is undefined.

A kink is left out as a set of measure zero, a denominator is taken to differ from 0.  That is no more than it says if both
sides agree where other inputs are 0 (masks are), and if the claim is defined, not everywhere, but wherever inputs
in general position give a gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.values.exact import Exact
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.sides import needed_terms
from derivcheck.proof.numbers.decimals import Digits
from derivcheck.proof.numbers.refute import differs, finite_at, lasting, only, pair_at
from derivcheck.proof.numbers.samples import Draw, Point, draws, marks, points, reach
from derivcheck.proof.numbers.sizes_to_try import assignments
from derivcheck.proof.report.counterexample import Counterexample

SMALLEST, FURTHER = 4, 6  # choices of sizes: the smallest, and so many among the others
# Where it is looked for what is not defined: numbers of both signs, positive, negative; the others only until all is defined.
ANYWHERE = (Draw(), Draw(positive=True), Draw(positive=True, stretch=-1), *draws()[2:])
GENERAL = 3  # of these, those that are always tried
LARGEST = 10**40  # beyond it, or an infinity, nothing is a number here
NOWHERE = "proved by the rules, but numbers could be asked nowhere: no admitted sizes were found, or no values there"


@dataclass(frozen=True)
class Finding:
    """What numbers say against a proof.

    Attributes:
        detail: the objection, in words.
        counterexample: where the claim differs, if that is all there is to say.
    """

    detail: str
    counterexample: Counterexample | None = None


def objection(
    program: Program,
    c: Claim,
    moving: Collection[str],
    kinks: bool,
    defined: bool,
    needs: Sequence[Term] = (),
) -> Finding | None:
    """What numbers say against the proof of a claim, if anything.

    Args:
        program: one Program that defines both sides.
        moving: the names that kinks may depend on.
        kinks: whether kinks were left out.
        defined: whether the claim has conditions that the gradient does not have, or an infinity in it.
        needs: what has to be defined for the claim to be, and stands in no definition.
    """
    found = _undefined(program, c, needs) if defined else None
    if found is not None or not kinks:
        return found
    floats = [a.name for a in program.arguments if a.kind == "float" and a.role != "upstream" and a.name != c.name]
    return _differing(program, c, [n for n in floats if n not in moving], [n for n in floats if n in moving])


def _differing(program: Program, c: Claim, fixed: Sequence[str], others: Sequence[str]) -> Finding | None:
    """Where the two sides of a proof that leaves kinks out differ after all.

    Args:
        fixed: float inputs on which no kink depends: they may be 0 anywhere.
        others: float inputs that kinks depend on, but whose gradient this is not.
    """
    far = reach(program)
    tried = False
    drawn = [draws(), draws(far), *(draws(1, (m,)) for m in (*fixed, *others))]
    drawn += [draws(far, fixed), draws(1, fixed, marks(program))] if fixed else []
    every = list(_sizes(program))
    program = only(program, c.claim, c.target)
    for seed, sizes in enumerate(every):
        for ways in drawn:
            for point in points(program, sizes, 3 * seed + 2, ways):
                found = _gap(program, c, point)
                if found is None:
                    continue
                tried = True
                if found:
                    known = point.masks.isdisjoint(others)
                    return Finding(f"proved away from kinks, but {found}", found if known else None)
                break
    return None if tried else Finding(NOWHERE)


def _undefined(program: Program, c: Claim, needs: Sequence[Term]) -> Finding | None:
    """Whether the claim is nowhere defined, or not where inputs in general position give a gradient."""
    more = needed_terms("claim", tuple(needs))
    theirs = [d.name for d in more]
    every = list(_sizes(program))
    program = only(replace(program, definitions=(*program.definitions, *more)), c.claim, c.target, *theirs)
    ever = tried = False
    for seed, sizes in enumerate(every):
        defined, holes = False, list[Point]()
        for k, point in enumerate(points(program, sizes, 3 * seed + 2, ANYWHERE)):
            if defined and k >= GENERAL:
                break
            values = finite_at(program, point)
            if values is None:
                continue
            claim, gradient = (np.isfinite(np.asarray(values[n], dtype=float)) for n in (c.claim, c.target))
            claim = claim & all(np.isfinite(np.asarray(values[n], dtype=float)).all() for n in theirs)
            tried = tried or bool(gradient.any())
            defined = defined or bool((claim & gradient).any())
            holes += [point] if (gradient & ~claim).any() else []
        ever = ever or defined
        if defined and any(_is_undefined(program, c, theirs, point) for point in holes):
            where = ", ".join(f"{n} = {v}" for n, v in sizes.items())
            return Finding(f"proved where the claim is defined; in whole regions (at {where}) the gradient alone is")
    return None if ever else Finding("equal where it is defined, but it is defined nowhere" if tried else NOWHERE)


def _sizes(program: Program) -> Iterator[dict[str, int]]:
    """The smallest, and some of the others up to the last."""
    every = list(assignments(program))
    yield from every[:SMALLEST]
    rest = every[SMALLEST:]
    yield from rest[(len(rest) - 1) % (step := max(1, len(rest) // FURTHER)) :: step] if rest else ()


def _gap(program: Program, c: Claim, point: Point) -> Counterexample | Literal[False] | None:
    """Where the two sides differ; False where they do not; None where the forward is not defined."""
    values = finite_at(program, point)
    told = None if values is None else differs(values[c.claim], values[c.target])
    if not told:
        return None if told is None else False
    return lasting(program, c, point) or False


def _is_undefined(program: Program, c: Claim, theirs: Sequence[str], point: Point) -> bool:
    """Exactly, or with many digits: some element of the gradient is a number, and the claim there is not."""
    for name in (c.claim, *theirs):
        needed = replace(program.needed([n for n in (name, c.target) if n not in program.inputs]), outputs=())
        side = replace(c, claim=name)
        found = pair_at(needed, side, point, Exact()) or pair_at(needed, side, point, Digits())
        if found is None:
            continue
        holes, numbers = ([v is None or not abs(v) < LARGEST for v in np.ravel(side)] for side in found)
        if name is c.claim and any(u and not v for u, v in zip(holes, numbers)):
            return True
        if name is not c.claim and any(holes) and not all(numbers):
            return True
    return False
