"""What was met while a kernel was read, and changes how it is read from its beginning."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from derivcheck.kernels.lanes.refused import Again
from derivcheck.notation.integers.polynomials import Poly, Size, as_poly


@dataclass
class Hints:
    """Everything that a later reading takes over from an earlier one.

    Attributes:
        threads: the indices of threads that are used, in order: ``idx.x``, ``blockIdx.x``.
        bounds: how many values such an index takes, and from where that is known: ``guard`` or ``launch``.
        strides: by which numbers it is divided: its digits.
        parts: sizes that are products: ``C`` is ``NH*hs`` since ``C / NH`` is taken.
        before: outputs that are read before they are written: they are inputs, too.
        dims: the dimensions of memory behind a pointer, outermost first, as they were found from positions.
        given: of which pointers the user (or the forward) says the dimensions.
        assumed: what is taken for granted, in words.
        below: of whole numbers from memory that are positions, what they are below.
        groups: the place of a thread in its group, where the lanes of the group share the turns of loops.
        warps: whether threads are counted in warps.
    """

    threads: dict[str, None] = field(default_factory=dict)
    bounds: dict[str, tuple[Poly, str]] = field(default_factory=dict)
    strides: dict[str, tuple[Poly, ...]] = field(default_factory=dict)
    parts: dict[str, tuple[Poly, ...]] = field(default_factory=dict)
    before: dict[str, None] = field(default_factory=dict)
    dims: dict[str, tuple[Poly, ...]] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    assumed: dict[str, None] = field(default_factory=dict)
    below: dict[str, Poly] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)
    warps: dict[str, None] = field(default_factory=dict)

    def learn(self, which: str, key: str, value: Any) -> Again:
        """Note it, and what to raise: the source is read again."""
        getattr(self, which)[key] = value
        if which in ("strides", "bounds", "parts", "groups", "warps"):  # what was found from positions before is found again
            self.dims = {n: d for n, d in self.dims.items() if n in self.given}
        return Again(f"{which} {key}")

    def product(self, p: Poly) -> Poly:
        """An expression of sizes, with what is known of them."""
        for _ in range(8):
            known = {
                a: math.prod(self.parts[a.name], start=as_poly(1))
                for a in p.atoms()
                if isinstance(a, Size) and a.name in self.parts
            }
            if not known:
                break
            p = p.substitute(known)
        return p

    def cut(self, p: Poly) -> tuple[Poly, ...]:
        """A dimension that is one of the products that are known, as its factors."""
        for name in self.parts:
            if self.product(as_poly(Size(name))) is p:
                return self.factors(as_poly(Size(name)))
        return (p,)

    def factors(self, p: Poly) -> tuple[Poly, ...]:
        """A dimension as its factors, outermost first."""
        atom = p.atom
        if isinstance(atom, Size) and atom.name in self.parts:
            return tuple(f for x in self.parts[atom.name] for f in self.factors(x))
        return (self.product(p),)
