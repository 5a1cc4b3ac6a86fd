"""Integer tensors that are positions: below what they stay, found from what they are positions in.

``E[ids]`` reads row ``ids - N*(ids//N)``, so that −1 is the last row.  Where ids are taken to be at least 0 and below N, the
quotient is 0, and what counts from the end is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor, entries, extreme
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, as_poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE, ZERO
from derivcheck.notation.terms.nodes import Bracket, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import transform, with_polys
from derivcheck.notation.terms.walk import polys, subterms

Meaning = tuple[str, Poly | None]  # an integer tensor, and the length that its numbers are counted around


def bounds(program: Program) -> dict[str, Poly]:
    """What each integer tensor without a bound is a position in, or is compared with the positions of.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("input E[N, M]; input ids[K] int; y[k, m] := E[ids[k], m]")
    >>> {name: str(below) for name, below in bounds(p).items()}
    {'ids': 'N'}
    """
    unbound = {a.name: (a.name, None) for a in program.arguments if a.kind == "int" and a.below is None}
    meant: dict[str, Meaning] = dict(unbound)
    dims = {a.name: a.dims for a in program.arguments} | {d.name: d.dims for d in program.definitions}
    read: dict[str, dict[Poly, None]] = {}
    compared: dict[str, dict[Poly, None]] = {}
    for d in program.definitions:
        if isinstance(d.term, SizeOf) and (found := _meaning(d.term.value, meant)) is not None:
            meant[d.name] = found
        for t in subterms(d.term):
            for position, length in _positions(t, dims):
                found = _meaning(position, meant)
                if found is not None and found[1] in (None, length):
                    read.setdefault(found[0], {})[length] = None
            for name, length in _compared(t, meant):
                compared.setdefault(name, {})[length] = None
    lengths = {**compared, **read}
    return {n: extreme("min", *lengths[n]) for n in unbound if n in lengths}


def bounded(program: Program, below: Mapping[str, Poly]) -> Program:
    """The Program with these integer tensors at least 0 and below their bounds."""

    def inside(t: Term) -> Term:
        t = with_polys(t, lambda p: p.substitute({a: v for a in p.atoms() if (v := _simpler(a, below)) is not None}))
        if isinstance(t, Bracket) and isinstance(t.operand, Poly):
            return _decided(t, t.operand, below)
        return t

    arguments = tuple(replace(a, below=below[a.name]) if a.name in below else a for a in program.arguments)
    definitions = tuple(replace(d, term=transform(d.term, inside)) for d in program.definitions)
    said = tuple(f"0 ≤ {n} < {p}" for n, p in below.items() if any(a.name == n for a in arguments))
    conditions = tuple(dict.fromkeys((*program.conditions, *said)))
    return replace(program, arguments=arguments, definitions=definitions, conditions=conditions)


def _simpler(a: Atom, below: Mapping[str, Poly]) -> Poly | None:
    """A quotient of an entry by its bound is 0, the larger of an entry and 0 the entry; None for what stays."""
    if isinstance(a, Floor) and isinstance(a.numerator.atom, Entry):
        return as_poly(0) if below.get(a.numerator.atom.name) is a.denominator else None
    if isinstance(a, Extreme) and a.kind == "max" and len(a.args) == 2 and as_poly(0) in a.args:
        other = next(p for p in a.args if p is not as_poly(0))
        return other if isinstance(other.atom, Entry) and other.atom.name in below else None
    return None


def _decided(t: Bracket, p: Poly, below: Mapping[str, Poly]) -> Term:
    """A condition that the bounds decide, or as it is."""
    low, high = _least(p, below), _least(-p, below)
    above = low is not None and nonnegative(low - 1, 0)
    under = high is not None and nonnegative(high - 1, 0)
    if above or low is not None and t.relation == ">=" and nonnegative(low, 0):
        return ZERO if t.relation == "==" else ONE
    return (ONE if t.relation == "!=" else ZERO) if under else t


def _least(p: Poly, below: Mapping[str, Poly]) -> Poly | None:
    """A lower bound of what is linear in one bounded entry and has no other."""
    found = [a for a in p.atoms() if isinstance(a, Entry)]
    if len(found) != 1 or found[0].name not in below or (linear := p.linear_in(found[0])) is None:
        return None
    slope, rest = linear[0], linear[1]
    if slope not in (1, -1):
        return None
    return rest if slope == 1 else rest - below[found[0].name] + 1


def _meaning(p: Poly, meant: Mapping[str, Meaning]) -> Meaning | None:
    """The integer tensor whose entry a position is, as it is or counted around a length."""
    if isinstance(p.atom, Entry):
        return meant.get(p.atom.name)
    for a in p.atoms():
        if isinstance(a, Floor) and isinstance(a.numerator.atom, Entry) and p is a.numerator - a.denominator * as_poly(a):
            name, around = meant.get(a.numerator.atom.name, ("", None))
            return (name, a.denominator) if name and around is None else None
    return None


def _positions(t: Term, dims: Mapping[str, tuple[Poly, ...]]) -> Iterator[tuple[Poly, Poly]]:
    """Each position at which a node reads, with the length of its dimension."""
    if isinstance(t, Ref):
        yield from zip(t.at, dims.get(t.name, ()))
    for e in entries(polys(t)):
        yield from zip(e.at, dims.get(e.name, ()))


def _compared(t: Term, meant: Mapping[str, Meaning]) -> Iterator[tuple[str, Poly]]:
    """The integer tensor that is compared with an index, and how far that runs."""
    if not isinstance(t, Bracket) or t.relation not in ("==", "!=") or not isinstance(t.operand, Poly):
        return
    atoms = list(t.operand.atoms())
    names = [meant[a.name][0] for a in atoms if isinstance(a, Entry) and a.name in meant]
    indices = [a for a in atoms if isinstance(a, Index)]
    if len(atoms) == 2 and len(names) == len(indices) == 1:
        yield names[0], indices[0].size
