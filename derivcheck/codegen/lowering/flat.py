"""Places in several dimensions as one: ``(t // W, t mod W)`` is place t of the two dimensions in row-major order."""

from __future__ import annotations

from collections.abc import Sequence

from derivcheck.codegen.lowering.frame import Frame
from derivcheck.codegen.lowering.positions import trusted
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Poly, as_poly


def flat_place(low: Frame, positions: Sequence[Poly], dims: Sequence[Poly]) -> Poly | None:
    """The positions as one in the dimensions joined: an entry that is sure to be inside, as what torch's own call returns."""
    flat = as_poly(0)
    for p, d in zip(positions, dims):
        flat = flat * d + p
    if isinstance(flat.atom, Entry) and trusted(low, flat, numel(dims)):
        return flat
    for place in low.places:
        for atom in flat.atoms():
            if isinstance(atom, Entry) and atom.name == place.name and len(atom.at) == len(place.indices):
                if place.of.substitute(dict(zip(place.indices, atom.at))) is flat:
                    return as_poly(Entry(place.held, atom.at))
    return None


def joined(low: Frame, positions: Sequence[Poly], dims: Sequence[Poly]) -> tuple[int, int, Poly] | None:
    """``(first, end, place)`` of neighbouring positions that are one place."""
    for first in range(len(positions) - 1):
        for end in range(len(positions), first + 1, -1):
            if all(p.names for p in positions[first:end]):
                found = flat_place(low, positions[first:end], dims[first:end])
                if found is not None:
                    return first, end, found
    return None
