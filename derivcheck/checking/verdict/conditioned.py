"""Right by another way: a backward that is not wrong, but rounds more than the derived one.

Its own Program is bounded as the derived one is.  Within its own bound it is not wrong, unless exact arithmetic at the very
numbers shows another value: a fault may hide behind ``1e16·T − 1e16·T``.  How much it loses is measured against the bound of
the derived way, and against what rounding does to gradients of such numbers at all: ``1 − tanh(x)²`` keeps no digit of 1e-26,
and nobody misses it.  A hundred times that passes, up to a million times is right but ill-conditioned, more is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.cost import cost
from derivcheck.checking.arithmetic.live import array
from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT, Pair, type_name, unit
from derivcheck.checking.backward.claim import ClaimedProgram, Claims
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import CAP, Derived, Trial, bounds, derived, doubled, products_of
from derivcheck.checking.verdict.native import blamed, forgiven
from derivcheck.checking.verdict.shortcuts import in_full
from derivcheck.checking.verdict.verdict import Opinion, reconsidered
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of
from derivcheck.proof.numbers.decimals import Digits

MOST = 1e6  # times what it has to lose: beyond that a backward is of no use, however right its formula is
FINER = 2.0**10  # how much more than the ratio of the units may be left of an error in float64
DIGITS = 50  # of exact arithmetic: three times those of float64
LAST = 10.0 ** (10 - DIGITS)  # what the digits of exact arithmetic tell of the largest number
EXACTLY = 1e5  # steps of exact arithmetic that a decision may cost
SECONDS = 0.5  # of the processor that exact arithmetic may take of a check, the caller's own data first


class Rounding:
    """Judges rows again that are wrong by the bound of the derived way."""

    def __init__(self, s: Subject, backward: Any) -> None:
        self.claims = Claims(s, backward)
        self.left = SECONDS

    def reconsider(self, t: Trial, rows: Sequence[Row]) -> list[Row]:
        """The rows, the wrong ones with what the backward's own rounding explains."""
        if t.s.native:
            rows = reconsidered(rows, forgiven(t, rows))
        rows = reconsidered(rows, self._by_rounding(t, rows))
        if t.s.native:
            return blamed(rows)
        full = in_full(t.s) if any(r.verdict == "wrong" for r in rows) else None
        if full is not None:  # against the gradient of functions that torch shortens, in full
            t = replace(t, s=full, right=derived(full, t.tensors, t.upstream, t.right.dtype))
            rows = reconsidered(rows, _of_the_function_itself(t, rows))
            rows = reconsidered(rows, self._by_rounding(t, rows))
        return rows

    def finer(self, t: Trial, row: Row) -> torch.Tensor | None:
        """The gradient in float64, where what it has lost in the given type is within the rounding of the way it is written."""
        g, right = t.gradients.get(row.name), t.right
        double = _in_double(t).get(row.name) if right.dtype is not torch.float64 else None
        own = None if g is None or double is None else self._own(t)
        mine = None if own is None else own.pairs.get(own.claim.outputs.get(row.name, ""))
        if g is None or double is None or mine is None:
            return None
        rounded = compare(g, double, right.tolerance(row.bar) + (0.0 if mine.error is None else mine.error))
        return double if rounded.holds else None

    def _own(self, t: Trial) -> _OwnProgram | None:
        """The backward's own Program at these data, with its rounding; None where that is not known."""
        claim = self.claims.at(t.s, t.run, t.tensors, t.upstream)
        given = None if claim is None else claim.given(t.every)
        if claim is None or given is None:
            return None
        numbers = Bound(t.right.dtype, products=products_of(t.s, t.tensors, t.right.dtype))
        try:
            return _OwnProgram(claim, given, evaluate(claim.program, bounds(t.s, given, t.right.dtype), None, numbers))
        except (DerivcheckError, RuntimeError, ValueError, TypeError, KeyError):
            return _OwnProgram(claim, given, {})

    def _by_rounding(self, t: Trial, rows: Sequence[Row]) -> dict[str, Opinion]:
        """What is right by the rounding of the way it is written, and what only seems so."""
        right, narrow = t.right, t.right.dtype is not torch.float64
        asked = [(r, t.gradients.get(r.name)) for r in rows if r.verdict == "wrong" and r.name in t.bars]
        wrong = [(r, g) for r, g in asked if g is not None]
        times = {r.name: _times(t, r.name, g, ours=bool(r.where) and narrow) for r, g in wrong}
        times = {n: x for n, x in times.items() if x <= MOST}
        if not times:
            return {}
        double = _in_double(t) if narrow else {}
        found: dict[str, Opinion] = {}
        fine: Derived | None = None  # the same numbers in float64: what is right there to many digits only rounds here
        for row, g in wrong:
            if row.name in times and row.name in double:
                bar = t.bars[row.name]
                error = (g.detach().double().cpu() - right.value(bar)).abs()
                size = max(_largest(error) / unit(right.dtype), _usual(t, row.name))
                shrunk = size * FINER * FLOAT64_UNIT  # as rounding does in a finer type
                if fine is None:
                    fine = derived(t.s, doubled(t.tensors), doubled(t.upstream), torch.float64)
                if not compare(double[row.name], fine.value(bar), fine.tolerance(bar) + shrunk).holds:
                    found[row.name] = Opinion("it is as wrong in float64, so this is no rounding", excuses=False)
        judged = [r for r, _ in wrong if r.name in times and r.name not in found]
        return found | (self._by_its_own(t, judged, times, double) if judged else {})

    def _by_its_own(
        self, t: Trial, rows: Sequence[Row], times: Mapping[str, float], double: Mapping[str, torch.Tensor]
    ) -> dict[str, Opinion]:
        """An opinion on each row whose error is no more than what the backward's own arithmetic rounds."""
        own, right = self._own(t), t.right
        if own is None:  # a loop over a long axis, say
            kind = type_name(right.dtype)
            said = Opinion(f"in {kind} it loses digits; it is right in float64", ill=True)
            return {r.name: said for r in rows if r.name in double}
        found: dict[str, Opinion] = {}
        exact: _Exact | None = None
        for row in rows:
            bound = right.tolerance(row.bar)
            if not own.explains(row, t.gradients[row.name], right.value(row.bar), bound):
                continue
            if exact is None:
                start = time.process_time()
                exact = _Exact(t, own, self.left > 0)
                self.left -= time.process_time() - start
            lost = f"{times[row.name]:.0f} times what it has to"
            if not exact.agrees(row.name, row.bar, bound):
                said = Opinion("it hides behind its own rounding; exact arithmetic shows the difference", excuses=False)
            elif times[row.name] <= CAP:
                said = Opinion("within the rounding of the way it is written, not of the derived one")
            else:
                said = Opinion(f"the way it is written loses {lost}: subtract before multiplying", ill=True)
            found[row.name] = said
        return found


@dataclass(frozen=True)
class _OwnProgram:
    """The backward's own Program at some data: its inputs, and its definitions with their rounding (none where it has none)."""

    claim: ClaimedProgram
    given: Mapping[str, torch.Tensor]
    pairs: Mapping[str, Pair]

    def explains(self, row: Row, g: torch.Tensor | None, value: torch.Tensor, bound: torch.Tensor) -> bool:
        """Whether its own rounding, beside that of the derived way, is as large as the error."""
        pair = self.pairs.get(self.claim.outputs.get(row.name, ""))
        if pair is None or pair.error is None or g is None or pair.value.shape != g.shape:
            return False
        mine = torch.where(torch.isnan(pair.error), torch.inf, pair.error)  # of a root of less than nothing
        error = (g.detach().double().cpu() - value).abs()
        numbers = torch.isfinite(error)
        if row.where:  # at data that nobody gave its own way may lose everything
            numbers = numbers | torch.isinf(mine)
        return bool((numbers & ~(error > mine + bound)).all())  # NaN is no rounding


def _of_the_function_itself(t: Trial, rows: Iterable[Row]) -> dict[str, Opinion]:
    """What is the gradient of the functions in full."""
    said = Opinion("of softplus itself, which torch takes as linear beyond 20")

    def holds(r: Row) -> bool:
        g = t.gradients.get(r.name)
        inside = g is not None and r.bar in t.right.pairs
        return inside and compare(g, t.right.value(r.bar), t.right.tolerance(r.bar)).holds  # type: ignore[arg-type]

    return {r.name: said for r in rows if r.verdict == "wrong" and holds(r)}


def _times(t: Trial, name: str, g: torch.Tensor, ours: bool = False) -> float:
    """The largest error beside what rounding does to the largest of the gradient's elements, or to any such numbers.

    The latter is ``u · max|g| · max|y| / max|x|``, of the size that a gradient of these numbers has where nothing saturates.
    """
    bar, right = t.s.derivation.gradient_named(name) or name, t.right
    error = (g.detach().double().cpu() - right.value(bar)).abs()
    bound = right.tolerance(bar)
    judged = torch.isfinite(bound) & torch.isfinite(right.value(bar))
    if ours:  # at data of ours a root of less than nothing is judged by its own bound, and by what float64 makes of it
        judged = judged & torch.isfinite(error)
    if not bool(judged.any()):
        return 0.0
    worst, least = (float(torch.where(judged, of, 0.0).max()) for of in (error, bound))
    if not np.isfinite(worst):
        return float("inf")
    if bool((error <= CAP * bound)[judged].all()):
        return CAP
    return worst / max(least, unit(right.dtype) * _usual(t, name), 5e-324)


def _usual(t: Trial, name: str) -> float:
    """What a gradient of such numbers is in size, here or at the caller's own data: a probe may pick what saturates."""
    here = _ratio(t.s, name, t.tensors, t.upstream, t.right.sizes)
    return here if t.tensors is t.s.tensors else max(here, _ratio(t.s, name, t.s.tensors, t.upstream, None))


def _ratio(s: Subject, name: str, tensors: Tensors, upstream: Upstream, sizes: Mapping[str, int] | None) -> float:
    """The largest grad_output times output, per unit of the input: what a gradient of such numbers is in size."""
    program = s.derivation.program
    x = float(tensors[name].abs().max()) if name in tensors and tensors[name].numel() else 0.0
    if not x:
        return 0.0
    values = {n: t for n, t in tensors.items() if n in program.inputs}
    numbers = Bound(torch.float64)
    forward = evaluate(program, values, sizes, numbers)
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    outs = [forward[o] if o in forward else numbers.given(values[o], o) for o in floats]
    return sum(_largest(g) * _largest(o.value) for g, o in zip(upstream.values(), outs)) / x


def _largest(t: torch.Tensor) -> float:
    finite = torch.where(torch.isfinite(t), t, 0.0).abs().double()
    return float(finite.max()) if finite.numel() else 0.0


def _in_double(t: Trial) -> dict[str, torch.Tensor]:
    """What the backward gives for the same numbers in float64; nothing where it does not run there."""
    try:
        found = t.run(doubled(t.tensors), doubled(t.upstream))
    except Exception:  # code of one type
        return {}
    fits = {n: g for n, g in found.items() if isinstance(g, torch.Tensor) and n in t.tensors}
    return {n: g for n, g in fits.items() if g.shape == t.tensors[n].shape}


class _Exact:
    """The backward's own Program and the derived one on the same numbers, without the rounding of either."""

    def __init__(self, t: Trial, own: _OwnProgram, affordable: bool) -> None:
        """In a narrow type both in float64; in float64 both in many digits, if that is affordable."""
        self.claim, self.wide = own.claim, t.right.dtype is not torch.float64
        self.scale = max((_largest(g) for g in t.upstream.values()), default=0.0)
        self.own: Mapping[str, Any] = {}
        self.derived: Mapping[str, Any] = {}
        if self.wide:
            self.own = evaluate(self.claim.program, own.given, None, Bound(torch.float64))
            self.sure = derived(t.s, doubled(t.tensors), doubled(t.upstream), torch.float64)
            return
        adjoint, sizes = t.s.derivation.adjoint, dict(t.right.sizes)
        if affordable and cost(adjoint, sizes) + _cost(self.claim.program, own.given) <= EXACTLY:
            numbers = Digits(DIGITS)
            try:
                self.own = evaluate(self.claim.program, own.given, None, numbers)
                mine = {a.name: t.every[a.name] for a in adjoint.arguments if a.name in t.every}
                self.derived = evaluate(adjoint, mine, sizes, numbers)
            except (DerivcheckError, ArithmeticError, TypeError, AttributeError, ValueError, KeyError):
                self.own = {}

    def agrees(self, name: str, bar: str, bound: torch.Tensor) -> bool:
        """Whether they are the same function there: what cannot be told is taken to be."""
        out = self.claim.outputs[name]
        if out not in self.own:
            return True
        if self.wide:
            a, b = self.own[out], self.sure.pairs[bar]
            room = sum(torch.zeros_like(p.value) if p.error is None else p.error for p in (a, b))
            return bool(((a.value - b.value).abs() <= 2 * bound + room).all())
        a, b = self.own[out], self.derived[bar]
        known = [at for at in np.ndindex(*a.shape) if a[at] is not None and b[at] is not None]
        digits = max((abs(v[at]) for at in known for v in (a, b)), default=0) + self.scale
        room = array(bound)
        return not any(abs(a[at] - b[at]) > 2 * room[at] + digits * LAST for at in known)


def _cost(program: Program, given: Mapping[str, torch.Tensor]) -> float:
    return cost(program, sizes_of(program, given))
