"""One run of the backward under test against what is derived, at one set of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from derivcheck.checking.arithmetic.compare import Comparison, compare
from derivcheck.checking.arithmetic.typical import Typical
from derivcheck.checking.backward.found import Found, Run, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.verdict.derived import Derived

ASIDE = 0.1  # the largest share of elements that may be set aside (kinks) in a pass


def judge(
    s: Subject,
    run: Run,
    tensors: Tensors,
    upstream: Upstream,
    right: Derived,
    where: str = "",
    before: tuple[Tensors, Upstream] | None = None,
    leaves: bool = False,
) -> tuple[list[Row], Found]:
    """A row per gradient that was asked for or returned.

    Args:
        run: the backward under test.
        right: the derived gradient at these tensors.
        where: the probe, for the rows of this run.
        before, leaves: see :func:`~derivcheck.checking.backward.found.find`.
    """
    found = find(s, run, tensors, upstream, before, leaves)
    rows: list[Row] = []
    if found.raised:
        return [Row(s.wrt[0] if s.wrt else s.name, "raised", where=where, note=found.raised)], found
    steps = _steps(s, found)
    rows += [_step(s, name, found, right, tensors, where) for name in steps]
    rows += [_row(s, name, found, right, tensors, where) for name in s.wrt]
    if s.rounding is not None and any(r.verdict == "wrong" for r in rows):
        s.rounding.reconsider(s, run, rows, found, tensors, upstream, right)
    for name, note in s.complaints.items():
        rows.append(Row(name, "shape", where=where, note=note))
    s.complaints.clear()
    known = {*s.wrt, *steps}
    for name, g in found.gradients.items():
        if name not in known and g is not None and s.derivation.gradient_named(name) is None:
            what = "an integer input" if name in tensors and not tensors[name].is_floating_point() else "not asked for"
            if name in tensors and (tensors[name].is_floating_point() or s.function is not None):
                continue  # the gradient of an input that the caller is not interested in, or that torch leaves out
            rows.append(
                Row(
                    name,
                    "extra",
                    where=where,
                    note=f"the backward returned a gradient for {name!r}, which is {what}; expected {', '.join(s.wrt)}",
                )
            )
    for name, note in found.changed.items():
        row = next((r for r in rows if r.name == name), None)
        if row is None or row.faulty:
            rows.append(Row(name, "changed input", where=where, note=note))
        else:
            row.verdict, row.note = "changed input", note
    return rows, found


def _steps(s: Subject, found: Found) -> list[str]:
    """The names of returned gradients that are not those of what the gradient is taken in, in the adjoint's order."""
    order = {d.name: k for k, d in enumerate(s.derivation.adjoint.definitions)}
    bars = {n: s.derivation.gradient_named(n) for n in found.gradients if n not in s.wrt}
    return sorted((n for n, bar in bars.items() if bar is not None), key=lambda n: order.get(bars[n] or "", -1))


def _step(s: Subject, name: str, found: Found, right: Derived, tensors: Tensors, where: str) -> Row:
    """The row of an intermediate; of a variable that is assigned more than once, any of its values may be meant."""
    row = _row(s, name, found, right, tensors, where)
    for other in s.derivation.assigned_again(name) if row.faulty else ():
        if other in found.gradients or s.derivation.gradient_named(other) is None:
            continue
        again = _row(s, other, replace(found, gradients={other: found.gradients[name]}), right, tensors, where)
        if not again.faulty:
            return replace(again, name=name, note=f"taken as {other}, which {name} is where it is assigned again")
    return row


def _row(s: Subject, name: str, found: Found, right: Derived, tensors: Tensors, where: str) -> Row:
    adjoint = s.derivation.adjoint
    bar = s.derivation.gradient_named(name)
    assert bar is not None
    expected, tolerance = right.value(bar), right.tolerance(bar)
    g = found.gradients.get(name)
    row = Row(name, where=where, count=expected.numel(), bar=bar)
    if g is None:
        if name in found.gradients and not bool((expected != 0).any()):
            row.note = "no gradient was returned, and it is zero"
            return row
        row.verdict = "missing"
        row.note = f"the backward returned no gradient for {name}; expected shape {tuple(expected.shape)}"
        return row
    if not isinstance(g, torch.Tensor):
        found.gradients[name] = None
        row.verdict, row.note = "dtype", f"found a {type(g).__name__}, expected a tensor of shape {tuple(expected.shape)}"
        return row
    if tuple(g.shape) != tuple(expected.shape):
        if g.numel() == expected.numel() == 1:
            found.reshaped[name] = tuple(g.shape)
            row.note = f"its shape {tuple(g.shape)} was taken as {tuple(expected.shape)}"
            g = g.reshape(expected.shape)
            found.gradients[name] = g
        else:
            row.verdict, row.note = "shape", f"found shape {tuple(g.shape)}, expected {tuple(expected.shape)}"
            return row
    if _other_type(row, g, tensors[name].dtype if name in tensors else right.dtype):
        return row
    aside = None
    if _loose(expected, tolerance):
        tolerance, aside = right.at_kinks(bar, g)
    fill(row, compare(g, expected, tolerance), expected, tolerance)
    if row.verdict == "wrong" and name in right.pairs and compare(g, right.value(name), right.tolerance(name)).holds:
        row.note = f"this is the value of {name}, not its gradient"
    if row.verdict == "passed" and right.typical is not None and right.allowance is None:
        _unusual(row, bar, g, expected, tolerance, right.typical)
    if row.verdict == "passed":
        unsure(row, expected, tolerance, right.scale(bar, adjoint) if _loose(expected, tolerance) else None, aside)
    return row


def _other_type(row: Row, g: torch.Tensor, wanted: torch.dtype) -> bool:
    if g.dtype != wanted:
        row.verdict, row.note = "dtype", f"found {_type(g.dtype)}, expected {_type(wanted)}"
    return g.dtype != wanted


def narrower(rows: list[Row], returned: Mapping[str, torch.Tensor | None], tensors: Tensors) -> None:
    """Say which gradients come back in a narrower type than their input, though they are right in float64."""
    for row in rows:
        g = returned.get(row.name)
        if not row.faulty and isinstance(g, torch.Tensor) and row.name in tensors:
            _other_type(row, g, tensors[row.name].dtype)


def _unusual(row: Row, bar: str, g: torch.Tensor, expected: torch.Tensor, tolerance: torch.Tensor, typical: Typical) -> None:
    """Half precision: the error as a whole against what this arithmetic usually does."""
    error = float(torch.linalg.vector_norm(g.detach().double().cpu() - expected))
    if error <= 1e-2 * float(torch.linalg.vector_norm(tolerance)):
        return
    limit = typical.limit(bar, expected, tolerance)
    if limit is not None and error > limit:
        row.verdict, row.wrong = "wrong", row.count
        row.note = f"as a whole {error / limit:.1f} times what rounding in this type usually comes to"


def _loose(expected: torch.Tensor, tolerance: torch.Tensor) -> bool:
    """Whether the bound is not small beside the gradient, so that it has to be compared with its scale."""
    if not expected.numel():
        return False
    return not bool((tolerance <= 1e-2 * expected.abs().max()).all())


def fill(row: Row, c: Comparison, expected: torch.Tensor, tolerance: torch.Tensor) -> None:
    """Take a comparison into a row."""
    row.max_error, row.tolerance, row.worst_index = c.max_error, c.tolerance, c.worst
    row.found, row.expected, row.wrong, row.count, row.aside = c.found, c.expected, c.wrong, c.count, c.open
    if c.count:
        norm = float(torch.linalg.vector_norm(expected))
        largest = float(torch.where(torch.isfinite(tolerance), tolerance, 0.0).max())
        row.sensitivity = largest / norm if norm > 0 else largest
    if not c.holds:
        row.verdict = "wrong"


def unsure(
    row: Row,
    expected: torch.Tensor,
    tolerance: torch.Tensor,
    scale: torch.Tensor | None,
    aside: torch.Tensor | None = None,
) -> None:
    """``vacuous`` where the bound is larger than the numbers themselves, or too many elements are set aside."""
    blind = ~torch.isfinite(tolerance) | ~torch.isfinite(expected)
    if aside is not None:
        blind = blind | aside
    if scale is not None:
        blind = blind | (tolerance > scale) & (scale > 0) & (tolerance > 1e-300)
    row.aside = int(blind.sum())
    if row.count and row.aside > ASIDE * row.count:
        row.verdict = "vacuous"
        none = int((~torch.isfinite(expected)).sum())
        row.note = (
            f"the gradient is infinite or not a number in {none} of {row.count} elements: use data of another scale"
            if none > ASIDE * row.count
            else f"the rounding bound is larger than the gradient's own scale in {row.aside} of {row.count} elements: "
            "use data of another scale, or float64"
        )
    elif row.aside:
        row.note = (row.note + "; " if row.note else "") + f"{row.aside} of {row.count} elements at a kink were set aside"


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
