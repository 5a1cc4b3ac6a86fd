"""Integer definitions in positions: ``at[n] := X[n] - V*(X[n]//V)`` is ``X[n]`` where ``0 ≤ X[n] < V``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from derivcheck.notation.integers.atoms import Entry, Floor
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import SizeOf, Term
from derivcheck.notation.terms.substitute import transform, with_polys

Integers = Mapping[str, tuple[tuple[Index, ...], Poly]]


def integers_of(definitions: Iterable[Definition]) -> dict[str, tuple[tuple[Index, ...], Poly]]:
    """The integer definitions that are integer expressions of sizes, indices and entries."""
    return {d.name: (d.indices, d.term.value) for d in definitions if d.kind == "int" and isinstance(d.term, SizeOf)}


def written_out(program: Program, integers: Integers, below: Mapping[str, Poly]) -> Program:
    """The Program with such definitions written out in every position.

    Args:
        integers: what each name is.
        below: for an integer input, the size that its entries stay below.
    """

    def change(t: Term) -> Term:
        return with_polys(t, lambda p: _settled(p, integers, below))

    if not integers and not below:
        return program
    definitions = tuple(replace(d, term=transform(d.term, change)) for d in program.definitions)
    return replace(program, definitions=definitions)


def _settled(p: Poly, integers: Integers, below: Mapping[str, Poly]) -> Poly:
    """A position with integer definitions written out, and quotients of entries below a size simplified."""
    if not p.names:
        return p
    moves: dict[Any, PolyLike] = {}
    for a in _entries(p):
        if a.name in integers:
            indices, value = integers[a.name]
            moves[a] = _settled(value.substitute(dict(zip(indices, a.at))), integers, below)
    if moves:
        p = p.substitute(moves)
    if not any(isinstance(a, Floor) and a.names for a in p.atoms()):
        return p
    # a quotient knows the range of an index: an entry below a size is looked at as one
    stand = {a: Index(f"{a.key}", below[a.name]) for a in _entries(p) if a.name in below}
    looked: dict[Any, PolyLike] = {a: i_poly(i) for a, i in stand.items()}
    back: dict[Any, PolyLike] = {i: as_poly(a) for a, i in stand.items()}
    return p.substitute(looked).substitute(back)


def _entries(p: Poly) -> list[Entry]:
    """The entries in a position, not those inside entries."""
    found: list[Entry] = []
    for a in p.atoms():
        if isinstance(a, Entry):
            found.append(a)
        elif isinstance(a, Floor):
            found += _entries(a.numerator) + _entries(a.denominator)
    return found
