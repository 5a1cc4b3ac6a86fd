"""The adjoint of a Cholesky factor, in its three lines: ``Φ(Lᵀ·L̄)``, ``S = L⁻ᵀ·Φ·L⁻¹``, ``½(S + Sᵀ)``.

Φ takes the lower triangle with half of the diagonal.  The matrix is taken by its symmetric part, and so is the gradient.

Source: Murray, *Differentiation of the Cholesky decomposition*, 2016, equation 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, fresh, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import add, mul, number, ref
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import matrix, summation, transform
from derivcheck.notation.terms.walk import bound_indices, subterms

HALF = number(Fraction(1, 2))


def is_factor(d: Definition) -> bool:
    """Whether the definition is a Cholesky factor as a whole, its last two indices the positions in it."""
    t = d.term
    if not isinstance(t, Over) or t.kind != "cholesky" or len(d.indices) < 2:
        return False
    own = d.indices[-2:]
    return tuple(p.index for p in t.at) == own and own[0] is not own[1] and (t.body.free - set(t.indices)).isdisjoint(own)


def factors_named(program: Program) -> Program:
    """The Program with a definition for each Cholesky factor that stands inside another term.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y := 2*sum(k: log(cholesky(i, j: A[i, j])[k, k]))", {"A": "N N"})
    >>> [f"{d.name} = {d.term}" for d in factors_named(p).definitions]
    ['L = cholesky(i, j: A[i, j])[i, j]', 'y = 2*sum(k: log(L[k, k]))']
    """
    out: list[Definition] = []
    taken = set(program.names) | set(program.sizes())
    for d in program.definitions:
        if is_factor(d) or not any(isinstance(t, Over) and t.kind == "cholesky" for t in subterms(d.term)):
            out.append(d)
            continue
        known: dict[Term, tuple[str, tuple[Index, ...]]] = {}

        def change(t: Term, d: Definition = d, known: dict[Term, tuple[str, tuple[Index, ...]]] = known) -> Term:
            """The factor's element by the name of its definition."""
            if not isinstance(t, Over) or t.kind != "cholesky":
                return t
            lead = tuple(sorted(t.body.free - set(t.indices), key=lambda i: i.key))
            rows, columns = t.indices
            while any((rows.name, rows.serial) == (i.name, i.serial) for i in lead):
                rows = fresh(rows, lead)
            columns = fresh(columns, (*lead, rows))
            whole = matrix("cholesky", t.indices, t.body, rows, columns)
            if whole not in known:
                name = next(n for n in _numbered("L", len(taken)) if n not in taken)
                taken.add(name)
                known[whole] = name, lead
                out.append(Definition(name, (*lead, rows, columns), whole, rule="cholesky", place=d.place))
            name, lead = known[whole]
            return ref(name, *lead, *t.at)

        out.append(replace(d, term=transform(d.term, change)))
    return replace(program, definitions=tuple(out))


def _numbered(letter: str, most: int) -> Iterator[str]:
    """``L``, ``L_1``, ``L_2`` …"""
    yield letter
    yield from (f"{letter}_{k}" for k in range(1, most + 2))


class FactorAdjoint(NamedTuple):
    """What a factor's adjoint is made of.

    Attributes:
        definitions: Φ and S.
        rows, columns: where the matrix is read.
        cotangent: what flows to its element there.
    """

    definitions: tuple[Definition, ...]
    rows: Index
    columns: Index
    cotangent: Term


def half_of_diagonal(p: Index, q: Index) -> Term:
    """Φ: 1 below the diagonal, a half on it, 0 above."""
    return add(bracket(">=", i_poly(p) - i_poly(q) - 1), mul(HALF, bracket("==", i_poly(p) - i_poly(q))))


def adjoint_of_factor(d: Definition, bar: str, taken: Iterable[str]) -> FactorAdjoint:
    """The lines of the adjoint of a factor (see :func:`is_factor`) whose own adjoint is called ``bar``."""
    assert isinstance(d.term, Over)
    *lead, p, q = d.indices
    m = fresh(Index(p.name, p.size), (*lead, p, q))
    i, j = d.term.indices
    used = [*lead, p, q, m, *bound_indices(d.term.body), *d.term.body.free]
    rows = fresh(i, used)
    columns = fresh(j, [*used, rows])
    names = set(taken)
    phi_name, s_name = (next(n for n in _numbered(letter, len(names)) if n not in names) for letter in "PS")
    half = half_of_diagonal(p, q)
    inner = summation([m], mul(ref(d.name, *lead, m, p), ref(bar, *lead, m, q)))
    phi = Definition(phi_name, (*lead, p, q), mul(half, inner), rule="chain rule", place=d.place)

    def inverse(row: Index, column: Index) -> Term:
        return matrix("inv", (i, j), ref(d.name, *lead, i, j), row, column)

    body = mul(inverse(p, rows), ref(phi_name, *lead, p, q), inverse(q, columns))
    s = Definition(s_name, (*lead, rows, columns), summation([p, q], body), rule="chain rule", place=d.place)
    both = add(ref(s_name, *lead, rows, columns), ref(s_name, *lead, columns, rows))
    return FactorAdjoint((phi, s), rows, columns, mul(HALF, both))
