"""Finite differences that know the function.

The Program is evaluated at perturbed inputs in float64; nothing of the derivation is used.

* Elements that cannot meet are perturbed together: an axis of an input that each reference carries
  along unchanged to an axis of the output (before the output's own last sum) is *parallel*, so a colour
  is a position in the other axes alone.  All colours of a chunk are one batched evaluation.
* Outputs are subtracted element by element before they are added up.
* Where every output element is at most quadratic in a colour's perturbation, a central difference has
  no truncation error at any step, so the step is as large as the function asks; elsewhere Richardson's
  extrapolation over five steps, with its error estimate.
* At a kink a central difference is the mean of both sides: differences to one side tell.
* Inputs through which much the same flows are moved in one evaluation, each in its own part of the batch.
* What no gradient flows through (``detach``, witnesses) is frozen at its value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.cost import pricing
from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.subject.flow import dependents
from derivcheck.checking.witnesses.structure import Colouring, batched, colouring, degree, frozen, unreduced
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate

Array = npt.NDArray[np.float64]
Colours = npt.NDArray[np.int64]
Outputs = dict[str, Array]
EPS = 2.0**-52  # from 1 to the next float64
BUDGET = 3e7  # multiplications that the differences of one input may cost
CHUNK = 1 << 21  # elements of the batched output at a time
GROUPED = 1 << 20  # elements of what is moved and of the outputs, in an evaluation for several inputs
SMALL = 1 << 18  # elements up to which several steps are one evaluation: there its own cost is that of its operators
LEVELS = 5  # steps of the extrapolation, each a quarter of the one before


@dataclass
class Difference:
    """The finite-difference gradient of one input.

    Attributes:
        value: float64, of the input's shape; NaN where it was not sampled.
        error: an estimate of its own error, elementwise.
        sampled: elements that were taken, of ``count``.
        exact: the step has no truncation error (the output is at most quadratic along it).
    """

    value: Array
    error: Array
    sampled: int
    count: int
    exact: bool

    @property
    def note(self) -> str:
        """What was covered, in words."""
        return f"all {self.count} elements" if self.sampled == self.count else f"{self.sampled} of {self.count} elements"


@dataclass(frozen=True)
class BasePoint:
    """Where differences of a Program are taken.

    Attributes:
        program: the forward.
        inputs: float64 arrays by name.
        upstream: per float output, in the program's order, its upstream gradient.
        values: every definition's value there.
    """

    program: Program
    inputs: Mapping[str, Any]
    upstream: Mapping[str, Any]
    values: Mapping[str, Any]
    sizes: Mapping[str, int]


def difference(
    point: BasePoint, name: str, seed: int = 0, budget: float = BUDGET, stretch: float = 1.0, side: int = 0
) -> Difference:
    """The gradient in ``name`` of ``Σ upstream · output``.

    Args:
        budget: how much work the differences may be; beyond it, colours are sampled.
        stretch: scales the steps, for a second opinion.
        side: 0 for central differences; 1 or -1 for the slope above or below the point alone.
    """
    return differences(point, (name,), seed, budget, stretch, side)[name]


def differences(
    point: BasePoint, names: Sequence[str], seed: int = 0, budget: float = BUDGET, stretch: float = 1.0, side: int = 0
) -> dict[str, Difference]:
    """:func:`difference` of several inputs."""
    program, sizes = point.program, point.sizes
    found: dict[str, Difference] = {}
    exact = {n for n in names if not side and degree(program, n) <= 2}
    for group in _groups(program, names, exact):
        opened, weights = unreduced(program, point.upstream, group, sizes)
        still, equalities = frozen(opened, *group)
        known = {**point.inputs, **point.values}
        if equalities.definitions:  # which elements are equal is a fact of the point itself
            known.update(evaluate(equalities, {a.name: known[a.name] for a in equalities.arguments}, sizes))
        lines = []
        for name in group:
            x = np.asarray(point.inputs[name], dtype=np.float64)
            moving = {d.name for d in dependents(opened, name)}
            outputs = tuple(o for o in weights if o in moving)
            moved = {d.name for d in dependents(still, name)}
            mine = {o: weights[o] for o in outputs if o in moved}
            if not mine:  # no output depends on it, or it is compared by == alone
                found[name] = Difference(np.zeros(x.shape), np.zeros(x.shape), x.size, x.size, True)
                continue
            colours = colouring(replace(opened, outputs=outputs), name, x.shape, sizes)
            work = pricing(d for d in opened.definitions if d.name in moving)(sizes)
            work *= 2 if name in exact else 2 * LEVELS
            lines.append(_Line(name, x, colours, mine, _chosen(colours.count, budget, work, seed), stretch, side))
        if lines:
            pairs = evaluate(still, {a.name: known[a.name] for a in still.arguments}, sizes, Bound())
            for line in lines:
                line.noise = {o: 0.0 if (e := pairs[o].error) is None else e.numpy() for o in line.weights}
            run = _Runner(still, known, sizes)
            (run.quadratic if lines[0].name in exact else run.extrapolated)(lines)
            found.update({line.name: line.difference(line.name in exact) for line in lines})
    return found


def _groups(program: Program, names: Iterable[str], exact: set[str]) -> list[list[str]]:
    """Inputs through which much the same flows, the longest way first; those of which a difference is exact apart."""
    flows = {n: {d.name for d in dependents(program, n)} for n in names}
    groups = [[n] for n in flows if n in exact]
    first: set[str] = set()
    for n in sorted((n for n in flows if n not in exact), key=lambda n: -len(flows[n])):
        if 8 * len(flows[n] - first) <= len(first) and 2 * len(flows[n]) >= len(first):
            groups[-1].append(n)
            first = first | flows[n]
        else:
            groups.append([n])
            first = flows[n]
    return groups


def _chosen(count: int, budget: float, work: float, seed: int) -> Colours:
    """The colours that are moved: all, or as many as the budget allows."""
    most = max(1, min(count, int(budget / max(work, 1.0))))
    generator = np.random.default_rng(seed)
    return np.arange(count) if most == count else np.sort(generator.choice(count, most, replace=False))


@dataclass
class _Line:
    """One input that is moved, and what its differences are so far.

    Attributes:
        chosen: the colours that are moved.
        weights: per output that it flows into, the upstream gradient.
        noise: per output, the rounding on the way to it at the point itself.
    """

    name: str
    x: Array
    colours: Colouring
    weights: Mapping[str, Array]
    chosen: Colours
    stretch: float
    side: int
    noise: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        x = self.x
        self.ends = (1, -1) if not self.side else (1, 0) if self.side > 0 else (0, -1)
        # the spread of the data rather than its size: a function of x + 1000 varies as one of x does
        spread = float(x.std()) if x.size > 1 else 0.0
        scale = (min(4 * spread, float(np.abs(x).max())) or float(np.abs(x).max() if x.size else 1.0)) * self.stretch
        self.step = 2.0 ** round(math.log2(scale)) if scale > 0 else 1.0
        self.value, self.error = np.full(x.shape, np.nan), np.full(x.shape, np.nan)

    @property
    def size(self) -> int:
        """Elements that one row of a batch takes for it."""
        return max(1, self.colours.output, self.x.size)

    @property
    def steps(self) -> list[float]:
        """All steps of the extrapolation, from the longest, each to both ends."""
        return [end * self.step * 2.0 ** (-4 - 2 * level) for level in range(LEVELS) for end in self.ends]

    def take(self, part: Colours, slope: Array, doubt: Array) -> None:
        """Keep what was found for some colours."""
        for axis, c in enumerate(part):
            at = self.colours.element(int(c))
            self.value[at], self.error[at] = slope[axis], doubt[axis]

    def difference(self, exact: bool) -> Difference:
        """What was found."""
        return Difference(self.value, self.error, int(np.isfinite(self.value).sum()), self.x.size, exact)

    def slope(self, high: Outputs, low: Outputs, step: float) -> Array:
        """``Σ g·(f(x+h) − f(x−h)) / 2h`` over what is not parallel."""
        slope: Any = 0.0
        for o, g in self.weights.items():
            moved = high[o] - low[o]
            slope = slope + (g * moved if np.any(g != 1) else moved).sum(self.colours.summed[o]).transpose(
                self.colours.order[o]
            )
        return np.asarray(slope / ((self.ends[0] - self.ends[1]) * step))

    def rounding(self, high: Outputs, low: Outputs) -> Array:
        """``Σ |g|·`` the rounding in both ends: of the outputs, and of the way to them at the point itself."""
        noise: Any = 0.0
        for o, g in self.weights.items():
            sizes = np.abs(g) * (8 * EPS * (np.abs(high[o]) + np.abs(low[o])) + 4 * self.noise[o])
            noise = noise + sizes.sum(self.colours.summed[o]).transpose(self.colours.order[o])
        return np.asarray(noise)

    def extrapolated(self, moved: Sequence[Outputs]) -> tuple[Array, Array]:
        """Richardson's tableau over steps h, h/4, h/16, … of central differences; the entry with the least estimated error."""
        best: Any = None
        doubt: Any = None
        rows: list[list[Array]] = []
        rounding: Any = 0.0
        for level in range(LEVELS):
            step = self.step * 2.0 ** (-4 - 2 * level)
            high, low = moved[2 * level : 2 * level + 2]
            slope = self.slope(high, low, step)
            if not level:
                rounding = self.rounding(high, low)
            noise = rounding / ((self.ends[0] - self.ends[1]) * step)
            row = [slope]
            for k in range(level):
                factor = (4.0 if 0 in self.ends else 16.0) ** (k + 1)  # errors in h on one side, in h² in the middle
                row.append((factor * row[k] - rows[-1][k]) / (factor - 1))
            if level:
                for k in range(1, level + 1):
                    estimate = np.maximum(np.abs(row[k] - row[k - 1]), np.abs(row[k] - rows[-1][k - 1])) + 2 * noise
                    better = estimate < doubt
                    best, doubt = np.where(better, row[k], best), np.where(better, estimate, doubt)
            else:
                best, doubt = slope, np.full(slope.shape, np.inf)
            rows.append(row)
        return best, np.where(np.isfinite(doubt) & np.isfinite(best), doubt, np.inf)


class _Runner:
    """Evaluates a Program at moved inputs, many at once."""

    def __init__(self, program: Program, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        self.program, self.arrays, self.sizes = program, arrays, sizes
        self.batched: dict[tuple[tuple[str, ...], int], Program] = {}

    def quadratic(self, lines: Sequence[_Line]) -> None:
        """Central differences, exact in exact arithmetic, at a step that moves the output by about its own size."""
        (line,) = lines
        self._calibrate(line)
        for part in _parts(line.chosen, CHUNK // line.size):
            high, low = self._outputs(line, part, (line.step, -line.step))
            line.take(part, line.slope(high, low, line.step), line.rounding(high, low) / (2 * line.step))

    def _calibrate(self, line: _Line) -> None:
        for _ in range(2):
            high, low = self._outputs(line, line.chosen[:1], (line.step, -line.step))
            moved = max(float(np.abs(high[o] - low[o]).max()) for o in high)
            size = max(float((np.abs(high[o]) + np.abs(low[o])).max()) for o in high)
            if not moved or not math.isfinite(size) or moved > size / 64:
                return
            line.step *= 2.0 ** min(40, round(math.log2(size / moved)))  # an output that moves less yet is as good as constant

    def extrapolated(self, lines: Sequence[_Line]) -> None:
        """Differences at several steps, extrapolated."""
        if len(lines) == 1:
            (line,) = lines
            for part in _parts(line.chosen, CHUNK // line.size):
                line.take(part, *line.extrapolated(self._outputs(line, part, line.steps)))
            return
        batch: list[tuple[_Line, Colours]] = []
        for line in lines:
            for part in _parts(line.chosen, GROUPED // (2 * LEVELS * line.size)):
                if batch and _elements([*batch, (line, part)]) > GROUPED:
                    self._take(batch)
                    batch = []
                batch.append((line, part))
        self._take(batch)

    def _take(self, batch: Sequence[tuple[_Line, Colours]]) -> None:
        found = self._moved([(line, part, line.steps) for line, part in batch])
        for (line, part), moved in zip(batch, found):
            line.take(part, *line.extrapolated(moved))

    def _outputs(self, line: _Line, part: Colours, steps: Sequence[float]) -> list[Outputs]:
        """For each step every output element for each colour of ``part``, with its elements moved by the step."""
        together = max(1, SMALL // (line.size * len(part)))
        found: list[Outputs] = []
        for start in range(0, len(steps), together):
            found += self._moved([(line, part, steps[start : start + together])])[0]
        return found

    def _moved(self, batch: Sequence[tuple[_Line, Colours, Sequence[float]]]) -> list[list[Outputs]]:
        """One evaluation: for each input of the batch, for each of its steps, its outputs for each of its colours."""
        n = sum(len(part) * len(steps) for _, part, steps in batch)
        names = tuple(dict.fromkeys(line.name for line, _, _ in batch))
        if (names, n) not in self.batched:
            self.batched[names, n] = batched(self.program, names, Index("colour", n))
        moved: dict[str, Array] = {}
        row = 0
        for line, part, steps in batch:
            if line.name not in moved:
                moved[line.name] = np.broadcast_to(line.x, (n, *line.x.shape)).copy()
            for step, c in product(steps, part):
                moved[line.name][(row, *line.colours.element(int(c)))] += step
                row += 1
        p = self.batched[names, n]
        given = {a.name: moved[a.name] if a.name in moved else self.arrays[a.name] for a in p.arguments}
        values = evaluate(p, given, self.sizes, Live())  # torch's products: as many threads as torch may use
        found, row = [], 0
        for line, part, steps in batch:
            one = len(part)
            rows = range(row, row + one * len(steps), one)
            found.append([{o: values[o][k : k + one].numpy() for o in line.weights} for k in rows])
            row += one * len(steps)
        return found


def _parts(chosen: Colours, size: int) -> Iterator[Colours]:
    size = max(1, size)
    for start in range(0, len(chosen), size):
        yield chosen[start : start + size]


def _elements(batch: Sequence[tuple[_Line, Colours]]) -> int:
    """The elements of what is moved, or of the outputs, in all rows of a batch."""
    rows = sum(2 * LEVELS * len(part) for _, part in batch)
    lines = {line.name: line for line, _ in batch}.values()
    return rows * max(max(line.colours.output for line in lines), sum(line.x.size for line in lines))
