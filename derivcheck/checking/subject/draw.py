"""Data of the same kind as given data, at other sizes: positive stays positive, a mask stays a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from derivcheck.checking.subject.kinds import Kind
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.nodes import Bracket, Ref
from derivcheck.notation.terms.walk import subterms


class Spread(NamedTuple):
    """The least and the greatest of some numbers, and their mean size."""

    low: float
    high: float
    spread: float


def range_of(sample: torch.Tensor) -> Spread:
    """The range of a tensor's numbers."""
    values = sample.detach().double()
    return Spread(float(values.min()), float(values.max()), float(values.abs().mean()))


class DataLike(NamedTuple):
    """What other data is to be like.

    Attributes:
        sample: what the user gave; its range, sign and type are kept.
        kinds: what else is kept of it.
        within: the sample's range, where it is known.
    """

    sample: torch.Tensor
    kinds: Sequence[Kind] = ()
    within: Spread | None = None


def another(
    program: Program, argument: Input, like: DataLike, sizes: Mapping[str, int], generator: torch.Generator
) -> torch.Tensor:
    """A tensor for this input at other sizes, of the sample's type and on its device."""
    sample = like.sample
    shape = tuple(p.at(sizes) for p in argument.dims)
    if argument.role == "constant" or not shape and argument.role == "buffer":
        return sample if tuple(sample.shape) == shape else sample.flatten()[:1].expand(shape).clone()
    if not sample.is_floating_point():
        return _integers(program, argument, sample, shape, sizes, generator)
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
    low, high, spread = like.within or range_of(sample)
    if low > 0:
        low, high = (low, high) if high > low else (low / 2, 2 * low)
        new = low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    else:
        new = drawn * (spread or 1.0)
    for kind in like.kinds if new.numel() else ():
        new = kind.fit(new)
    return new.to(sample.device, sample.dtype)


def _integers(
    program: Program,
    argument: Input,
    sample: torch.Tensor,
    shape: tuple[int, ...],
    sizes: Mapping[str, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Integers or booleans of the same kind: below the size that they index, with the same share of negative ones."""
    old = sample.flatten()
    if argument.kind == "bool" or sample.dtype is torch.bool:
        return (torch.rand(shape, generator=generator) < 0.5).to(sample.device, sample.dtype)
    below = limit(program, argument, sizes)
    if below is None:
        pick = torch.randint(len(old), shape, generator=generator)
        return old[pick.to(old.device)]
    drawn = torch.randint(max(1, below), shape, generator=generator).to(sample.device, sample.dtype)
    special = (old < 0).double().mean()  # an ignore_index below 0 keeps its share
    if float(special) > 0:
        drawn = torch.where((torch.rand(shape, generator=generator) < float(special)).to(drawn.device), old[old < 0][0], drawn)
    return drawn


def limit(program: Program, argument: Input, sizes: Mapping[str, int]) -> int | None:
    """The size that the entries of an integer input stay below: as it says, or that of a dimension where they are positions."""
    if argument.below is not None:
        return argument.below.at(sizes)
    found = []
    for d in program.definitions:
        for t in subterms(d.term):
            if isinstance(t, Ref):
                for axis, p in enumerate(t.at):
                    if isinstance(p.atom, Entry) and p.atom.name == argument.name:
                        found.append(program.dims(t.name)[axis].at(sizes))
            if isinstance(t, Bracket) and t.relation == "==" and isinstance(t.operand, Poly):
                entries = [a for a in t.operand.atoms() if isinstance(a, Entry) and a.name == argument.name]
                indices = [a for a in t.operand.atoms() if isinstance(a, Index)]
                if len(entries) == len(indices) == 1:
                    found.append(indices[0].size.at(sizes))
    return min(found, default=None)


def free_sizes(program: Program, fixed: frozenset[str]) -> tuple[str, ...]:
    """The sizes that a probe may change: those that no tensor of fixed shape has."""
    held = {n for a in program.arguments if a.name in fixed for p in a.dims for n in p.sizes()}
    return tuple(n for n in program.sizes() if n not in held)


def possible(program: Program, sizes: Mapping[str, int], least: int = 1) -> bool:
    """Whether every dimension is at least ``least`` at these sizes, and what the Program requires of them holds."""
    try:
        lengths = [p.at(sizes) for a in program.arguments for p in a.dims]
        lengths += [p.at(sizes) for d in program.definitions for p in d.dims if not p.names]
        admitted = program.admits(sizes)
    except (KeyError, ZeroDivisionError):
        return False
    return admitted and all(n >= least for n in lengths)


def fitting(program: Program, sizes: Mapping[str, int], free: Sequence[str], least: int = 1) -> dict[str, int] | None:
    """These sizes, or the nearest that the Program admits, with no others moved than the free ones; None where there are none.

    >>> from derivcheck.notation.program.requirements import Requirement
    >>> from derivcheck.notation.integers.polynomials import as_poly, size
    >>> even, tied = Requirement(size("T") % 2, "==", as_poly(0)), Requirement(size("S"), "==", size("T"))
    >>> fitting(Program((Input("x", (size("T"), size("S"))),), (), (), requires=(even, tied)), {"T": 7, "S": 3}, ["T", "S"])
    {'T': 6, 'S': 6}
    """
    found = dict(sizes)
    for _ in range(8):
        broken = next((r for r in program.requires if not _fulfilled(r, found)), None)
        if broken is None:
            return found if possible(program, found, least) else None
        moved = [
            (sum(not _fulfilled(r, new) for r in program.requires), abs(v - found[n]), new)
            for n in free
            if n in broken.left.sizes() | broken.right.sizes()
            for v in _near(broken, found, n)
            if v >= least and _fulfilled(broken, new := {**found, n: v})
        ]
        if not moved:
            return None
        found = min(moved, key=lambda m: m[:2])[2]
    return None


def _near(r: Requirement, sizes: Mapping[str, int], name: str) -> list[int]:
    """Values of a size that may fulfil a requirement: those around its own, and around the numbers in it."""
    around = [sizes[name], *(p.at(sizes) for p in (r.left, r.right)), *(c for p in (r.left, r.right) for _, c in p.terms)]
    return sorted({v + d for v in around for d in range(-16, 17)})  # far enough for an offset or a remainder, few enough to try


def _fulfilled(r: Requirement, sizes: Mapping[str, int]) -> bool:
    try:
        return r.holds(sizes)
    except (KeyError, ZeroDivisionError):
        return False
