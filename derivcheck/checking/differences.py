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
* What no gradient flows through (``detach``, witnesses) is frozen at its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.checking.bound import Bound
from derivcheck.checking.live import Live
from derivcheck.checking.structure import Colouring, batched, colouring, cost, degree, dependents, frozen, unreduced
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate

Array = npt.NDArray[np.float64]
Colours = npt.NDArray[np.int64]
EPS = 2.0**-52
BUDGET = 3e7  # multiplications that the differences of one input may cost
CHUNK = 1 << 21  # elements of the batched output at a time
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


def difference(
    program: Program,
    inputs: Mapping[str, Any],
    upstream: Mapping[str, Any],
    name: str,
    base: Mapping[str, Array],
    sizes: Mapping[str, int],
    seed: int = 0,
    budget: float = BUDGET,
    stretch: float = 1.0,
    side: int = 0,
) -> Difference:
    """The gradient in ``name`` of ``Σ upstream · output``.

    Args:
        program: the forward.
        inputs: float64 arrays by name.
        upstream: per float output, in the program's order, its upstream gradient.
        base: every definition's value at ``inputs``.
        stretch: scales the steps, for a second opinion.
        budget: how much work the differences may be; beyond it, colours are sampled.
        side: 0 for central differences; 1 or -1 for the slope above or below the point alone.
    """
    open_program, weights = unreduced(program, upstream, name, sizes)
    x = np.asarray(inputs[name], dtype=np.float64)
    if not weights:  # no output depends on it
        return Difference(np.zeros(x.shape), np.zeros(x.shape), x.size, x.size, True)
    colours = colouring(open_program, name, x.shape, sizes)
    exact = not side and degree(open_program, name) <= 2
    count = colours.count
    work = cost(open_program, sizes) * (2 if exact else 2 * LEVELS)
    most = max(1, min(count, int(budget / max(work, 1.0))))
    generator = np.random.default_rng(seed)
    chosen = np.arange(count) if most == count else np.sort(generator.choice(count, most, replace=False))
    value, error = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    room = CHUNK / max(1, colours.output, x.size)
    size = max(1, int(room))
    known = {**inputs, **base}
    open_program, equalities = frozen(open_program, name)
    moving = {d.name for d in dependents(open_program, name)}
    weights = {o: g for o, g in weights.items() if o in moving}
    if not weights:  # it is compared by == alone
        return Difference(np.zeros(x.shape), np.zeros(x.shape), x.size, x.size, True)
    if equalities.definitions:  # which elements are equal is a fact of the point itself
        known.update(evaluate(equalities, {a.name: known[a.name] for a in equalities.arguments}, sizes))
    pairs = evaluate(open_program, {a.name: known[a.name] for a in open_program.arguments}, sizes, Bound())
    noise = {o: 0.0 if pairs[o].error is None else pairs[o].error.numpy() for o in weights}
    run = _Runner(open_program, name, known, sizes, weights, colours, x, noise, room, stretch, side)
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        found, doubt = run.quadratic(part) if exact else run.extrapolated(part)
        for axis, c in enumerate(part):
            at = colours.element(int(c))
            value[at], error[at] = found[axis], doubt[axis]
    return Difference(value, error, int(np.isfinite(value).sum()), x.size, exact)


class _Runner:
    def __init__(
        self,
        program: Program,
        name: str,
        arrays: Mapping[str, Any],
        sizes: Mapping[str, int],
        weights: Mapping[str, Array],
        colours: Colouring,
        x: Array,
        noise: Mapping[str, Any],
        room: float,
        stretch: float = 1.0,
        side: int = 0,
    ) -> None:
        self.noise, self.room = noise, room
        self.ends = (1, -1) if not side else (1, 0) if side > 0 else (0, -1)
        self.program, self.name, self.sizes, self.weights, self.colours, self.x = program, name, sizes, weights, colours, x
        self.arrays = dict(arrays)
        self.batched: dict[int, Program] = {}
        self.calibrated = False
        # the spread of the data rather than its size: a function of x + 1000 varies as one of x does
        spread = float(x.std()) if x.size > 1 else 0.0
        scale = (min(4 * spread, float(np.abs(x).max())) or float(np.abs(x).max() if x.size else 1.0)) * stretch
        self.step = 2.0 ** round(math.log2(scale)) if scale > 0 else 1.0

    def outputs(self, part: Colours, steps: Sequence[float]) -> list[dict[str, Array]]:
        """For each step every output element for each colour of ``part``, with its elements moved by the step."""
        together = max(1, int(self.room * SMALL / CHUNK / len(part)))
        found: list[dict[str, Array]] = []
        for start in range(0, len(steps), together):
            found += self._moved(part, steps[start : start + together])
        return found

    def _moved(self, part: Colours, steps: Sequence[float]) -> list[dict[str, Array]]:
        n = len(part) * len(steps)
        if n not in self.batched:
            self.batched[n] = batched(self.program, self.name, Index("colour", n))
        moved = np.broadcast_to(self.x, (n, *self.x.shape)).copy()
        for k, (step, c) in enumerate(product(steps, part)):
            moved[(k, *self.colours.element(int(c)))] += step
        p = self.batched[n]
        given = {a.name: moved if a.name == self.name else self.arrays[a.name] for a in p.arguments}
        values = evaluate(p, given, self.sizes, Live())  # torch's products: as many threads as torch may use
        one = len(part)
        return [{o: values[o].numpy()[k * one : (k + 1) * one] for o in self.weights} for k in range(len(steps))]

    def _slope(self, high: dict[str, Array], low: dict[str, Array], step: float) -> Array:
        """``Σ g·(f(x+h) − f(x−h)) / 2h`` over what is not parallel."""
        slope: Any = 0.0
        for o, g in self.weights.items():
            moved = high[o] - low[o]
            slope = slope + (g * moved if np.any(g != 1) else moved).sum(self.colours.summed[o]).transpose(
                self.colours.order[o]
            )
        return np.asarray(slope / ((self.ends[0] - self.ends[1]) * step))

    def _noise(self, high: dict[str, Array], low: dict[str, Array]) -> Array:
        """``Σ |g|·`` the rounding in both ends: of the outputs, and of the way to them at the point itself."""
        noise: Any = 0.0
        for o, g in self.weights.items():
            sizes = np.abs(g) * (8 * EPS * (np.abs(high[o]) + np.abs(low[o])) + 4 * self.noise[o])
            noise = noise + sizes.sum(self.colours.summed[o]).transpose(self.colours.order[o])
        return np.asarray(noise)

    def quadratic(self, part: Colours) -> tuple[Array, Array]:
        """A central difference, exact in exact arithmetic, at a step that moves the output by about its own size."""
        if not self.calibrated:
            self._calibrate(part[:1])
        high, low = self.outputs(part, (self.step, -self.step))
        return self._slope(high, low, self.step), self._noise(high, low) / (2 * self.step)

    def _calibrate(self, one: Colours) -> None:
        self.calibrated = True
        for _ in range(2):
            high, low = self.outputs(one, (self.step, -self.step))
            moved = max(float(np.abs(high[o] - low[o]).max()) for o in high)
            size = max(float((np.abs(high[o]) + np.abs(low[o])).max()) for o in high)
            if not moved or not math.isfinite(size) or moved > size / 64:
                return
            self.step *= 2.0 ** min(40, round(math.log2(size / moved)))

    def extrapolated(self, part: Colours) -> tuple[Array, Array]:
        """Richardson's tableau over steps h, h/4, h/16, … of central differences; the entry with the least estimated error."""
        best: Any = None
        doubt: Any = None
        rows: list[list[Array]] = []
        rounding: Any = 0.0
        steps = [self.step * 2.0 ** (-4 - 2 * level) for level in range(LEVELS)]
        moved = self.outputs(part, [end * step for step in steps for end in self.ends])
        for level, step in enumerate(steps):
            high, low = moved[2 * level : 2 * level + 2]
            slope = self._slope(high, low, step)
            if not level:
                rounding = self._noise(high, low)
            noise = rounding / ((self.ends[0] - self.ends[1]) * step)
            row = [slope]
            for k in range(level):
                factor = (4.0 if 0 in self.ends else 16.0) ** (k + 1)
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
