"""Integer definitions in positions: ``at[n] := X[n] - V*(X[n]//V)`` is ``X[n]`` where ``0 ≤ X[n] < V``.

A masked one, ``at[n,d] := [d < D]*(D*n + d)``, is a position in each of its cases: ``x[at[n,d]]`` is
``[d < D]*x[D*n + d] + [d >= D]*x[0]``, and where ``d < D`` a quotient knows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from derivcheck.notation.integers.atoms import Entry, Floor, entry
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import substitute, transform, with_polys
from derivcheck.notation.terms.walk import polys, subterms

Integers = Mapping[str, tuple[tuple[Index, ...], Term]]
Condition = tuple[str, Poly]  # p = 0 or p ≥ 0
Case = Mapping[Condition, bool]

CONDITIONS = 3  # of the masks in one place
ROUNDS = 4  # definitions that are written out, one inside another


def integers_of(definitions: Iterable[Definition]) -> dict[str, tuple[tuple[Index, ...], Term]]:
    """The integer definitions that are integer expressions of sizes, indices and entries, in cases of such."""
    whole = (d for d in definitions if d.kind == "int" and not d.recurrent)
    return {d.name: (d.indices, d.term) for d in whole if _value(d.term, _all(d.term)) is not None}


def written_out(program: Program, integers: Integers, below: Mapping[str, Poly]) -> Program:
    """The Program with such definitions written out in every position.

    Args:
        integers: what each name is.
        below: for an integer input, the size that its entries stay below.
    """

    def change(t: Term) -> Term:
        return _written(t, integers, below, ROUNDS)

    if not integers and not below:
        return program
    definitions = tuple(replace(d, term=transform(d.term, change)) for d in program.definitions)
    return replace(program, definitions=definitions)


def _settled(p: Poly, integers: Integers, below: Mapping[str, Poly]) -> Poly:
    """A position with integer definitions of one case written out, and quotients of entries below a size simplified."""
    if not p.names:
        return p
    moves: dict[Any, PolyLike] = {}
    for a in _entries(p):
        if a.name in integers:
            indices, term = integers[a.name]
            if isinstance(term, SizeOf):
                moves[a] = _settled(term.value.substitute(dict(zip(indices, a.at))), integers, below)
    if moves:
        p = p.substitute(moves)
    if not any(isinstance(a, Floor) and a.names for a in p.atoms()):
        return p
    stand = _as_indices(p, below)
    return p.substitute({a: i_poly(i) for a, i in stand.items()}).substitute({i: as_poly(a) for a, i in stand.items()})


def _as_indices(p: Poly, below: Mapping[str, Poly]) -> dict[Any, Index]:
    """What a quotient or a comparison knows the range of: an entry below a size is looked at as an index."""
    return {a: Index(f"{a.key}", below[a.name]) for a in _entries(p) if a.name in below}


# -- cases -----------------------------------------------------------------------------
def _written(t: Term, integers: Integers, below: Mapping[str, Poly], rounds: int) -> Term:
    """A node with integer definitions written out in its positions, of one case or of several."""
    return _in_cases(with_polys(t, lambda p: _settled(p, integers, below)), integers, below, rounds)


def _in_cases(t: Term, integers: Integers, below: Mapping[str, Poly], rounds: int) -> Term:
    """A node with masked integer definitions in its positions written out, case by case."""
    found = {a for p in polys(t) for a in _entries(p) if a.name in integers}
    if not found or not rounds:
        return t
    meant = {a: substitute(integers[a.name][1], dict(zip(integers[a.name][0], a.at))) for a in found}
    conditions = list(dict.fromkeys(c for term in meant.values() for c in _all(term)))
    if len(conditions) > CONDITIONS:
        return t
    known = [_decided(c, below) for c in conditions]
    parts: list[tuple[Term, ...]] = []
    for truths in product(*((True, False) if k is None else (k,) for k in known)):
        case = dict(zip(conditions, truths))
        values = {a: _value(term, case) for a, term in meant.items()}
        if None in values.values():
            return t
        masks = (_mask(c, holds) for (c, holds), k in zip(case.items(), known) if k is None)
        parts.append((*masks, with_polys(t, partial(_at, case, values, integers, below))))
    return add(*(mul(*(_written(x, integers, below, rounds - 1) for x in part)) for part in parts))


def _at(case: Case, values: Mapping[Any, Any], integers: Integers, below: Mapping[str, Poly], p: Poly) -> Poly:
    """A position in one case, in which quotients know what the case says of an index: ``d < D``."""
    p = _settled(p.substitute(values), integers, below)
    narrow = dict(found for found in map(_range, _held(case)) if found is not None)
    if not narrow:
        return p
    there = {i: Index(i.name, length, i.serial) for i, length in narrow.items()}
    return p.substitute({i: i_poly(j) for i, j in there.items()}).substitute({j: i_poly(i) for i, j in there.items()})


def _condition(b: Bracket) -> tuple[Condition, bool] | None:
    """What a bracket of integers says, one spelling for it and its complement; None for one of real numbers."""
    p = b.operand
    if not isinstance(p, Poly):
        return None
    if b.relation in ("==", "!="):
        return ("==", p), b.relation == "=="
    p = p if b.relation == ">=" else p - 1
    other = -p - 1
    return ((">=", p), True) if str(p) <= str(other) else ((">=", other), False)


def _mask(c: Condition, holds: bool) -> Term:
    relation, p = c
    if holds:
        return bracket(relation, p)
    return bracket("!=", p) if relation == "==" else bracket(">=", -p - 1)


def _all(term: Term) -> dict[Condition, bool]:
    """The conditions in a term."""
    found = (_condition(t) for t in subterms(term) if isinstance(t, Bracket))
    return {c[0]: True for c in found if c is not None}


def _decided(c: Condition, below: Mapping[str, Poly]) -> bool | None:
    """Whether a condition holds for all entries below their sizes, or for none; None where that is not known."""
    relation, p = c
    q = p.substitute({a: i_poly(i) for a, i in _as_indices(p, below).items()})
    if relation == "==":
        return False if nonnegative(q - 1) or nonnegative(-q - 1) else None
    return True if nonnegative(q) else False if nonnegative(-q - 1) else None


def _value(t: Term, case: Case) -> Poly | None:
    """A term as an integer expression in one case; None where it is none."""
    if isinstance(t, Number):
        return as_poly(int(t.value)) if t.value.denominator == 1 else None
    if isinstance(t, SizeOf):
        return t.value
    if isinstance(t, Ref):
        return entry(t.name, *t.at)
    if isinstance(t, Bracket):
        said = _condition(t)
        return None if said is None else as_poly(int(case[said[0]] == said[1]))
    if not isinstance(t, (Add, Mul)):
        return None
    total = as_poly(0 if isinstance(t, Add) else 1)
    for a in t.args:
        p = _value(a, case)
        if p is None:
            return None
        total = total + p if isinstance(t, Add) else total * p
    return total


def _held(case: Case) -> Sequence[Poly]:
    """What is at least 0 in a case."""
    return [p if holds else -p - 1 for (relation, p), holds in case.items() if relation == ">="]


def _range(p: Poly) -> tuple[Index, Poly] | None:
    """The index that ``p ≥ 0`` keeps below an expression without indices, and that expression."""
    for i in p.indices:
        found = p.linear_in(i)
        if found is not None and found[0] == -1 and not found[1].indices:
            return i, found[1] + 1
    return None


def _entries(p: Poly) -> list[Entry]:
    """The entries in a position, not those inside entries."""
    found: list[Entry] = []
    for a in p.atoms():
        if isinstance(a, Entry):
            found.append(a)
        elif isinstance(a, Floor):
            found += _entries(a.numerator) + _entries(a.denominator)
    return found
