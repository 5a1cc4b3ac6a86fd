"""The witnesses: other ways to the same gradient, which share no code with the derivation.

``autograd`` differentiates the user's own code (or, where its backward is what is under test, the
Program's forward); ``differences`` are finite differences of the Program; ``direction`` is one
difference of the user's own code along a random direction; ``SymPy`` expands the forward at a small
shape into one symbol per element and differentiates that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.live import Live, array
from derivcheck.checking.arithmetic.pairs import FLOAT64_UNIT
from derivcheck.checking.arithmetic.slopes import Foreseen, slope_along
from derivcheck.checking.backward.engine import functions
from derivcheck.checking.report.row import Row, Witness
from derivcheck.checking.subject.elsewhere import at_sizes
from derivcheck.checking.subject.flow import sees_through
from derivcheck.checking.subject.outputs import dense, flat
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.subject.wide import computing_in
from derivcheck.checking.verdict.derived import CAP, Derived, JudgedRun, derived
from derivcheck.checking.verdict.likeness import runs
from derivcheck.checking.verdict.native import DIGITS, at_kinks, share
from derivcheck.checking.verdict.verdict import of_value
from derivcheck.checking.witnesses.differences import BasePoint, Difference, difference, differences
from derivcheck.checking.witnesses.exact import exact, small_sizes
from derivcheck.checking.witnesses.structure import compared
from derivcheck.errors import DerivcheckError, InputError, UnsupportedOperation
from derivcheck.notation.values.evaluator import evaluate

FINER = (0.07, 2.0**-9, 2.0**-18, 2.0**-27)  # how much shorter the steps are of which a disagreement is asked again
JUDGED = 1e-3  # a difference whose own error is a larger part of the gradient's scale judges nothing


def testify(s: Subject, upstream: Upstream, right: Derived, seed: int, tested: bool) -> dict[str, tuple[Witness, ...]]:
    """What every witness says of each derived gradient."""
    tensors = {n: _double(t) for n, t in s.tensors.items()}
    ups = {n: _double(g) for n, g in upstream.items()}
    sure = right if right.dtype is torch.float64 else derived(s, tensors, ups, torch.float64)
    outputs = dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
    seen: dict[str, list[Witness]] = {n: [] for n in s.wrt}
    flowed = _autograd(s, tensors, ups, tested)
    for name, g in flowed.items():
        value, tolerance = sure.value(outputs[name]), sure.tolerance(outputs[name])
        c = compare(g, value, tolerance)
        if not c.holds:  # torch's kernels may round more than the derived way (logsumexp of large numbers)
            c = compare(g, value, CAP * tolerance)
        off = 0.0 if c.holds else share(g, sure, outputs[name])
        said = f"torch's own: {off:.1e} of the terms added off" if not c.holds and off <= DIGITS else ""
        if off > DIGITS and at_kinks(s, JudgedRun(tensors, ups, sure, flowed), outputs[name], g):
            said = "at a kink it takes another subgradient"
        seen[name].append(Witness("autograd", c.holds or bool(said), c.max_error, c.tolerance, said))
    arrays = {n: array(p.value) for n, p in sure.pairs.items()}
    base = {d.name: arrays.get(d.name) for d in s.derivation.program.definitions}
    if any(v is None for v in base.values()):
        base = evaluate(s.derivation.program, {n: array(t) for n, t in tensors.items()}, sure.sizes)
    inputs, flows = ({n: array(t) for n, t in given.items()} for given in (tensors, ups))
    point = BasePoint(s.derivation.program, inputs, flows, base, sure.sizes)
    try:
        with np.errstate(all="ignore"):
            moved = differences(point, s.wrt, seed)
    except UnsupportedOperation:  # of one of them: each is asked by itself
        moved = {}
    for name in s.wrt:
        seen[name].append(_difference(point, name, moved.get(name), sure, outputs[name], seed))
        shown = exact(s.derivation, name)
        if shown is not None:
            if shown.agrees is False and s.call is not None and not _takes(s, upstream, small_sizes(s.derivation.program)):
                shown = replace(shown, agrees=None, note=f"the forward does not take these sizes ({shown.note})")
            seen[name].append(shown)
    along = _direction(s, tensors, ups, sure, outputs, seed)
    return {n: (*said, *([along] if along is not None else [])) for n, said in seen.items()}


def _takes(s: Subject, upstream: Upstream, sizes: dict[str, int] | None) -> bool:
    """Whether the user's own forward runs at such sizes and means the same there."""
    try:
        return sizes is not None and runs(s, at_sizes(s, sizes, upstream, torch.Generator().manual_seed(0))[0])
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        return False


def value_row(s: Subject, right: Derived, dtype: torch.dtype) -> Row | None:
    """Whether the forward's value is what the Program means; a row where it is not, or where a reference says what it means."""
    assert s.call is not None
    first, second = (_run(s.call, s.tensors) for _ in range(2))
    for k, (a, b) in enumerate(zip(first, second)):
        if not torch.equal(a, b) and not torch.allclose(a.double(), b.double(), rtol=0, atol=0, equal_nan=True):
            raise InputError(
                f"{s.name} gives another value each time it runs (output {k}): fix its random numbers, or use eval mode"
            )
    program = s.derivation.program
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    row: Row | None = None
    for name, out in zip(floats, first):
        value, error, *_ = right.pairs[name]
        error = torch.zeros_like(value) if error is None else error
        called = "value" if len(floats) == 1 else f"value {name}"
        row = of_value(called, out, value, error, Bound(dtype).unit, reference=s.meaning is not None)
        if not row.passed:
            return row
    return row if s.meaning is not None else None


def _run(call: Callable[[Tensors], Any], tensors: Tensors) -> list[torch.Tensor]:
    with torch.no_grad():
        return flat(call({n: t.clone() for n, t in tensors.items()}))


def _double(t: torch.Tensor) -> torch.Tensor:
    return t.detach().double() if t.is_floating_point() else t.detach()


def _autograd(s: Subject, tensors: Tensors, upstream: Upstream, tested: bool) -> dict[str, torch.Tensor]:
    """Gradients by autograd in float64, of the meaning's code where that is not what is under test, else of the Program."""
    call = s.meaning or (None if tested and s.function is None and s.call is None else s.call)
    if call is not None:
        leaves = _leaves(s, tensors)
        try:
            outs = flat(call(dict(leaves)))
            ours = s.meaning is None and functions(outs)  # a backward in it is somebody's own
            if not ours and all(o.dtype is torch.float64 for o in outs):
                return _flow(s, leaves, outs, upstream)
        except Exception as error:  # code that runs in its own type only, or that torch itself cannot differentiate
            text = str(error).strip().splitlines()
            why = f"{type(error).__name__}: {text[0] if text else ''}"[:160]
            if "leaf Variable" not in why:  # it changes its inputs in place, which leaves do not let it
                s.met.remarks["autograd"] = f"torch's autograd of the code is no witness, for it raises {why}"
    leaves, program = _leaves(s, tensors), s.derivation.program
    values = evaluate(program, {n: t for n, t in leaves.items() if n in program.inputs}, None, Live())
    outs = [values[o] if o in values else leaves[o] for o in program.outputs if program.kind(o) == "float"]
    return _flow(s, leaves, outs, upstream)


def _leaves(s: Subject, tensors: Tensors) -> Tensors:
    return {n: t.clone().requires_grad_() if n in s.wrt else t for n, t in tensors.items()}


def _flow(s: Subject, leaves: Tensors, outs: list[torch.Tensor], upstream: Upstream) -> dict[str, torch.Tensor]:
    wanted = [(o, g.reshape(o.shape)) for o, g in zip(outs, upstream.values()) if o.requires_grad]
    if not wanted:
        return {n: torch.zeros_like(leaves[n]) for n in s.wrt}
    ends, ups = [o for o, _ in wanted], [g for _, g in wanted]
    with computing_in(torch.float64):
        grads = torch.autograd.grad(ends, [leaves[n] for n in s.wrt], ups, allow_unused=True)
    return {n: torch.zeros_like(leaves[n]) if g is None else dense(g) for n, g in zip(s.wrt, grads)}


def _difference(point: BasePoint, name: str, found: Difference | None, right: Derived, bar: str, seed: int) -> Witness:
    """The verdict of the differences: elements at kinks or too inexact are set aside, those that disagree are asked again,
    finer."""
    try:
        with np.errstate(all="ignore"):
            d = found or difference(point, name, seed)
    except UnsupportedOperation as refused:
        return Witness("differences", None, note=str(refused))
    expected = array(right.value(bar))
    scale = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    bound = array(right.tolerance(bar)) + 8 * d.error
    sampled = np.isfinite(d.value)
    judged = sampled & np.isfinite(bound) & ((d.error <= JUDGED * scale) | (scale == 0))
    aside = int(sampled.sum() - judged.sum())
    note = d.note + (f", {aside} at kinks set aside" if aside else "")
    if not judged.any():
        return Witness("differences", None, note=note)
    error = np.where(judged, np.abs(d.value - expected), 0.0)
    over = judged & (error > bound)
    if over.any():

        def again(**how: Any) -> Difference:
            with np.errstate(all="ignore"):
                return difference(point, name, seed, **how)

        over, error, torn = _finer(d, again, over, expected, array(right.tolerance(bar)))
        if over.any():
            aside_here = over & _sides_differ(again(side=-1), again(side=1))
            over, torn = over & ~aside_here, torn | aside_here
        judged, error = judged & ~torn, np.where(torn, 0.0, np.where(judged, error, 0.0))
        if torn.any():
            note += f", {int(torn.sum())} at kinks or not settled"
    if not judged.any():
        return Witness("differences", None, note=note)
    ratio = np.where(judged, error / np.maximum(bound, 5e-324), 0.0)
    at = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return Witness("differences", not bool(over.any()), float(error.max()), float(bound[at]), note)


def _finer(d: Difference, again: Callable[..., Difference], over: Any, expected: Any, tolerance: Any) -> tuple[Any, Any, Any]:
    """What is over at ever shorter steps: long ones may agree with each other and see nothing of what lies between.

    Returns:
        Which elements are over at every step, every element's error, and which no two steps agree on.
    """
    value, doubt = d.value, d.error
    torn = np.zeros(over.shape, dtype=bool)
    for stretch in FINER:
        if not over.any():
            break
        other = again(stretch=stretch)
        new = over & np.isfinite(other.value) & (np.abs(other.value - value) > 8 * (doubt + other.error) + tolerance)
        value, doubt = np.where(new, other.value, value), np.where(new, other.error, doubt)
        torn |= new
        over = over & (np.abs(value - expected) > tolerance + 8 * doubt)
    return over & ~torn, np.abs(value - expected), over & torn


def _sides_differ(below: Difference, above: Difference) -> Any:
    """Where the slopes to either side differ: a kink, where one may take its own subgradient at each of many that meet."""
    return np.abs(above.value - below.value) > 8 * (below.error + above.error)


_WITHIN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "is symmetric": lambda x: (x + x.mT) / 2,
    "is symmetric positive definite": lambda x: (x + x.mT) / 2,
    "is lower triangular": torch.tril,
    "is upper triangular": torch.triu,
}


def _direction(
    s: Subject, tensors: Tensors, upstream: Upstream, right: Derived, outputs: dict[str, str], seed: int
) -> Witness | None:
    """One difference of the user's own code along a random direction in all inputs at once."""
    call = s.meaning or s.call
    if call is None or sees_through(s):
        return None
    generator = torch.Generator().manual_seed(seed + 1)
    moved = [n for n in s.wrt if not compared(s.derivation.program, n)]
    if not moved:
        return None
    directions = {
        n: torch.randn(tensors[n].shape, generator=generator, dtype=torch.float64).to(tensors[n].device) for n in moved
    }
    for n in directions:
        for k in s.kinds.get(n, ()):  # where a kernel reads one triangle alone
            if k.name in _WITHIN and directions[n].shape[-1] == directions[n].shape[-2]:
                directions[n] = _WITHIN[k.name](directions[n])
    scale = max(float(tensors[n].abs().max()) for n in moved) or 1.0

    def at(h: float) -> list[torch.Tensor]:
        return _run(call, {n: t + h * directions[n] if n in directions else t for n, t in tensors.items()})

    program = s.derivation.program
    errors = (right.pairs[o].error for o in program.outputs if program.kind(o) == "float")
    lost = sum(float((g.cpu().abs() * e).sum()) for g, e in zip(upstream.values(), errors) if e is not None)
    lost = lost if math.isfinite(lost) else 0.0
    slope = partial(slope_along, at, list(upstream.values()), known=Foreseen(lost=lost))
    found = slope(scale, (1, -1))
    if found is None:
        return None
    best, doubt = found
    expected = sum(float((right.value(outputs[n]) * directions[n].cpu()).sum()) for n in moved)
    terms = sum(float((right.value(outputs[n]).abs() * directions[n].cpu().abs()).sum()) for n in moved)
    bound = sum(float((right.tolerance(outputs[n]) * directions[n].cpu().abs()).sum()) for n in moved)
    bound += 8 * doubt + 64 * FLOAT64_UNIT * terms
    if not math.isfinite(best) or not math.isfinite(bound) or doubt > JUDGED * terms:
        return Witness("direction", None, note="a kink lies within the steps, or larger numbers cancel on the way")
    if abs(best - expected) > bound:
        near = (slope(scale * stretch, (1, -1)) for stretch in FINER)
        if any(n is not None and abs(n[0] - best) > 8 * (n[1] + doubt) for n in near):
            return Witness("direction", None, note="shorter steps say something else: a kink, or data of many scales")
        below, above = slope(scale, (0, -1)), slope(scale, (1, 0))
        if below is not None and above is not None and abs(below[0] - above[0]) > 8 * (below[1] + above[1]):
            return Witness("direction", None, note="the point stands at a kink")
    return Witness("direction", abs(best - expected) <= bound, abs(best - expected), bound)
