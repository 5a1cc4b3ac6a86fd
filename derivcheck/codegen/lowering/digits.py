"""An index whose digits are read, ``mean[n, c//d]``, as two indices: a reshape of what has them, and none between."""

from __future__ import annotations

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import bound_indices, polys, subterms


def digits_apart(indices: tuple[Index, ...], term: Term) -> tuple[tuple[Index, ...], Term]:
    """The same term over two indices for each of these that is read by its digits."""
    while (found := _digit(indices, term)) is not None:
        a, d = found
        count = exact_quotient(a.size, d)
        assert count is not None
        used = [*indices, *term.free, *bound_indices(term)]
        f = fresh(Index(a.name, count), used)
        r = fresh(Index(a.name, d), [*used, f])
        at = indices.index(a)
        indices = (*indices[:at], f, r, *indices[at + 1 :])
        term = substitute(term, {a: d * i_poly(f) + i_poly(r)})
    return indices, term


def _digit(indices: tuple[Index, ...], term: Term) -> tuple[Index, Poly] | None:
    """An index of these and the largest base in which its digits are read, where all bases divide one another."""
    bases: dict[Index, list[Poly]] = {}
    for t in subterms(term):
        for p in polys(t):
            for atom in p.atoms():
                if isinstance(atom, Floor) and atom.numerator.index in indices:
                    a = atom.numerator.index
                    assert a is not None
                    if atom.denominator.indices or atom.denominator.names or exact_quotient(a.size, atom.denominator) is None:
                        return None
                    bases.setdefault(a, []).append(atom.denominator)
    for a, found in bases.items():
        for d in found:
            if all(exact_quotient(d, other) is not None for other in found):
                return a, d
    return None
