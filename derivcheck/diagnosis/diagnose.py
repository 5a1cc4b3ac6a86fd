"""``diagnose``: the first hypothesis, cheapest first, that reproduces a wrong gradient, also at sizes it was not fitted on."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from derivcheck.diagnosis.behaviour import behaviour
from derivcheck.diagnosis.besides import besides
from derivcheck.diagnosis.case import Case, Drawn, draw
from derivcheck.diagnosis.factors import factors
from derivcheck.diagnosis.groups import groups
from derivcheck.diagnosis.guess import Family, Guess
from derivcheck.diagnosis.interleaved import interleaved
from derivcheck.diagnosis.missing import missing
from derivcheck.diagnosis.mode import mode
from derivcheck.diagnosis.moved import moved
from derivcheck.diagnosis.neighbours import neighbours, undetached
from derivcheck.diagnosis.others import others as other_gradients
from derivcheck.diagnosis.overflow import overflow
from derivcheck.diagnosis.paths import paths
from derivcheck.diagnosis.positions import another_place, one_position, positions
from derivcheck.diagnosis.recomputed import recomputed
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.rows import rows, some_rows
from derivcheck.diagnosis.scale import scale
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.diagnosis.similar import similar
from derivcheck.diagnosis.skipped import skipped
from derivcheck.diagnosis.slopes import slopes
from derivcheck.diagnosis.sums import sums
from derivcheck.diagnosis.upstream import upstream
from derivcheck.diagnosis.variables import addends, variables
from derivcheck.diagnosis.zeros import zeros
from derivcheck.errors import DerivcheckError, InputError

# In the order in which they are asked: what running the backward shows, then what is cheap; the first that other sizes confirm
# is said.
FAMILIES: tuple[Family, ...] = (
    missing,
    behaviour,
    overflow,
    zeros,
    upstream,
    undetached,
    scale,
    other_gradients,
    paths,
    skipped,
    groups,
    addends,
    factors,
    slopes,
    sums,
    rows,
    moved,
    positions,
    interleaved,
    mode,
    neighbours,
    similar,
    variables,
    recomputed,
    one_position,
    another_place,
    some_rows,
)
DEEP: tuple[Family, ...] = (groups, sums, addends, factors, variables)  # these look at the gradient written out in one term too
PRIMES = (3, 5, 7, 11, 13, 17, 19, 23)
DIGITS = 9
FINE = 1e-3  # the coarsest rounding at which a mistake is still told from lost precision
MISHAPS = (DerivcheckError, ArithmeticError, IndexError, KeyError, ValueError)  # of a guess that makes no sense here
LARGE = 1_000_000  # a gradient of more elements is not evaluated again for every guess
SMALL = 20_000  # a gradient of more elements is first looked for at small sizes
PAIRS = 0.3  # seconds that are left for two mistakes at once
FORMAL = ("factor", "addend", "variable", "constant", "some rows")  # these tell an edit of a formula, and no cause
LONG = 220  # letters of a sentence that is still read
_FORMULA = re.compile(r"\w\[|\w_bar\b")
HALF = 4_000  # a gradient of more elements is not kept for every guess that fails


@dataclass(frozen=True)
class Diagnosis:
    """Why a gradient is wrong.

    Attributes:
        sentence: the finding in one sentence, in the words of the field.
        kind: the family of mistakes (``scale``, ``path``, ``sum``, …).
        confirmed: the sizes at which the hypothesis reproduced the backward, the first is where it was found.
        alternatives: other explanations that reproduce it everywhere it could be run.
        tell_apart: the input that would tell the alternatives apart, or "".
    """

    sentence: str
    kind: str
    confirmed: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    tell_apart: str = ""

    @property
    def plain(self) -> bool:
        """Whether it tells a cause, in words of the field; an edit of the user's code says it better than a formula."""
        text = str(self)
        alone = self.kind == "scale" and "divided by" not in text and "mean" not in text  # a number that may have many reasons
        return self.causal and not alone and not _FORMULA.search(re.sub(r"`[^`]*`", "", text))

    @property
    def causal(self) -> bool:
        """Whether it tells one cause, and not an edit of a formula."""
        text = str(self)
        return self.kind not in FORMAL and "; and besides" not in text and len(text) <= LONG

    def because(self, words: str) -> Diagnosis:
        """A number of times too large, with what an edit of the code says of it."""
        head = self.sentence.rpartition(": ")[0] if self.kind == "scale" else ""
        return replace(self, sentence=f"{head}: {words}", alternatives=()) if head and not self.plain else self

    def __str__(self) -> str:
        text = self.sentence
        if self.alternatives:
            text += f"; or else {' or '.join(self.alternatives)}"
            if self.tell_apart:
                text += f" ({self.tell_apart} would tell)"
        return text


def diagnose(case: Case, seconds: float = 3.0) -> Diagnosis | None:
    """The mistake that reproduces what the backward returned, or None.

    A hypothesis counts only where it gives what was found at every size at which the backward can be run again:
    primes, powers of two, a size of 1, and the sizes of the case itself with other values.

    Args:
        case: the wrong gradient, with the backward where it can be run again.
        seconds: how long to look.

    Raises:
        InputError: a name that the adjoint gives no gradient of.

    >>> import torch
    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.diagnosis.case import case
    >>> from derivcheck.notation.text.parse import parse_program
    >>> forward = parse_program("L := sum(n: (x[n] - t[n])^2)/N", {"x": "N", "t": "N"})
    >>> def backward(inputs, upstream):
    ...     return {"x": 2 * (inputs["x"] - inputs["t"]) * upstream["grad_output"]}
    >>> inputs = {"x": torch.randn(5).double(), "t": torch.randn(5).double()}
    >>> drawn = Drawn(inputs, {"grad_output": torch.tensor(1.5).double()})
    >>> print(diagnose(case("x", forward, adjoint(forward), drawn, backward)))
    x: 5× too large at N=5, 3× at N=3: the mean's 1/N is missing: the scale of a sum in a mean
    """
    if f"{case.name}_bar" not in case.adjoint.outputs:
        names = ", ".join(n.removesuffix("_bar") for n in case.adjoint.outputs)
        raise InputError(f"{case.name!r} has no gradient to diagnose; the adjoint gives those of {names}")
    end = clock() + seconds
    here = Scene(case)
    first: tuple[Family, ...] = (missing, behaviour, overflow, zeros)
    for family in first:
        for guess in family(here, []):
            if guess.certain:
                return _said(guess, [here])
    if not here.wrong:
        return None
    finer = _in_double(case) if case.relative > 1e-9 else None
    if finer is not None and finer.wrong:
        here, finer = finer, None
    if finer is None:
        return _searched(here, end)
    found = _searched(here, end) if case.relative < FINE else None  # rounding in half precision looks like anything
    if found is not None and len(found.confirmed) > 1:
        return replace(found, sentence=f"{found.sentence}; in this type alone, in float64 it is right")
    words = "this backward loses precision, and needs a wider accumulator or another order, or it has a branch for this type"
    return Diagnosis(f"{case.name}: right when it runs in float64: {words}", "precision", (str(here),))


def _searched(here: Scene, end: float) -> Diagnosis | None:
    """The first family's first guess that holds, here and elsewhere."""
    others = _others(here)
    search = here
    if here.right.size > SMALL:
        search = next((s for s in others if s.wrong and s.found is not None and s.found.any()), here)
    if not search.telling:
        search = next((s for s in others if s.telling), here)
    if not search.telling:
        return None
    rest = [s for s in (here, *others) if s is not search and (s is not here or here.right.size <= LARGE)]
    fitting: list[Guess] = []
    failed: list[tuple[Guess, Array]] = []
    tried: set[Hashable] = set()
    for deep, family in [*((False, f) for f in FAMILIES), *((True, f) for f in DEEP)]:
        search.deep = deep
        for guess in _guesses(family, search, rest):
            if clock() > end - PAIRS:
                return _best(fitting, search) or _two_mistakes(search, failed, rest, end)
            if guess.key is not None and guess.key in tried:
                continue
            tried.add(guess.key)
            if guess.certain:
                continue
            predicted = _predicted(guess, search)
            if not search.fits(predicted):
                if predicted is not None and _same_kind(predicted, search):
                    failed.append((guess, predicted))
                continue
            confirmed = _confirmed(guess, search, rest)
            if confirmed is None or _digits(confirmed) < DIGITS:
                continue
            if len(confirmed) > 1:
                return _said(guess, confirmed)
            fitting.append(guess)
    return _best(fitting, search) or _two_mistakes(search, failed, rest, end)


def _same_kind(predicted: Array, search: Scene) -> bool:
    """Whether a prediction that failed can be half of the truth: finite, of the right shape, and not the right gradient."""
    found = search.found
    if found is None or found.shape != predicted.shape or found.size > HALF or not np.isfinite(predicted).all():
        return False
    return bool(np.isfinite(found).all()) and not search.near(predicted, search.right)


def _two_mistakes(search: Scene, failed: Sequence[tuple[Guess, Array]], rest: Sequence[Scene], end: float) -> Diagnosis | None:
    """The first pair of mistakes that holds here and at two other sizes or more."""
    if search.relative > 1e-9:
        return None
    for guess in besides(search, failed, rest, end):
        if clock() > end:
            return None
        if search.fits(_predicted(guess, search)):
            confirmed = _confirmed(guess, search, rest)
            if confirmed is not None and len(confirmed) > 2 and _digits(confirmed) >= DIGITS:
                return _said(guess, confirmed)
    return None


def _in_double(case: Case) -> Scene | None:
    """The same backward on the same values in float64, or None where it does not run so."""
    if case.double is None:
        return None
    try:
        upstream = {k: v.double() for k, v in case.upstream.items()}
        finer = case.on(Drawn(case.inputs, upstream), case.double)
    except Exception:
        return None
    found = finer.found.get(case.name)
    if found is None or not bool(found.isfinite().all()) or bool((found == found.float()).all()):
        return None
    return Scene(finer)


def _guesses(family: Family, scene: Scene, rest: list[Scene]) -> Iterator[Guess]:
    """The guesses of a family; one that cannot be made for this Program ends them, and is no reason to fail."""
    try:
        yield from family(scene, rest)
    except MISHAPS:
        return


def _predicted(guess: Guess, scene: Scene) -> Array | None:
    try:
        return guess.predict(scene)
    except MISHAPS:
        return None


def _digits(scenes: Sequence[Scene]) -> float:
    """The decimal digits in which guess and gradient agree, in all: what a chance fit among thousands would need."""
    return sum(s.right.size * -math.log10(min(1.0, s.slack * s.relative)) for s in scenes)


def _confirmed(guess: Guess, search: Scene, rest: Sequence[Scene]) -> list[Scene] | None:
    """The scenes at which a guess reproduces a wrong gradient, or None where one contradicts it."""
    found = [search]
    for s in rest:
        predicted = _predicted(guess, s)
        if predicted is None:
            continue
        if not s.fits(predicted):
            return None
        if s.telling:
            found.append(s)
    return found


def _said(guess: Guess, scenes: Sequence[Scene]) -> Diagnosis:
    """A guess that holds as a diagnosis, with the shapes at which it was seen to hold."""
    name = scenes[0].name
    return Diagnosis(
        f"{name}: {guess.sentence}",
        guess.kind,
        tuple(dict.fromkeys(str(s) for s in scenes)),
        guess.alternatives,
        guess.tell_apart,
    )


def _best(fitting: Sequence[Guess], scene: Scene) -> Diagnosis | None:
    """The simplest of the guesses that fit at one scene alone, with those that other sizes or values would tell from it."""
    if not fitting:
        return None
    first = fitting[0]
    alternatives, apart = list(first.alternatives), first.tell_apart
    elsewhere = _elsewhere(scene)
    for other in fitting[1:]:
        for s in elsewhere:
            a, b = _predicted(first, s), _predicted(other, s)
            if a is not None and b is not None and not s.near(a, b) and other.sentence not in alternatives:
                alternatives.append(other.sentence)
                apart = apart or str(s)
                break
    found = _said(first, [scene])
    return Diagnosis(found.sentence, found.kind, found.confirmed, tuple(alternatives[:3]), apart)


# -- other sizes ------------------------------------------------------------------
def _plans(sizes: dict[str, int]) -> list[dict[str, int]]:
    """Sizes to run at: primes in the order of the case's own sizes, all alike and a power of two, one of size 1."""
    order = sorted(sizes, key=lambda n: (sizes[n], list(sizes).index(n)))
    primes = {n: PRIMES[min(k, 7)] for k, n in enumerate(order)}
    other = {n: PRIMES[min(len(order) - 1 - k, 7)] if len(order) < 4 else 2 + k % 3 for k, n in enumerate(order)}
    powers = dict.fromkeys(order, 4)
    plans = [primes, powers, other]
    if order:
        last = list(sizes)[-1]
        plans.append({**{n: PRIMES[min(k, 7)] for k, n in enumerate(reversed(order))}, last: 1})
    plans.append(dict(sizes))
    return [p for k, p in enumerate(plans) if p not in plans[:k]]


def _others(here: Scene) -> list[Scene]:
    """Further scenes that a guess must hold at too: other sizes, and other values where none of those is wrong."""
    found = []
    for seed, plan in enumerate(_plans(here.sizes)):
        large = here.right.size > LARGE if plan == here.sizes else math.prod(plan.values()) > 10**7
        if large or not here.case.forward.admits(plan):
            continue
        case = here.case.at(plan, 7 + seed)
        if case is not None and (s := Scene(case)).sound and _comparable(s, here):
            found.append(s)
    for seed in range(20, 24):  # a mistake that shows only at some values
        if not any(s.wrong for s in found) and (case := here.case.at(here.sizes, seed)) is not None:
            found.append(Scene(case))
    return found


def _comparable(scene: Scene, here: Scene) -> bool:
    """Whether what comes back has the right shape where it has it here; a wrong one at other sizes is another fault."""
    if here.found is None or here.found.shape != here.right.shape:
        return True
    return scene.found is not None and scene.found.shape == scene.right.shape


def _elsewhere(here: Scene) -> list[Scene]:
    """Scenes for what guesses predict, where the backward itself cannot be run: only their values are used."""
    found = []
    for seed, plan in enumerate(_plans(here.sizes)):
        try:
            found.append(Scene(here.case.on(draw(here.case, plan, 70 + seed), lambda i, u: {})))
        except Exception:
            continue
    return found
