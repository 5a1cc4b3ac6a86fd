"""The verdict of a gradient: every one is decided here, from what the steps of a check saw.

A step returns values: what a run gave, an opinion on what is beyond its bound, witnesses, the same gradient at other data.  A
function here takes such a value, with the row as it stands, and gives the row as it is from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from derivcheck.checking.arithmetic.compare import Comparison, compare
from derivcheck.checking.arithmetic.pairs import type_name
from derivcheck.checking.arithmetic.typical import Typical
from derivcheck.checking.report.row import NOT_REPRODUCED, Row, Witness
from derivcheck.checking.verdict.derived import Derived, JudgedRun

ASIDE = 0.1  # the largest share of elements that may be set aside (kinks) in a pass


@dataclass(frozen=True)
class Opinion:
    """What a step says of a gradient that is beyond its bound.

    Attributes:
        note: a sentence.
        excuses: it is not wrong.
        ill: it is right, but loses digits that it need not lose.
    """

    note: str
    excuses: bool = True
    ill: bool = False


# -- of one run ----------------------------------------------------------------------
def of_gradient(name: str, bar: str, given: Mapping[str, Any], right: Derived, wanted: torch.dtype, where: str) -> Row:
    """What was returned for one gradient against what is derived.

    Args:
        bar: what defines it in the adjoint.
        given: everything that was returned, by name.
        wanted: the type that it should have.
    """
    expected, tolerance = right.value(bar), right.tolerance(bar)
    shape, g = tuple(expected.shape), given.get(name)
    row = Row(name, where=where, count=expected.numel(), bar=bar)
    if g is None:
        if name in given and not bool((expected != 0).any()):
            return replace(row, note="no gradient was returned, and it is zero")
        return replace(row, verdict="missing", note=f"the backward returned no gradient for {name}; expected shape {shape}")
    if not isinstance(g, torch.Tensor):
        return replace(row, verdict="dtype", note=f"found a {type(g).__name__}, expected a tensor of shape {shape}")
    if tuple(g.shape) != shape:
        if not g.numel() == expected.numel() == 1:
            return replace(row, verdict="shape", note=f"found shape {tuple(g.shape)}, expected {shape}")
        row = replace(row, note=f"its shape {tuple(g.shape)} was taken as {shape}")
        g = g.reshape(shape)
    if g.dtype != wanted:
        return _of_type(row, g.dtype, wanted)
    loose, aside = _loose(expected, tolerance), None
    if loose:
        tolerance, aside = right.at_kinks(bar, g)
    row = _compared(row, compare(g, expected, tolerance), expected, tolerance)
    if row.verdict == "wrong":
        own = name in right.pairs and compare(g, right.value(name), right.tolerance(name)).holds
        return replace(row, note=f"this is the value of {name}, not its gradient") if own else row
    if right.typical is not None and right.allowance is None:
        row = _unusual(row, g, expected, tolerance, right.typical)
    return row if row.faulty else _unsure(row, expected, tolerance, right.scale(bar) if loose else None, aside)


def of_value(name: str, out: torch.Tensor, expected: torch.Tensor, error: torch.Tensor, last: float, reference: bool) -> Row:
    """An output of the forward against what its Program means.

    Args:
        error: the bound without the rounding of the result to its type, whose unit is ``last``.
        reference: a reference says what it means, and the trace is of that.
    """
    row = Row(name, count=out.numel())
    if out.shape != expected.shape:
        return replace(row, verdict="shape", note=f"found shape {tuple(out.shape)}, expected {tuple(expected.shape)}")
    row = _compared(row, compare(out, expected, error + expected.abs() * last), expected, error)
    if row.passed:
        return row
    if reference:
        return replace(row, note="the forward's value is not what the reference means")
    return replace(row, verdict=NOT_REPRODUCED, note="the trace does not reproduce the forward")


def raised(name: str, what: str, where: str) -> Row:
    """The backward raised."""
    return Row(name, "raised", where=where, note=what)


def misfit(name: str, what: str, where: str) -> Row:
    """An autograd.Function within returned a gradient that does not fit its input."""
    return Row(name, "shape", where=where, note=what)


def extra(name: str, what: str, asked: Iterable[str], where: str) -> Row:
    """A gradient was returned that nobody asked for."""
    said = f"the backward returned a gradient for {name!r}, which is {what}; expected {', '.join(asked)}"
    return Row(name, "extra", where=where, note=said)


def changed(rows: Sequence[Row], notes: Mapping[str, str], where: str) -> list[Row]:
    """The backward wrote into its inputs: their rows say so, or where they are faulty already, rows of their own."""
    first = {r.name: r for r in reversed(rows)}
    own = [n for n in notes if n not in first or first[n].faulty]
    said = {id(r): notes[n] for n, r in first.items() if n in notes and not r.faulty}
    here = [replace(r, verdict="changed input", note=said[id(r)]) if id(r) in said else r for r in rows]
    return here + [Row(n, "changed input", where=where, note=notes[n]) for n in own]


# -- of what else was seen ---------------------------------------------------------------
def reconsidered(rows: Iterable[Row], opinions: Mapping[str, Opinion]) -> list[Row]:
    """The wrong rows with what a step says of them."""
    return [_reconsidered(r, opinions[r.name]) if r.verdict == "wrong" and r.name in opinions else r for r in rows]


def _reconsidered(row: Row, o: Opinion) -> Row:
    if not o.excuses:
        return replace(row, note=o.note)
    return replace(row, verdict="right but ill-conditioned" if o.ill else "passed", wrong=0, note=o.note)


def narrowed(rows: Iterable[Row], returned: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> list[Row]:
    """Gradients that are right in float64 where casts are left out, and come back in a narrower type than their input."""

    def one(row: Row) -> Row:
        g, t = returned.get(row.name), tensors.get(row.name)
        narrow = not row.faulty and isinstance(g, torch.Tensor) and t is not None and g.dtype != t.dtype
        return _of_type(row, g.dtype, t.dtype) if narrow else row  # type: ignore[union-attr]

    return [one(r) for r in rows]


def witnessed(row: Row, witnesses: Sequence[Witness]) -> Row:
    """With what the witnesses say; where one contradicts the derived gradient, nothing may be said of the one under test."""
    against = [w.name for w in witnesses if w.agrees is False]
    row = replace(row, witnesses=tuple(witnesses))
    if not against or row.faulty and row.verdict != "wrong":
        return row
    return replace(row, verdict="undecided", note=f"the derived gradient and {', '.join(against)} disagree")


def as_a_whole(name: str, bar: str, wrong: bool, note: str, evidence: JudgedRun, seen: float) -> Row:
    """A gradient over several draws, the first of which is the evidence."""
    verdict, count = "wrong" if wrong else "passed", evidence.right.value(bar).numel()
    return Row(name, verdict, note=note, bar=bar, evidence=evidence, sensitivity=seen, count=count, wrong=count)


def settled(row: Row, note: str, seen: float) -> Row:
    """A gradient that holds by something else than the derived one, which would have seen an error of this size."""
    row = replace(row, verdict="passed", note=note, sensitivity=seen, max_error=0.0, tolerance=0.0)
    return replace(row, worst_index=None, found=None, expected=None, wrong=0, aside=0)


def shown_elsewhere(row: Row, new: Row, note: str) -> Row:
    """A gradient of which rounding hid too much, as other data show it."""
    return replace(new, witnesses=row.witnesses) if new.faulty else replace(row, verdict="passed", note=note)


def differentiated(row: Row, mark: str, evidence: JudgedRun) -> Row:
    """A faulty row of a gradient's own gradient: one that is missing was taken for a constant."""
    row = replace(row, name=row.name + mark, evidence=evidence)
    if row.verdict != "missing":
        return row
    note = "what the backward uses is a constant to autograd: save the inputs, not what was computed from them"
    return replace(row, verdict="wrong", wrong=row.count, note=note)


def not_offered(name: str, mark: str, note: str) -> Row:
    """A gradient's own gradient that was asked for, and that autograd does not give."""
    return Row(name + mark, "missing", note=note)


def not_reproduced(where: str) -> Row:
    """The forward is another function than its derivation."""
    said = f"the derivation does not reproduce the forward at {where}: a fault of derivcheck, please report it"
    return Row("forward", NOT_REPRODUCED, note=said)


def noted(row: Row, note: str) -> Row:
    """One more sentence."""
    return replace(row, note=f"{row.note}; {note}" if row.note else note)


# -- parts --------------------------------------------------------------------------------
def _compared(row: Row, c: Comparison, expected: torch.Tensor, tolerance: torch.Tensor) -> Row:
    """The row with a comparison's numbers, and the smallest error, relative to the gradient, that it would have seen."""
    sensitivity = 0.0
    if c.count:
        norm = float(torch.linalg.vector_norm(expected))
        largest = float(torch.where(torch.isfinite(tolerance), tolerance, 0.0).max())
        sensitivity = largest / norm if norm > 0 else largest
    return replace(
        row,
        verdict="passed" if c.holds else "wrong",
        max_error=c.max_error,
        tolerance=c.tolerance,
        worst_index=c.worst,
        found=c.found,
        expected=c.expected,
        wrong=c.wrong,
        count=c.count,
        aside=c.open,
        sensitivity=sensitivity,
    )


def _of_type(row: Row, found: torch.dtype, expected: torch.dtype) -> Row:
    said = [type_name(t) for t in (found, expected)]
    return replace(row, verdict="dtype", note=f"found {said[0]}, expected {said[1]}")


def _loose(expected: torch.Tensor, tolerance: torch.Tensor) -> bool:
    """Whether the bound is not small beside the gradient, so that it has to be compared with its scale."""
    return bool(expected.numel()) and not bool((tolerance <= 1e-2 * expected.abs().max()).all())


def _unusual(row: Row, g: torch.Tensor, expected: torch.Tensor, tolerance: torch.Tensor, typical: Typical) -> Row:
    """Half precision: the error as a whole against what this arithmetic usually does."""
    error = float(torch.linalg.vector_norm(g.detach().double().cpu() - expected))
    # the bound is for the worst case: a hundredth of it is usual
    if error <= 1e-2 * float(torch.linalg.vector_norm(tolerance)):
        return row
    limit = typical.limit(row.bar, expected, tolerance)
    if limit is None or not error > limit:
        return row
    note = f"as a whole {error / limit:.1f} times what rounding in this type usually comes to"
    return replace(row, verdict="wrong", wrong=row.count, note=note)


def _unsure(
    row: Row, expected: torch.Tensor, tolerance: torch.Tensor, scale: torch.Tensor | None, aside: torch.Tensor | None
) -> Row:
    """``vacuous`` where the bound is larger than the numbers themselves, or too many elements are set aside."""
    blind = ~torch.isfinite(tolerance) | ~torch.isfinite(expected)
    if aside is not None:
        blind = blind | aside
    if scale is not None:
        blind = blind | (tolerance > scale) & (scale > 0) & (tolerance > 1e-300)
    row = replace(row, aside=int(blind.sum()))
    if row.count and row.aside > ASIDE * row.count:
        none = int((~torch.isfinite(expected)).sum())
        note = (
            f"the gradient is infinite or not a number in {none} of {row.count} elements: use data of another scale"
            if none > ASIDE * row.count
            else f"the rounding bound is larger than the gradient's own scale in {row.aside} of {row.count} elements: "
            "use data of another scale, or float64"
        )
        return replace(row, verdict="vacuous", note=note)
    return noted(row, f"{row.aside} of {row.count} elements at a kink were set aside") if row.aside else row
