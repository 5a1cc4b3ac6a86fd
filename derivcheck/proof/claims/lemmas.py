"""Lemmas: a definition of the claim that was proved equal to one of the derivation, dimensions of size 1 left out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition


@dataclass(frozen=True)
class Lemma:
    """A definition of the claim that was proved equal to one of the derivation, and how."""

    claim: Definition
    target: Definition
    how: str

    @cached_property
    def at(self) -> tuple[Poly, ...]:
        """Where the element of the target stands that an element of the claim is."""
        own = iter(long_indices(self.claim.indices))
        return tuple(as_poly(0) if i.size.constant == 1 else i_poly(next(own)) for i in self.target.indices)


def long_indices(indices: tuple[Index, ...]) -> tuple[Index, ...]:
    """The indices without those of size 1, which ``keepdim`` adds."""
    return tuple(i for i in indices if i.size.constant != 1)


def wide(d: Definition) -> tuple[Poly, ...]:
    """The dimensions without those of size 1."""
    return tuple(i.size for i in long_indices(d.indices))
