"""The two sides of a proof, as values: what was derived, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.domains import conditions
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.proof.claims.claim import Claim, check_names, claims, limited

OWN = "claimed "  # before the name of a definition of the claim that the derivation has too


def public(name: str) -> str:
    """The name as the claim has it."""
    return name.removeprefix(OWN)


@dataclass(frozen=True)
class Sides:
    """The forward and its gradient, and a claim whose definitions bear names of their own.

    Attributes:
        names: what each definition of the claim is called here.
        claims: which definition is said to be which gradient.
    """

    forward: Program
    adjoint: Program
    claimed: Program
    names: Mapping[str, str]
    claims: tuple[Claim, ...]

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The inputs of the forward and of its gradient."""
        return {a.name: a for a in (*self.forward.arguments, *self.adjoint.arguments)}

    @cached_property
    def derived(self) -> dict[str, Definition]:
        """The definitions of the forward and of its gradient."""
        return {d.name: d for d in (*self.forward.definitions, *self.adjoint.definitions)}

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """All definitions, those of the claim last."""
        return {**self.derived, **{d.name: d for d in self.claimed.definitions}}

    @cached_property
    def order(self) -> dict[str, tuple[bool, int]]:
        """What is written out first: the latest name, the claim's, then adjoints, then the forward's."""
        forward = {d.name for d in self.forward.definitions}
        return {n: (n not in forward, k) for k, n in enumerate(self.definitions)}

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each tensor that is not of real numbers."""
        every = {**{n: a.kind for n, a in self.inputs.items()}, **{n: d.kind for n, d in self.definitions.items()}}
        return {n: kind for n, kind in every.items() if kind != "float"}

    @cached_property
    def below(self) -> dict[str, Poly]:
        """For an integer input, the size that its entries stay below."""
        return {a.name: a.below for a in self.inputs.values() if a.below is not None}

    @cached_property
    def top(self) -> frozenset[Index]:
        """The indices that no Σ binds."""
        return frozenset(i for d in self.definitions.values() for i in d.indices)

    @cached_property
    def limit(self) -> str:
        """Why a proof that a claim is the gradient is none where the forward is, or ""."""
        return limited(self.claimed, self.forward, self.adjoint)

    @cached_property
    def together(self) -> Program:
        """One Program that defines the forward, the gradient and the claim; its outputs are what may not be defined."""
        needs = needed_terms("forward", self.forward.dropped)
        own = self.forward.outputs if needs or conditions(self.forward.definitions, self.derived) else ()
        return replace(
            self.adjoint,
            arguments=tuple(self.inputs.values()),
            definitions=(*self.definitions.values(), *needs),
            outputs=(*own, *(d.name for d in needs)),
            requires=(*self.adjoint.requires, *self.claimed.requires),
        )

    def from_forward(self, name: str) -> bool:
        """Whether the name is defined by the forward."""
        return not self.order[name][0]

    def dims(self, name: str) -> tuple[Poly, ...]:
        """The dimensions of a definition or an input."""
        return self.definitions[name].dims if name in self.definitions else self.inputs[name].dims

    def indices(self, name: str) -> tuple[Index, ...]:
        """The indices of a definition, or some for an input."""
        if name in self.definitions:
            return self.definitions[name].indices
        return tuple(Index("abcdefgh"[k % 8], p, k // 8) for k, p in enumerate(self.inputs[name].dims))

    def recurrent(self, name: str) -> bool:
        """Whether the name is defined by a recurrence."""
        return name in self.definitions and self.definitions[name].recurrent


def two_sides(forward: Program, adjoint: Program, claimed: Program, outputs: Mapping[str, str]) -> Sides:
    """The two sides, where what the claim reads and claims is there.

    Args:
        outputs: gradient name → the claim's definition of it.

    Raises:
        InputError: an output that is no gradient, or a claim that reads what the forward does not have.
    """
    found = Sides(forward, adjoint, claimed, {}, ())
    taken = found.derived.keys() | found.inputs.keys() | set(claimed.outputs)
    names = {d.name: f"{OWN}{d.name}" if d.name in taken else d.name for d in claimed.definitions}
    every = tuple(claims(forward, adjoint, outputs, names))
    check_names(claimed, found.inputs, found.derived)
    return Sides(forward, adjoint, claimed.rename(names), names, every)


def needed_terms(side: str, terms: tuple[Term, ...]) -> tuple[Definition, ...]:
    """Definitions of terms that have to be defined for a side to be."""
    indices = [tuple(sorted(t.free, key=lambda i: i.key)) for t in terms]
    return tuple(Definition(f"{side} needs {k}", at, t) for k, (at, t) in enumerate(zip(indices, terms)))
