"""Whether the user's own forward runs at some data, and is there what its Program says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.compare import compare
from derivcheck.checking.arithmetic.pairs import Pair
from derivcheck.checking.subject.outputs import flat
from derivcheck.checking.subject.subject import Subject, Tensors
from derivcheck.checking.verdict.derived import bounds, products_of
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of
from derivcheck.tracing.program.copies import same_layout

UNLIKE = 1e-6  # how far off, relative to the largest element, a forward's value has to be to be another function's

FOREIGN = 1e-2  # the same of what is under test beside what its reference means, in whatever type


@dataclass(frozen=True)
class Likeness:
    """What a forward is at some data.

    Attributes:
        alike: it runs and is its Program.
        unlike: the sizes, where it surely is another function.
        foreign: the sizes, where what is under test is another function than the reference that says what it means.
        refused: what it raised.
    """

    alike: bool
    unlike: str = ""
    foreign: str = ""
    refused: str = ""


def runs(s: Subject, tensors: Tensors) -> bool:
    """Whether the user's own forward takes this data and means the same as its Program there."""
    return likeness(s, tensors).alike


def likeness(s: Subject, tensors: Tensors, values: Callable[[], Mapping[str, Pair]] | None = None) -> Likeness:
    """Run the forward there (the one under test too, where a reference says what it means), and compare it with its Program.

    Args:
        values: gives what the Program's outputs are there; by default they are evaluated.
    """
    assert s.call is not None
    with torch.no_grad():
        try:
            own = outs = flat(s.call({n: same_layout(t) for n, t in tensors.items()}))
            if s.meaning is not None:
                outs = flat(s.meaning({n: same_layout(t) for n, t in tensors.items()}))
        except Exception as raised:  # its own affair: it was asked for another shape
            text = str(raised).strip().splitlines()
            return Likeness(False, refused=f"{type(raised).__name__}: {text[0] if text else ''}"[:160])
    if not all(_finite(o) for o in outs) and all(_finite(o) for o in _own_outputs(s)):
        return Likeness(False)  # beyond the forward's domain
    program = s.derivation.program
    sizes = sizes_of(program, tensors)
    if not program.admits(sizes):
        return Likeness(False)
    dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())
    numbers = Bound(dtype, products=products_of(s, tensors, dtype))
    given = {n: t for n, t in tensors.items() if n in program.inputs}
    found = values() if values is not None else evaluate(program, bounds(s, given, dtype), None, numbers)
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    here = ", ".join(f"{n} = {v}" for n, v in s.domain.called(sizes).items())
    for name, out in zip(floats, outs):
        pair = found.get(name) or numbers.given(tensors[name], name)
        if tuple(out.shape) != tuple(pair.value.shape):
            return Likeness(False, here)
        error = torch.zeros_like(pair.value) if pair.error is None else pair.error
        if not compare(out, pair.value, error + 2 * pair.value.abs() * numbers.unit).holds:
            known = bool(torch.isfinite(out).all() and torch.isfinite(pair.value).all()) and dtype is torch.float64
            far = known and bool(((out - pair.value).abs() > error + UNLIKE * pair.value.abs().max()).any())
            return Likeness(False, here if far else "")
    if s.meaning is not None and any(map(_another, own, outs)):
        return Likeness(False, foreign=here or "other data")
    return Likeness(True)


def _another(found: torch.Tensor, meant: torch.Tensor) -> bool:
    """Whether a value is no rounding of the other, as a whole."""
    if found.shape != meant.shape:
        return True
    off = (found.double() - meant.double()).abs()
    return bool(off.numel() and not off.max() <= FOREIGN * meant.abs().max())


def _finite(t: torch.Tensor) -> bool:
    return bool(torch.isfinite(t).all())


def _own_outputs(s: Subject) -> list[torch.Tensor]:
    """The forward's outputs at the caller's own data."""
    assert s.call is not None
    return flat((s.meaning or s.call)({n: same_layout(t) for n, t in s.tensors.items()}))
