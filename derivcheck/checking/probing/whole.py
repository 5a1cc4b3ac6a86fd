"""Where rounding hides single elements: other data of the same kind, and whole gradients over several draws.

A bound that is larger than the gradient tells nothing, so the check looks where it does: at the data times 1/4, 1/16, ….
In half precision errors of 5 % are usual and each is within its worst case; over many elements they average out, and what is
wrong does not.  Three figures are held against what the derived gradient, computed in the same type, does on the same data:

* the bias, ``⟨error, gradient⟩ / |gradient|²``: a factor of 1.05 is 0.05 in every draw;
* the root mean square of the error;
* the same of what is left of it without the bias: another direction, such as a path that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.pairs import HALVES, unit
from derivcheck.checking.arithmetic.typical import Typical
from derivcheck.checking.backward.found import Run, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.elsewhere import at_sizes
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import JudgedRun, derived, doubled
from derivcheck.checking.verdict.judge import Circumstances, judge
from derivcheck.checking.verdict.likeness import runs
from derivcheck.checking.verdict.verdict import as_a_whole, shown_elsewhere
from derivcheck.errors import DerivcheckError
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of

SCALES = (1.0, 0.25, 0.0625, 2.0**-6)  # times the data, in this order, as long as a gradient stays hidden
DRAWS = 8  # the deviation of so many is known to about a quarter
LARGE = 1 << 12  # elements beyond which half as many draws tell as much
SEEN = 0.02  # of the gradient's norm: what a check of half precision has to see, element by element or as a whole
EXACT = 1e-4  # of the gradient's norm: far above what float64 loses, far below what half precision shows
TIMES = 3.0  # how much more than the derived way another right way may round
DEVIATIONS = 5.0  # of a mean from 0, in its own deviation, that no chance explains


@dataclass
class Figures:
    """What the draws say of one gradient, as parts of its norm: of the backward under test, and of the derived way."""

    bias: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    usual_bias: list[float] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)

    def add(self, found: torch.Tensor, usual: torch.Tensor, expected: torch.Tensor) -> None:
        """One draw; a gradient of zeros says nothing."""
        square = float((expected * expected).sum())
        if square > 0 and math.isfinite(square) and bool(torch.isfinite(usual).all()):
            for t, bias, error in ((found, self.bias, self.error), (usual, self.usual_bias, self.usual)):
                off = t - expected
                bias.append(float((off * expected).sum()) / square)
                error.append(float((off * off).sum()) / square)

    @property
    def telling(self) -> bool:
        """Whether a bias of 5 % would be seen, and an error of a fifth."""
        return len(self.bias) >= DRAWS // 2 and self._room(self.usual_bias) < 0.045 and TIMES * _root(self.usual) < 0.6

    def _room(self, biases: list[float]) -> float:
        n = len(biases)
        mean = sum(biases) / n
        spread = math.sqrt(sum((b - mean) ** 2 for b in biases) / max(1, n - 1))
        # a spread of few draws is not well known; that of as many elements as there are is never below this
        return abs(mean) + DEVIATIONS * max(spread, 0.1 * _root(self.usual)) / math.sqrt(n)

    def fault(self, dtype: torch.dtype) -> str:
        """What is wrong, or ``""``."""
        bias, least = sum(self.bias) / len(self.bias), 2 * unit(dtype)
        error, usual = _root(self.error), _root(self.usual)
        if not math.isfinite(error):
            return "it is not a number where the gradient is one"
        if abs(bias) > self._room(self.usual_bias) + least:
            return f"over {len(self.bias)} draws it is {1 + bias:.3g} times the gradient"
        rest = math.sqrt(max(0.0, error * error - bias * bias))
        if error > TIMES * usual + least or rest > TIMES * usual + least:
            return f"over {len(self.bias)} draws {error:.1%} of its norm is off, where rounding makes {usual:.1%}"
        return ""


def _root(squares: list[float]) -> float:
    return math.sqrt(sum(squares) / max(1, len(squares)))


def judge_hidden(
    s: Subject, run: Run, rows: Iterable[Row], upstream: Upstream, dtype: torch.dtype, seed: int
) -> dict[str, Row]:
    """The rows of which rounding hides too much, as other data show them."""
    look, half = _Look(s, run, upstream, dtype, seed), dtype in HALVES
    hidden = [r for r in rows if r.verdict == "vacuous" or half and r.passed and r.sensitivity > SEEN]
    open_ = {r.name: r for r in hidden if r.name in s.wrt}
    shown: dict[str, Row] = {}
    for scale in SCALES:
        if not open_:
            break
        if half:
            found = _as_a_whole(look, set(open_), scale)
        else:
            found = _by_elements(look, set(open_), scale) if scale < 1 else {}
        for name, new in found.items():
            row = open_.pop(name)
            if not (new.faulty and half and s.native):  # kernels of torch's own round as they like there
                shown[name] = shown_elsewhere(row, new, new.note if scale < 1 or half else row.note)
    return shown


@dataclass(frozen=True)
class _Look:
    """What is looked at again, at other data: a backward of a subject, at the caller's upstream gradient, in a type."""

    s: Subject
    run: Run
    upstream: Upstream
    dtype: torch.dtype
    seed: int


def _drawn(look: _Look, sizes: dict[str, int], scale: float) -> Iterator[tuple[Tensors, Upstream]]:
    """The caller's own data first, then others of their kind, times a number."""
    s, generator = look.s, torch.Generator().manual_seed(look.seed + 41)
    moved = [n for n in s.wrt if n not in s.kinds]

    def scaled(tensors: Tensors) -> Tensors:
        return {n: t * scale if n in moved else t for n, t in tensors.items()}

    yield scaled(s.tensors), look.upstream
    while True:
        tensors, ups = at_sizes(s, sizes, look.upstream, generator)
        yield scaled(tensors), ups


def _as_a_whole(look: _Look, names: set[str], scale: float) -> dict[str, Row]:
    """A row for each gradient of which several draws, taken together, tell something; none where rounding is larger than
    that."""
    s, run, dtype = look.s, look.run, look.dtype
    figures = {n: Figures() for n in names}
    bars = dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
    kept: list[JudgedRun] = []
    sizes: dict[str, int] = {}
    draws = _drawn(look, sizes, scale)
    few = DRAWS if sum(t.numel() for t in s.tensors.values()) < LARGE else DRAWS // 2
    for _ in range(few):
        tensors, ups = next(draws)
        try:
            right = derived(s, tensors, ups, dtype)
        except (DerivcheckError, RuntimeError, ValueError):  # data that the forward is not made for
            return {}
        sizes.update(right.sizes)
        gave = find(s, run, tensors, ups)
        if gave.raised or right.typical is None:
            return {}
        for n in names:
            g, usual = gave.gradients.get(n), right.typical.value(bars[n])
            if not isinstance(g, torch.Tensor) or usual is None or g.shape != usual.shape:
                return {}
            figures[n].add(g.detach().double().cpu(), usual, right.value(bars[n]))
        kept.append(JudgedRun(tensors, ups, right, gave.gradients))
    rows = {}
    for n, f in figures.items():
        if f.telling and f.fault(dtype) and (own := _by_its_own_rounding(s, run, n, kept)) is not None:
            f = own
        if f.telling:
            fault, times = f.fault(dtype), "" if scale == 1 else f" of the data times {scale:g}"
            said = f"as a whole within what rounding makes, over {len(f.bias)} draws{times}"
            rows[n] = as_a_whole(n, bars[n], bool(fault), fault or said, kept[0], SEEN)
    return rows


def _by_its_own_rounding(s: Subject, run: Run, name: str, kept: list[JudgedRun]) -> Figures | None:
    """The figures beside what rounding makes of the way that it is written; None where that is not known.

    What the backward's own Program gives in this type, less what it gives in float64, is rounding; what it gives in float64
    has to be the gradient, or no rounding excuses it.
    """
    figures, bars = Figures(), dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
    for evidence in kept:
        claim = s.rounding.claims.at(s, run, evidence.tensors, evidence.upstream) if s.rounding is not None else None
        given = None if claim is None else claim.given({**evidence.tensors, **evidence.upstream})
        found, expected = evidence.found.get(name), evidence.right.value(bars[name])
        if claim is None or given is None or found is None or name not in claim.outputs:
            return None
        try:
            sizes = sizes_of(claim.program, given)
            exact = evaluate(claim.program, doubled(given), sizes, Bound(torch.float64))[claim.outputs[name]].value
        except (DerivcheckError, RuntimeError, ValueError, KeyError):
            return None
        rounded = Typical(claim.program, given, sizes, evidence.right.dtype).value(claim.outputs[name])
        if rounded is None or rounded.shape != expected.shape or not _same(exact, expected):
            return None
        figures.add(found.detach().double().cpu(), expected + rounded - exact, expected)
    return figures


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two gradients in float64 are one, but for what float64 rounds of numbers that half precision can tell."""
    return bool(torch.linalg.vector_norm(a - b) <= EXACT * torch.linalg.vector_norm(b))


def _by_elements(look: _Look, names: set[str], scale: float) -> dict[str, Row]:
    """What single elements say of these gradients at one draw of the data times a number."""
    s, (tensors, ups) = look.s, next(_drawn(look, {}, scale))
    where = f"the data times {scale:g}"
    try:
        if s.call is not None and not runs(s, tensors):
            return {}
        right = derived(s, tensors, ups, look.dtype)
        found, gave = judge(s, look.run, tensors, ups, right, Circumstances(where))
    except (DerivcheckError, RuntimeError, ValueError):
        return {}
    evidence, note = JudgedRun(tensors, ups, right, gave.gradients), f"rounding hides it at the data themselves, not at {where}"
    told = [r for r in found if r.name in names and r.verdict != "vacuous"]
    return {r.name: replace(r, evidence=evidence) if r.faulty else replace(r, note=note) for r in told}
