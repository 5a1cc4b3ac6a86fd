"""Lemmas in use: a definition of the claim that stands for an element of the derivation, dimensions of size 1 left out."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition


@dataclass(frozen=True)
class Bridge:
    """A definition of the claim that was proved equal to one of the derivation: its indices, and the element that it is."""

    indices: tuple[Index, ...]
    target: str
    at: tuple[Poly, ...]
    how: str


def long_indices(indices: tuple[Index, ...]) -> tuple[Index, ...]:
    """The indices without those of size 1, which ``keepdim`` adds."""
    return tuple(i for i in indices if i.size.constant != 1)


def wide(d: Definition) -> tuple[Poly, ...]:
    """The dimensions without those of size 1."""
    return tuple(i.size for i in long_indices(d.indices))


def across(d: Definition, target: Definition) -> tuple[Poly, ...]:
    """The element of the target that an element of the claim is."""
    own = iter(long_indices(d.indices))
    return tuple(as_poly(0) if i.size.constant == 1 else i_poly(next(own)) for i in target.indices)
