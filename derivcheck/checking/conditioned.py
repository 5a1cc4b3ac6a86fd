"""Right by another way: a backward that is not wrong, but rounds more than the derived one.

Its own Program is bounded like the derived one.  Within its own bound, and that at most a hundred times
the derived bound, it passes; beyond that it is right but ill-conditioned.  A backward that hides a fault
behind its own rounding (adds ``1e16·T − 1e16·T``) is found out by exact arithmetic at a small shape, and where
its error is as large when it computes in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from derivcheck.checking.bound import Bound, unit
from derivcheck.checking.compare import compare
from derivcheck.checking.exact import DIGITS, rationals, small_sizes
from derivcheck.checking.found import Found, Upstream, parse_backward, runner
from derivcheck.checking.judge import CAP, Derived, derived, doubled, judge
from derivcheck.checking.report import Row
from derivcheck.checking.situations import small
from derivcheck.checking.subject import Subject
from derivcheck.derive import derive
from derivcheck.errors import DerivcheckError
from derivcheck.notation.meaning import evaluate
from derivcheck.notation.program import Program
from derivcheck.notation.symbolic import Symbolic


def reconsider(s: Subject, backward: Any, rows: list[Row], upstream: Upstream, right: Derived, found: Found) -> None:
    """Judge the wrong rows again by the bound of the backward's own Program, where it has one."""
    wrong = [r for r in rows if r.verdict == "wrong" and r.name in s.wrt and not r.where]
    if not wrong or _plainly(s, backward, wrong, upstream, right):
        return
    try:
        own = _program(s, backward, upstream)
        if own is None:
            return
        program, outputs, held = own
        given = {a.name: {**s.tensors, **upstream, **held}[a.name] for a in program.arguments}
        numbers = Bound(right.dtype)
        pairs = evaluate(program, given, None, numbers)
    except (DerivcheckError, RuntimeError, ValueError, TypeError, KeyError):
        return
    bars = dict(zip(s.derivation.wrt, s.derivation.adjoint.outputs))
    same: Callable[[str], bool | None] | None = None
    for row in wrong:
        g = found.gradients.get(row.name)
        if row.name not in outputs or outputs[row.name] not in pairs or g is None:
            continue
        mine = pairs[outputs[row.name]]
        if mine.error is None or mine.value.shape != g.shape:
            continue
        error = (g.detach().double().cpu() - right.value(bars[row.name])).abs()
        bound = right.tolerance(bars[row.name])
        if not bool((error <= mine.error + bound).all() and torch.isfinite(error).all()):  # NaN is no rounding
            continue
        if same is None:
            same = _exactly(s, program, outputs)
            double = _in_double(s, backward, upstream) if right.dtype is not torch.float64 else {}
        agrees = same(row.name)
        if agrees is False:
            row.note = "it hides behind its own rounding; exact arithmetic shows the difference"
        elif double and not compare(double[row.name], right.value(bars[row.name]), bound).holds:
            row.note = "it is as wrong in float64, so this is no rounding"
        elif bool((error <= CAP * bound).all()):
            row.verdict, row.note = "passed", "within the rounding of the way it is written, not of the derived one"
        else:
            times = float((error / bound.clamp(min=5e-324)).max())
            row.verdict = "right but ill-conditioned"
            row.note = f"the way it is written loses {times:.0f} times what it has to: subtract before multiplying"


def _in_double(s: Subject, backward: Any, upstream: Upstream) -> dict[str, torch.Tensor]:
    """What the backward gives for the same numbers in float64; nothing where it does not run there."""
    try:
        found = runner(s, backward)(doubled(s.tensors), doubled(upstream))
    except Exception:  # code of one type
        return {}
    return {n: g for n, g in found.items() if isinstance(g, torch.Tensor)} if set(s.wrt) <= set(found) else {}


def _plainly(s: Subject, backward: Any, wrong: list[Row], upstream: Upstream, right: Derived) -> bool:
    """Whether each is wrong far beyond rounding on small ordinary data too: then it is not a matter of conditioning."""
    try:
        found = small(s, upstream, right.sizes, torch.Generator().manual_seed(3))
        if found is None:
            return False
        small_right = derived(s, *found, right.dtype)
        rows, _ = judge(s, runner(s, backward), *found, small_right)
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        return False
    size = {n: float(small_right.value(b).abs().max()) for n, b in zip(s.derivation.wrt, s.derivation.adjoint.outputs)}
    far = max(1e-4, 1e4 * unit(right.dtype))
    bad = {r.name for r in rows if r.verdict == "wrong" and r.max_error > far * size.get(r.name, 0.0)}
    return all(r.name in bad for r in wrong)


def _program(s: Subject, backward: Any, upstream: Upstream) -> tuple[Program, dict[str, str], Mapping[str, Any]] | None:
    """The backward as a Program, the output that is each input's gradient, and the tensors that it holds itself."""
    if isinstance(backward, (str, Program)):
        program = backward if isinstance(backward, Program) else parse_backward(s, backward)
        return program, {o.removesuffix("_bar"): o for o in program.outputs}, {}
    if not callable(backward) or len(upstream) != 1:
        return None
    import inspect

    accepts = [p.name for p in inspect.signature(backward).parameters.values() if p.kind is not p.VAR_KEYWORD]
    loose = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(backward).parameters.values())
    every = {**upstream, **s.tensors}
    given: dict[str, Any] = {n: t for n, t in every.items() if n in accepts or loose and n not in s.held}

    def gradients(**tensors: Any) -> tuple[Any, ...]:
        out = backward(**tensors, **{n: v for n, v in s.passed.items() if loose or n in accepts})
        return tuple(out[n] for n in s.wrt)

    gradients.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in given]
    )
    d = derive(gradients, **given)
    if len(d.program.outputs) != len(s.wrt):
        return None
    return d.program, dict(zip(s.wrt, d.program.outputs)), d.values


def _exactly(s: Subject, program: Program, outputs: dict[str, str]) -> Callable[[str], bool | None]:
    """Compare the backward's own Program with the derived gradient in forty digits at a small shape."""
    adjoint = s.derivation.adjoint
    try:
        sizes = small_sizes(adjoint)
        if sizes is None:
            return lambda name: None
        picks = rationals()
        values: dict[str, Any] = {}
        import sympy

        for a in adjoint.arguments:
            array = np.empty(tuple(p.at(sizes) for p in a.dims), dtype=object)
            for k, at in enumerate(np.ndindex(*array.shape)):
                n, d = next(picks)
                array[at] = sympy.Rational(n, d) if a.kind == "float" else sympy.Integer(k % 2)
            values[a.name] = array
        right = evaluate(adjoint, values, sizes, Symbolic(digits=DIGITS, seconds=2.0))
        own = {a.name: values[a.name] for a in program.arguments}
        mine = evaluate(program, own, sizes, Symbolic(digits=DIGITS, seconds=2.0))
    except (DerivcheckError, ArithmeticError, TypeError, AttributeError, ValueError, KeyError):
        return lambda name: None
    bars = dict(zip(s.derivation.wrt, adjoint.outputs))

    def same(name: str) -> bool | None:
        a, b = right[bars[name]], mine[outputs[name]]
        if a.shape != b.shape or any(v is None for v in (*a.ravel(), *b.ravel())):
            return None
        scale = max((abs(v) for v in a.ravel()), default=1) or 1
        return all(abs(u - v) <= scale * sympy.Float(10) ** (12 - DIGITS) for u, v in zip(a.ravel(), b.ravel()))

    return same
