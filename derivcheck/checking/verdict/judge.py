"""One run of the backward under test against what is derived, at one set of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import torch

from derivcheck.checking.arithmetic.bound import Bound, Pair, unit
from derivcheck.checking.arithmetic.compare import Comparison, compare
from derivcheck.checking.arithmetic.scale import scales
from derivcheck.checking.arithmetic.typical import Typical
from derivcheck.checking.backward.found import Found, Run, Upstream, find
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject, Tensors
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure

HALVES = (torch.bfloat16, torch.float16)
CAP = 100.0  # how much more than the derived way another way of computing may round
ASIDE = 0.1  # the largest share of elements that may be set aside (kinks) in a pass


@dataclass
class Derived:
    """The derived gradient at one set of tensors: every definition of the adjoint as a (value, error) pair."""

    pairs: Mapping[str, Pair]
    sizes: Mapping[str, int]
    dtype: torch.dtype
    open: int = 0
    allowance: float | None = None
    typical: Typical | None = None
    decided: Callable[[], Derived] | None = None
    _scales: dict[str, torch.Tensor] = field(default_factory=dict)

    def value(self, name: str) -> torch.Tensor:
        """A definition's value, float64."""
        return self.pairs[name].value

    def tolerance(self, name: str) -> torch.Tensor:
        """What rounding explains, elementwise, the rounding of the result to its type included."""
        v, e, *_ = self.pairs[name]
        last = v.abs() * unit(self.dtype)
        if self.allowance is not None and v.numel():
            last = last + self.allowance * float(v.abs().max())
        return last if e is None else e + last

    def at_kinks(self, name: str, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The tolerance, and where it is wide for a kink alone: brackets stay as they fell where that agrees.

        Where they need not fall as here (``open``) the tolerance of an element is the size of what they select; one that
        agrees with this side of the kinks has shown more.
        """
        tolerance = self.tolerance(name)
        if not self.open or self.decided is None:
            return tolerance, None
        narrow = self.decided().tolerance(name)
        agrees = (found.detach().to("cpu", torch.float64) - self.value(name)).abs() <= narrow
        return torch.where(agrees, torch.minimum(narrow, tolerance), tolerance), ~agrees & (tolerance > 2 * narrow)

    def kinks(self, names: Iterable[str]) -> int:
        """How many elements of these definitions depend on the side of a kink that rounding cannot tell."""
        if not self.open or self.decided is None:
            return 0
        narrow = self.decided()
        return sum(int((self.tolerance(n) > 2 * narrow.tolerance(n)).sum()) for n in names)

    def scale(self, name: str, program: Program) -> torch.Tensor:
        """``Σ|terms|`` of a definition, elementwise: the scale of the numbers that it adds up."""
        if name not in self._scales:
            given = name in program.inputs
            self._scales[name] = (
                self.value(name).abs() if given else scales(program.definition(name), program, self.pairs, self.sizes)
            )
        return self._scales[name]


@dataclass(frozen=True)
class Sample:
    """A run that showed something: its tensors, what was derived there and what was found.

    Attributes:
        subject: the subject as it was run, where it is not the caller's.
        before, leaves: see :func:`~derivcheck.checking.backward.found.find`.
    """

    tensors: Tensors
    upstream: Upstream
    right: Derived
    found: Mapping[str, torch.Tensor | None]
    subject: Subject | None = None
    before: tuple[Tensors, Upstream] | None = None
    leaves: bool = False

    @property
    def situated(self) -> bool:
        """Whether it was run in another way than a plain call."""
        return self.subject is not None or self.before is not None or self.leaves


def derived(
    s: Subject, tensors: Tensors, upstream: Upstream, dtype: torch.dtype, coarse: bool = False, decided: bool = False
) -> Derived:
    """Evaluate the adjoint with its rounding bound in ``dtype`` (the flags: see ``Bound``).

    The forward's outputs are evaluated with it: most of the way to them is the adjoint's own.
    """
    adjoint = s.derivation.adjoint
    given = {
        a.name: (upstream if a.name in upstream else tensors)[a.name]
        for a in adjoint.arguments
        if a.name in upstream or a.name in tensors
    }
    numbers = Bound(dtype, coarse, decided)
    sizes = measure(adjoint, {n: tuple(t.shape) for n, t in given.items()})
    bounded = bounds(s, given, dtype)
    pairs = evaluate(s.whole, bounded, sizes, numbers)
    for n, t in bounded.items():
        pairs.setdefault(n, numbers.given(t, n))
    usual = Typical(adjoint, given, dict(sizes), dtype) if dtype in HALVES else None
    again = cache(lambda: derived(s, tensors, upstream, dtype, coarse, decided=True)) if numbers.open else None
    return Derived(pairs, sizes, dtype, numbers.open, s.allowance, usual, again)


def bounds(s: Subject, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor | Pair]:
    """The tensors; a float64 one that the code holds with its rounding to the type: 0.1 is written into float32."""
    found: dict[str, torch.Tensor | Pair] = dict(tensors)
    for n in s.held & tensors.keys() if dtype is not torch.float64 else ():
        if tensors[n].dtype is torch.float64:
            v = tensors[n].detach().cpu()
            found[n] = Pair(v, v.abs() * unit(dtype))
    return found


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


def doubled(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same numbers in float64."""
    return {n: t.double() if t.is_floating_point() else t for n, t in tensors.items()}


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


def sensitivity(value: float) -> str:
    """A small number for people."""
    return "0" if value == 0 else f"1e{math.ceil(math.log10(value))}" if math.isfinite(value) else "inf"
