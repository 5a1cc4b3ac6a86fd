"""Right by another way: a backward that is not wrong, but rounds more than the derived one.

Its own Program is bounded as the derived one is.  Within its own bound it is not wrong, unless exact arithmetic at the very
numbers shows another value: a fault may hide behind ``1e16·T − 1e16·T``.  How much it loses is measured against the bound of
the derived way, and against what rounding does to gradients of such numbers at all: ``1 − tanh(x)²`` keeps no digit of 1e-26,
and nobody misses it.  A hundred times that passes, up to a million times is right but ill-conditioned, more is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.cost import cost
from derivcheck.checking.arithmetic.live import array
from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT, unit
from derivcheck.checking.backward.claim import Claim, Claims
from derivcheck.checking.backward.found import Found, Run
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import CAP, Derived, bounds, derived, doubled
from derivcheck.checking.verdict.native import blame, forgive
from derivcheck.checking.verdict.shortcuts import in_full
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure
from derivcheck.proof.numbers.decimals import Digits

MOST = 1e6  # times what it has to lose: beyond that a backward is of no use, however right its formula is
FINER = 2.0**10  # how much more than the ratio of the units may be left of an error in float64
DIGITS = 50
LAST = 10.0 ** (10 - DIGITS)  # what the digits of exact arithmetic tell of the largest number
EXACTLY = 1e5  # steps of exact arithmetic that a decision may cost
SECONDS = 0.5  # of the processor that exact arithmetic may take of a check, the caller's own data first


class Rounding:
    """Judges rows again that are wrong by the bound of the derived way."""

    def __init__(self, s: Subject, backward: Any) -> None:
        self.claims = Claims(s, backward)
        self.left = SECONDS

    def reconsider(
        self, s: Subject, run: Run, rows: list[Row], found: Found, tensors: Tensors, upstream: Upstream, right: Derived
    ) -> None:
        """Change the verdict of each wrong row that the backward's own rounding explains."""
        if s.native:
            forgive(s, run, rows, found, tensors, upstream, right)
        self._by_rounding(s, run, rows, found, tensors, upstream, right)
        if not s.native and any(r.verdict == "wrong" for r in rows):
            self._in_full(s, run, rows, found, tensors, upstream, right)
        if s.native:
            blame(rows)

    def finer(
        self, s: Subject, run: Run, row: Row, found: Found, tensors: Tensors, upstream: Upstream, right: Derived
    ) -> torch.Tensor | None:
        """The gradient in float64, where what it has lost in the given type is within the rounding of the way it is written."""
        g = found.gradients.get(row.name)
        double = _in_double(s, run, tensors, upstream).get(row.name) if right.dtype is not torch.float64 else None
        claim = self.claims.at(s, run, tensors, upstream)
        given = None if claim is None else claim.given({**tensors, **upstream})
        if g is None or double is None or claim is None or given is None:
            return None
        try:
            pairs = evaluate(claim.program, bounds(s, given, right.dtype), None, Bound(right.dtype))
            mine = pairs[claim.outputs[row.name]].error
        except (DerivcheckError, RuntimeError, ValueError, TypeError, KeyError):
            return None
        rounded = compare(g, double, right.tolerance(row.bar) + (0.0 if mine is None else mine))
        return double if rounded.holds else None

    def _in_full(
        self, s: Subject, run: Run, rows: list[Row], found: Found, tensors: Tensors, upstream: Upstream, right: Derived
    ) -> None:
        """Hold it against the gradient of functions that torch shortens, in full."""
        t = in_full(s)
        if t is None:
            return
        full = derived(t, tensors, upstream, right.dtype)
        for row in rows:
            g = found.gradients.get(row.name)
            if row.verdict == "wrong" and row.bar in full.pairs and g is not None:
                if compare(g, full.value(row.bar), full.tolerance(row.bar)).holds:
                    row.verdict, row.wrong, row.note = "passed", 0, "of softplus itself, which torch takes as linear beyond 20"
        self._by_rounding(t, run, rows, found, tensors, upstream, full)

    def _by_rounding(
        self, s: Subject, run: Run, rows: list[Row], found: Found, tensors: Tensors, upstream: Upstream, right: Derived
    ) -> None:
        bars = dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
        with_times = {}
        for row in rows:
            g = found.gradients.get(row.name)
            if row.verdict == "wrong" and row.name in bars and g is not None:
                times = _times(
                    s, row.name, g, tensors, upstream, right, ours=bool(row.where) and right.dtype is not torch.float64
                )
                if times <= MOST:
                    with_times[row.name] = times
        if not with_times:
            return
        double = _in_double(s, run, tensors, upstream) if right.dtype is not torch.float64 else {}
        fine: Derived | None = None  # the same numbers in float64: what is right there to many digits only rounds here
        for row in rows:
            if row.name in with_times and row.name in double and row.verdict == "wrong":
                bar, g = bars[row.name], found.gradients[row.name]
                assert g is not None
                error = (g.detach().double().cpu() - right.value(bar)).abs()
                size = max(_largest(error) / unit(right.dtype), _usual(s, row.name, tensors, upstream, right))
                shrunk = size * FINER * FLOAT64_UNIT  # as rounding does in a finer type
                if fine is None:
                    fine = derived(s, doubled(tensors), doubled(upstream), torch.float64)
                if not compare(double[row.name], fine.value(bar), fine.tolerance(bar) + shrunk).holds:
                    row.note = "it is as wrong in float64, so this is no rounding"
                    del with_times[row.name]
        if with_times:
            self._by_its_own(s, run, rows, with_times, double, found, tensors, upstream, right)

    def _by_its_own(
        self,
        s: Subject,
        run: Run,
        rows: list[Row],
        times: Mapping[str, float],
        double: Mapping[str, torch.Tensor],
        found: Found,
        tensors: Tensors,
        upstream: Upstream,
        right: Derived,
    ) -> None:
        claim = self.claims.at(s, run, tensors, upstream)
        given = None if claim is None else claim.given({**tensors, **upstream})
        if claim is None or given is None:  # a loop over a long axis, say
            for row in rows:
                if row.name in times and row.name in double and row.verdict == "wrong":
                    row.verdict, row.wrong = "right but ill-conditioned", 0
                    row.note = f"in {str(right.dtype).removeprefix('torch.')} it loses digits; it is right in float64"
            return
        try:
            pairs = evaluate(claim.program, bounds(s, given, right.dtype), None, Bound(right.dtype))
        except (DerivcheckError, RuntimeError, ValueError, TypeError, KeyError):
            return
        exact: _Exact | None = None
        for row in rows:
            out, g = claim.outputs.get(row.name), found.gradients.get(row.name)
            if row.name not in times or out not in pairs or g is None or pairs[out].value.shape != g.shape:
                continue
            mine = pairs[out].error
            mine = None if mine is None else torch.where(torch.isnan(mine), torch.inf, mine)  # of a root of less than nothing
            error = (g.detach().double().cpu() - right.value(row.bar)).abs()
            bound = right.tolerance(row.bar)
            if mine is None:
                continue
            numbers = torch.isfinite(error)
            if row.where:  # at data that nobody gave its own way may lose everything
                numbers = numbers | torch.isinf(mine)
            if not bool((numbers & ~(error > mine + bound)).all()):  # NaN is no rounding
                continue
            if exact is None:
                start = time.process_time()
                exact = _Exact(s, claim, given, tensors, upstream, right, self.left > 0)
                self.left -= time.process_time() - start
            if not exact.agrees(row.name, row.bar, bound):
                row.note = "it hides behind its own rounding; exact arithmetic shows the difference"
                continue
            row.wrong = 0
            if times[row.name] <= CAP:
                row.verdict, row.note = "passed", "within the rounding of the way it is written, not of the derived one"
            else:
                row.verdict = "right but ill-conditioned"
                lost = f"{times[row.name]:.0f} times what it has to"
                row.note = f"the way it is written loses {lost}: subtract before multiplying"


def _times(
    s: Subject, name: str, g: torch.Tensor, tensors: Tensors, upstream: Upstream, right: Derived, ours: bool = False
) -> float:
    """The largest error beside what rounding does to the largest of the gradient's elements, or to any such numbers.

    The latter is ``u · max|g| · max|y| / max|x|``, of the size that a gradient of these numbers has where nothing saturates.
    """
    bar = s.derivation.gradient_named(name) or name
    error = (g.detach().double().cpu() - right.value(bar)).abs()
    bound = right.tolerance(bar)
    judged = torch.isfinite(bound) & torch.isfinite(right.value(bar))
    if ours:  # at data of ours a root of less than nothing is judged by its own bound, and by what float64 makes of it
        judged = judged & torch.isfinite(error)
    if not bool(judged.any()):
        return 0.0
    worst, least = (float(torch.where(judged, t, 0.0).max()) for t in (error, bound))
    if not np.isfinite(worst):
        return float("inf")
    if bool((error <= CAP * bound)[judged].all()):
        return CAP
    return worst / max(least, unit(right.dtype) * _usual(s, name, tensors, upstream, right), 5e-324)


def _usual(s: Subject, name: str, tensors: Tensors, upstream: Upstream, right: Derived) -> float:
    """What a gradient of such numbers is in size, here or at the caller's own data: a probe may pick what saturates."""
    here = _ratio(s, name, tensors, upstream, right.sizes)
    return here if tensors is s.tensors else max(here, _ratio(s, name, s.tensors, upstream, None))


def _ratio(s: Subject, name: str, tensors: Tensors, upstream: Upstream, sizes: Mapping[str, int] | None) -> float:
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


def _in_double(s: Subject, run: Run, tensors: Tensors, upstream: Upstream) -> dict[str, torch.Tensor]:
    """What the backward gives for the same numbers in float64; nothing where it does not run there."""
    try:
        found = run(doubled(tensors), doubled(upstream))
    except Exception:  # code of one type
        return {}
    return {n: g for n, g in found.items() if isinstance(g, torch.Tensor) and n in tensors and g.shape == tensors[n].shape}


class _Exact:
    """The backward's own Program and the derived one on the same numbers, without the rounding of either."""

    def __init__(
        self,
        s: Subject,
        claim: Claim,
        given: Mapping[str, torch.Tensor],
        tensors: Tensors,
        upstream: Upstream,
        right: Derived,
        affordable: bool,
    ) -> None:
        self.claim, self.right, self.wide = claim, right, right.dtype is not torch.float64
        self.scale = max((_largest(g) for g in upstream.values()), default=0.0)
        self.own: Mapping[str, Any] = {}
        self.derived: Mapping[str, Any] = {}
        adjoint = s.derivation.adjoint
        every = {**tensors, **upstream}
        if self.wide:
            self.own = evaluate(claim.program, given, None, Bound(torch.float64))
            self.sure = derived(s, doubled(tensors), doubled(upstream), torch.float64)
            return
        sizes = dict(right.sizes)
        if affordable and cost(adjoint, sizes) + _cost(claim.program, given) <= EXACTLY:
            numbers = Digits(DIGITS)
            try:
                self.own = evaluate(claim.program, given, None, numbers)
                mine = {a.name: every[a.name] for a in adjoint.arguments if a.name in every}
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
    return cost(program, measure(program, {n: tuple(t.shape) for n, t in given.items()}))
