"""A proof is put to numbers where its conditions could hide something: at zeros beside kinks, where the claim is undefined.

A kink is left out as a set of measure zero, a denominator is taken to differ from 0.  That is no more than it says if both
sides agree where other inputs are 0 (masks are), and if the claim is defined, not everywhere, but wherever inputs
in general position give a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.values.exact import Exact
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.sides import needed_terms
from derivcheck.proof.numbers.decimals import Digits
from derivcheck.proof.numbers.refute import UNTIL_DEFINED, lasting, pair_at
from derivcheck.proof.numbers.samples import marks, reach, sample, values_at
from derivcheck.proof.numbers.sizes_to_try import assignments
from derivcheck.proof.report.counterexample import Counterexample

SMALLEST, FURTHER = 4, 6
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
    pair = (c.name, c.claim, c.target)
    found = _undefined(program, pair, needs) if defined else None
    if found is not None or not kinks:
        return found
    floats = [a.name for a in program.arguments if a.kind == "float" and a.role != "upstream" and a.name != c.name]
    return _differing(program, pair, [n for n in floats if n not in moving], [n for n in floats if n in moving])


def _differing(program: Program, pair: tuple[str, str, str], fixed: Sequence[str], others: Sequence[str]) -> Finding | None:
    """Where the two sides of a proof that leaves kinks out differ after all.

    Args:
        pair: the gradient's public name, the definition that claims it, the definition that it is.
        fixed: float inputs on which no kink depends: they may be 0 anywhere.
        others: float inputs that kinks depend on, but whose gradient this is not.
    """
    far = reach(program)
    tried = False
    drawn: list[tuple[int, tuple[str, ...], tuple[int, ...]]] = [(1, (), ()), (far, (), ())]
    drawn += [(1, (m,), (0,)) for m in (*fixed, *others)]
    drawn += [(far, (*fixed,), (0,)), (1, (*fixed,), marks(program))] if fixed else []
    every = list(_sizes(program))
    program = _only(program, pair[1:])
    for seed, sizes in enumerate(every):
        for stretch, masks, held in drawn:
            for positive, wide in ((False, stretch), (True, stretch), *UNTIL_DEFINED):
                inputs = sample(program, sizes, 3 * seed + 2, positive, wide, frozenset(masks), held)
                found = None if inputs is None else _gap(program, pair, sizes, inputs, frozenset(masks))
                if found is None:
                    continue
                tried = True
                if found:
                    known = set(masks).isdisjoint(others)
                    return Finding(f"proved away from kinks, but {found}", found if known else None)
                break
    return None if tried else Finding(NOWHERE)


def _undefined(program: Program, pair: tuple[str, str, str], needs: Sequence[Term]) -> Finding | None:
    """Whether the claim is nowhere defined, or not where inputs in general position give a gradient."""
    more = needed_terms("claim", tuple(needs))
    theirs = [d.name for d in more]
    every = list(_sizes(program))
    program = _only(replace(program, definitions=(*program.definitions, *more)), (*pair[1:], *theirs))
    ever = tried = False
    for seed, sizes in enumerate(every):
        here: list[tuple[bool, Mapping[str, Any] | None]] = []
        for positive, stretch in ((False, 1), (True, 1), (True, -1), *UNTIL_DEFINED):
            if stretch not in (1, -1) and any(defined for defined, _ in here):
                break
            inputs = sample(program, sizes, 3 * seed + 2, positive, stretch)
            if inputs is None:
                break
            values = values_at(program, sizes, inputs)
            if values is None or not _all_finite(values, program.outputs, np.isnan):
                continue
            claim, gradient = (np.isfinite(np.asarray(values[n], dtype=float)) for n in pair[1:])
            claim = claim & _all_finite(values, theirs)
            tried = tried or bool(gradient.any())
            here.append((bool((claim & gradient).any()), inputs if (gradient & ~claim).any() else None))
        if not any(defined for defined, _ in here):
            continue
        ever = True
        for _, partly in here:
            if partly is not None and _is_undefined(program, pair, theirs, sizes, partly):
                where = ", ".join(f"{n} = {v}" for n, v in sizes.items())
                return Finding(f"proved where the claim is defined; in whole regions (at {where}) the gradient alone is")
    return None if ever else Finding("equal where it is defined, but it is defined nowhere" if tried else NOWHERE)


def _only(program: Program, names: Sequence[str]) -> Program:
    """The definitions that these names and the outputs need."""
    return replace(program.needed([n for n in (*names, *program.outputs) if n not in program.inputs]), outputs=program.outputs)


def _sizes(program: Program) -> Iterator[dict[str, int]]:
    """The smallest, and some of the others up to the last."""
    every = list(assignments(program))
    yield from every[:SMALLEST]
    rest = every[SMALLEST:]
    yield from rest[(len(rest) - 1) % (step := max(1, len(rest) // FURTHER)) :: step] if rest else ()


def _gap(
    program: Program, pair: tuple[str, str, str], sizes: Mapping[str, int], inputs: Mapping[str, Any], still: frozenset[str]
) -> Counterexample | Literal[False] | None:
    """Where the two sides differ; False where they do not; None where the forward is not defined."""
    values = values_at(program, sizes, inputs)
    if values is None or not _all_finite(values, program.outputs, np.isnan):
        return None
    a, b = (np.asarray(values[n], dtype=float) for n in pair[1:])
    fine = np.isfinite(a) & np.isfinite(b)
    if not fine.any():
        return None
    if (np.abs(a[fine] - b[fine]) <= 1e-7 * max(float(np.abs(b[fine]).max()), 1e-6)).all():
        return False
    return lasting(program, *pair, sizes, inputs, still) or False


def _is_undefined(
    program: Program, pair: tuple[str, str, str], theirs: Sequence[str], sizes: Mapping[str, int], inputs: Mapping[str, Any]
) -> bool:
    """Exactly, or with many digits: some element of the gradient is a number, and the claim there is not."""
    for claim in (pair[1], *theirs):
        needed = replace(program.needed([n for n in (claim, pair[2]) if n not in program.inputs]), outputs=())
        found = pair_at(needed, claim, pair[2], sizes, inputs, Exact())
        if found is None:
            found = pair_at(needed, claim, pair[2], sizes, inputs, Digits())
        if found is None:
            continue
        holes, numbers = ([v is None or not abs(v) < LARGEST for v in np.ravel(side)] for side in found)
        if claim is pair[1] and any(u and not v for u, v in zip(holes, numbers)):
            return True
        if claim is not pair[1] and any(holes) and not all(numbers):
            return True
    return False


def _all_finite(values: Mapping[str, Any], names: Sequence[str], bad: Callable[[Any], Any] = lambda v: ~np.isfinite(v)) -> bool:
    return not any(bad(np.asarray(values[n], dtype=float)).any() for n in names)
