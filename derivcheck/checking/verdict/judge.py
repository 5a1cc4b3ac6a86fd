"""One run of the backward under test against what is derived, at one set of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from derivcheck.checking.backward.found import BackwardRun, Run, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict import verdict
from derivcheck.checking.verdict.decided_steps import by_differences
from derivcheck.checking.verdict.derived import Derived, Trial


class Circumstances(NamedTuple):
    """How a run differs from a plain one: the probe, for its rows; ``before`` and ``leaves`` as
    :func:`~derivcheck.checking.backward.found.find` takes them."""

    where: str = ""
    before: tuple[Tensors, Upstream] | None = None
    leaves: bool = False


AS_IT_IS = Circumstances()


def judge(
    s: Subject,
    run: Run,
    tensors: Tensors,
    upstream: Upstream,
    right: Derived,
    under: Circumstances = AS_IT_IS,
) -> tuple[list[Row], BackwardRun]:
    """A row per gradient that was asked for or returned, and what was returned, in its expected shapes.

    Args:
        run: the backward under test.
        right: the derived gradient at these tensors.
    """
    where, before, leaves = under
    found = find(s, run, tensors, upstream, before, leaves)
    if found.raised:
        return [verdict.raised(s.wrt[0] if s.wrt else s.name, found.raised, where)], found
    steps = _steps(s, found)
    rows = [_step(s, name, found.gradients, right, tensors, where) for name in steps]
    rows += [_row(s, name, found.gradients, right, tensors, where) for name in s.wrt]
    found = replace(found, gradients={n: _usable(s, n, g, right) for n, g in found.gradients.items()})
    if s.rounding is not None and any(r.verdict == "wrong" for r in rows):
        rows = s.rounding.reconsider(Trial(s, run, tensors, upstream, right, found.gradients), rows)
    if any(r.verdict in ("wrong", "vacuous") for r in rows):
        rows = by_differences(Trial(s, run, tensors, upstream, right, found.gradients), rows)
    rows += [verdict.misfit(name, note, where) for name, note in found.complaints.items()]
    rows += [verdict.extra(n, what, s.wrt, where) for n, what in _unasked(s, found, {*s.wrt, *steps}, tensors).items()]
    return verdict.changed(rows, found.changed, where), found


def _steps(s: Subject, found: BackwardRun) -> list[str]:
    """The names of returned gradients that are not those of what the gradient is taken in, in the adjoint's order."""
    order = {d.name: k for k, d in enumerate(s.derivation.adjoint.definitions)}
    bars = {n: s.derivation.gradient_named(n) for n in found.gradients if n not in s.wrt}
    return sorted((n for n, bar in bars.items() if bar is not None), key=lambda n: order.get(bars[n] or "", -1))


def _step(s: Subject, name: str, given: Mapping[str, Any], right: Derived, tensors: Tensors, where: str) -> Row:
    """The row of an intermediate; of a variable that is assigned more than once, any of its values may be meant."""
    row = _row(s, name, given, right, tensors, where)
    for other in s.derivation.assigned_again(name) if row.faulty else ():
        if other in given or s.derivation.gradient_named(other) is None:
            continue
        again = _row(s, other, {other: given[name]}, right, tensors, where)
        if not again.faulty:
            return replace(again, name=name, note=f"taken as {other}, which {name} is where it is assigned again")
    return row


def _row(s: Subject, name: str, given: Mapping[str, Any], right: Derived, tensors: Tensors, where: str) -> Row:
    bar = s.derivation.gradient_named(name)
    assert bar is not None
    wanted = tensors[name].dtype if name in tensors else right.dtype
    return verdict.of_gradient(name, bar, given, right, wanted, where)


def _usable(s: Subject, name: str, g: Any, right: Derived) -> torch.Tensor | None:
    """A returned gradient, a single element in the shape that it is taken as; None where it is no tensor."""
    bar = s.derivation.gradient_named(name)
    if not isinstance(g, torch.Tensor) or bar is None:
        return g if bar is None else None
    expected = right.value(bar)
    return g.reshape(expected.shape) if g.numel() == expected.numel() == 1 else g


def _unasked(s: Subject, found: BackwardRun, known: set[str], tensors: Tensors) -> dict[str, str]:
    """The returned gradients that nobody asked for, each with what it is of.

    That of an input that the caller is not interested in, or that torch leaves out, is none.
    """
    asked = {n for n, t in tensors.items() if t.is_floating_point() or s.function is not None}
    names = [n for n, g in found.gradients.items() if n not in known and n not in asked and g is not None]
    names = [n for n in names if s.derivation.gradient_named(n) is None]
    return {n: "an integer input" if n in tensors else "not asked for" for n in names}
