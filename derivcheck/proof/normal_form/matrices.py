"""What is made of whole matrices, and the identities between them: ``A⁻¹·A = 1``, ``(A·B)⁻¹ = B⁻¹·A⁻¹``, ``L·Lᵀ = A``.

A matrix is kept the way round whose signature is the smaller, ``(Aᵀ)⁻¹ = (A⁻¹)ᵀ``; of one that is symmetric by its formula
the positions have no order.  In a sum over a product with an inverse, the matrix of that inverse is looked for among the
other factors: that is a search for the factors of one monomial up to the names of indices, and each find is checked by
putting the names in.

Sources: Petersen & Pedersen, *The Matrix Cookbook*, 2012, sections 1 and 3; Golub & Van Loan, *Matrix Computations*, 4th ed.
2013, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import permutations
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.proof.expressions.atoms import (
    LEVEL,
    Element,
    Equal,
    Expression,
    Least,
    MatrixAtom,
    Monomial,
    ProofAtom,
    Rational,
    Sigma,
)
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import (
    add_into,
    frozen,
    height_of,
    of_atom,
    plus,
    scaled,
    single,
)
from derivcheck.proof.expressions.signatures import expression_signature
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.substitution import moved, opened, substituted

Factors = list[tuple[ProofAtom, Rational]]
Moves = dict[Index, Poly]
_HALF = Fraction(1, 2)
FEW = 3  # rows of a matrix that is written out, element by element


# -- one matrix ----------------------------------------------------------------------------------
def made_of(context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression:
    """An element of an inverse or a factor, or a determinant, of the matrix with this element at row and column."""
    rows, columns = bound
    body = known_triangle(context, body)
    if not body:
        raise Unreduced("a matrix of zeros")
    if context.mode.elements and kind in ("inv", "det") and (found := _written_out(context, kind, bound, body, at)) is not None:
        return found
    if kind == "inv" and (found := _without_factors(context, bound, body, at)) is not None:
        return found
    if kind in ("inv", "det") and (found := _of_product(context, kind, bound, body, at)) is not None:
        return found
    one = _kept(context, kind, rows, columns, body, at)
    if kind == "cholesky":  # of the symmetric part
        both = scaled(plus(body, _swapped(context, body, rows, columns)), _HALF)
        one = _kept(context, kind, rows, columns, both, at)
        return of_atom(one)
    other = _kept(context, kind, rows, columns, _swapped(context, body, rows, columns), at[::-1])
    if one.terms == other.terms:  # symmetric: the positions have no order
        at = sorted(at, key=str)
        return of_atom(_kept(context, kind, rows, columns, body, at))
    return of_atom(min(one, other, key=lambda a: expression_signature(a.terms, {a.bound[0]: 3, a.bound[1]: 5})))


def _names(rows: Index, columns: Index, body: Expression) -> tuple[Index, Index]:
    """Names for the row and the column, by how deep sums are nested in the matrix."""
    level = (max(map(height_of, body), default=0) + 1) * LEVEL
    return Index("#", rows.size, level), Index("#", columns.size, level + 1)


def _kept(context: Context, kind: str, rows: Index, columns: Index, body: Expression, at: Sequence[Poly]) -> MatrixAtom:
    names = _names(rows, columns, body)
    renamed = moved(context, body, {rows: i_poly(names[0]), columns: i_poly(names[1])})
    return context.atom(MatrixAtom, kind, names, frozen(renamed), tuple(at))


def _swapped(context: Context, body: Expression, rows: Index, columns: Index) -> Expression:
    return moved(context, body, {rows: i_poly(columns), columns: i_poly(rows)})


def _without_factors(context: Context, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression | None:
    """``(c·A)⁻¹ = A⁻¹/c``, and ``(D·A·E)⁻¹ = E⁻¹·A⁻¹·D⁻¹`` of diagonal D and E, where the matrix is one product."""
    one = single(body)
    if one is None:
        return None
    m, c = one
    rows, columns = bound
    outside = [(a, e) for a, e in m if not {rows, columns} <= a.free and not isinstance(a, (Equal, Least))]
    inner = m.difference(outside)
    if c == 1 and not outside or not inner:
        return None
    context.used("(c·A)^-1 = A^-1/c")
    found = made_of(context, "inv", bound, {inner: 1}, at)
    for a, e in outside:
        there = moved(context, of_atom(a), {rows: at[1], columns: at[0]})
        found = times(context, found, power(context, there, -e))
    return scaled(found, 1 / Fraction(c))


def _of_product(context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]) -> Expression | None:
    """``(A·B)⁻¹ = B⁻¹·A⁻¹`` and ``det(A·B) = det A·det B`` of square matrices."""
    one = single(body)
    rows, columns = bound
    if one is None or one[1] != 1 or len(one[0]) != 1:
        return None
    ((a, e),) = one[0]
    if not isinstance(a, Sigma) or e != 1 or len(a.bound) != 1 or a.bound[0].size is not rows.size:
        return None
    (k,), inside = opened(context, a)
    whole = single(inside)
    if whole is None:
        return None
    left = frozenset((f, x) for f, x in whole[0] if rows in f.free)
    right = whole[0] - left
    if any(columns in f.free for f, _ in left) or any(rows in f.free for f, _ in right) or not left or not right:
        return None
    if not any(k in f.free for f, _ in left) or not any(k in f.free for f, _ in right):
        return None
    context.used("(A·B)^-1 = B^-1·A^-1" if kind == "inv" else "det(A·B) = det(A)·det(B)")
    first: Expression = {left: whole[1]}
    second: Expression = {right: 1}
    if kind == "det":
        return times(context, made_of(context, kind, (rows, k), first, ()), made_of(context, kind, (k, columns), second, ()))
    j = context.temporary(rows.size)
    inverses = (
        made_of(context, kind, (k, columns), second, (at[0], i_poly(j))),
        made_of(context, kind, (rows, k), first, (i_poly(j), at[1])),
    )
    return context.rules.summed(context, [j], product(context, inverses))


def _written_out(
    context: Context, kind: str, bound: Sequence[Index], body: Expression, at: Sequence[Poly]
) -> Expression | None:
    """Cramer's rule for a few rows: the cofactor over the determinant."""
    rows, columns = bound
    n = rows.size.constant
    if n is None or not 1 <= n <= FEW:
        return None
    p, q = (x.constant for x in at) if at else (0, 0)
    if p is None or q is None:
        return None

    def element(i: int, j: int) -> Expression:
        return moved(context, body, {rows: as_poly(i), columns: as_poly(j)})

    def determinant(of_rows: Sequence[int], of_columns: Sequence[int]) -> Expression:
        total: Expression = {}
        for order in permutations(range(len(of_columns))):
            sign = (-1) ** sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
            factors = [element(i, of_columns[k]) for i, k in zip(of_rows, order)]
            add_into(total, product(context, factors), sign)
        return total

    every = range(n)
    context.used("Cramer's rule")
    whole = determinant(every, every)
    if kind == "det":
        return whole
    minor = determinant([i for i in every if i != q], [j for j in every if j != p])
    return times(context, scaled(minor, (-1) ** (p + q)), power(context, whole, -1))


# -- in sums ---------------------------------------------------------------------------------------
def contracted(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_k A⁻¹[p, k]·A[k, q] = [p = q]`` and ``Σ_k A[p, k]·A⁻¹[k, q] = [p = q]``, inside a sum over more.

    With a factor of A = L·Lᵀ, ``Σ_k L⁻¹[p, k]·A[k, q] = L[q, p]``.
    """
    for x, e in m:
        if not isinstance(x, MatrixAtom) or x.kind != "inv" or e != 1:
            continue
        root = _root(x)
        for side in (0, 1):
            k, other = x.at[1 - side].index, x.at[side]
            if k is None or k not in here or k in other.indices:
                continue
            wanted = _Wanted(context, x, x.bound, dict(x.terms), side, k)
            found = wanted.within(here, m - {(x, 1)})
            if found is None and root is not None and root.own.index is k:
                wanted = wanted._replace(bound=root.factor.bound, terms=dict(root.factor.terms), factor=root.factor)
                found = wanted.within(here, m - {(x, 1)})
            if found is not None:
                return found
    return None


class _Find(NamedTuple):
    """The matrix of an inverse among other factors: its column (or row) there, and what is left."""

    place: Poly
    left: Monomial
    bound: list[Index]


class _Wanted(NamedTuple):
    """A matrix that is looked for beside an inverse.

    Attributes:
        bound, terms: the matrix.
        side: 0 where ``Σ_k A⁻¹[other, k]·A[k, place]`` is looked for, 1 for ``Σ_k A[place, k]·A⁻¹[k, other]``.
        factor: the Cholesky factor of the matrix whose inverse it is, where it is not that of the matrix.
    """

    context: Context
    inverse: MatrixAtom
    bound: tuple[Index, Index]
    terms: Expression
    side: int
    k: Index
    factor: MatrixAtom | None = None

    @property
    def other(self) -> Poly:
        """The position in the inverse that is not summed."""
        return self.inverse.at[self.side]

    def met(self, place: Poly) -> Expression:
        """What the inverse and the matrix make together."""
        if self.factor is None:
            return brackets.equal(self.context, self.other - place)
        return made_of(self.context, "cholesky", self.factor.bound, dict(self.factor.terms), (place, self.other))

    def within(self, here: list[Index], rest: Monomial) -> Expression | None:
        """The sum of the inverse times these factors, where the matrix is among them."""
        context = self.context
        terms = self.terms
        lead = min((t for t in terms if not any(isinstance(a, Equal) for a, _ in t)), key=_size, default=None)
        if lead is None:
            return None
        find = self._found(lead, here, rest)
        if find is None:
            return None
        context.used("A^-1·A = 1")
        row, column = self.bound if self.side == 0 else self.bound[::-1]
        bound = [i for i in find.bound if i is not self.k]
        total = context.rules.summed(context, bound, times(context, self.met(find.place), {find.left: 1}))
        for t, c in terms.items():
            if t is not lead and t != lead:
                there = substituted(context, t, {row: i_poly(self.k), column: find.place})
                whole = product(context, [of_atom(self.inverse), there, {find.left: 1}])
                add_into(total, context.rules.summed(context, find.bound, whole), -c)
        return scaled(total, 1 / Fraction(terms[lead]))

    def _found(self, lead: Monomial, here: list[Index], rest: Monomial) -> _Find | None:
        """The factors of one monomial of the matrix among others, whatever its column and its bound indices are called."""
        row, column = self.bound if self.side == 0 else self.bound[::-1]
        pattern, extra = _open(self.context, lead)
        search = _FactorSearch(self.context, {column, *extra}, here)
        for moves, left in search.all(sorted(pattern, key=lambda f: row not in f[0].free), list(rest), {row: i_poly(self.k)}):
            place = moves.get(column)
            inner = [moves[i].index for i in extra if i in moves]
            if place is None or len(inner) < len(extra) or None in inner or len(set(inner)) < len(inner):
                continue
            taken = frozenset(i for i in (*inner, self.k) if i is not None)
            outside = frozenset[Index]().union(*(a.free for a, _ in left), place.indices, self.other.indices)
            if not set(taken) <= set(here) or not taken.isdisjoint(outside):
                continue
            if any(i is not None and i.size is not j.size for i, j in zip(inner, extra)):
                continue
            return _Find(place, frozenset(left), [i for i in here if i not in inner])
        return None


def _size(m: Monomial) -> tuple[int, int]:
    return -len(m), expression_signature([(m, 1)], {})


def _open(context: Context, m: Monomial) -> tuple[Factors, list[Index]]:
    """The factors of a monomial, the sums among them opened, and the indices that these bind."""
    factors: Factors = []
    bound: list[Index] = []
    for a, e in m:
        new, body = opened(context, a) if isinstance(a, Sigma) and e == 1 else ([], {})
        inside = single(body)
        if inside is None or inside[1] != 1:
            factors.append((a, e))
            continue
        more, deeper = _open(context, inside[0])
        factors += more
        bound += [*new, *deeper]
    return factors, bound


class _FactorSearch(NamedTuple):
    """A search for factors up to some open indices."""

    context: Context
    open: set[Index]
    here: Sequence[Index]

    def all(self, pattern: Factors, left: Factors, moves: Moves) -> Iterator[tuple[Moves, Factors]]:
        """Each way to find all factors of the pattern, with what is left of the others."""
        self.context.tick()
        if not pattern:
            yield moves, left
            return
        (a, e), *others = pattern
        for n, (b, x) in enumerate(left):
            if type(a) is type(b) and x == e:
                for more in self.unified(a, b, moves):
                    yield from self.all(others, left[:n] + left[n + 1 :], more)

    def unified(self, a: ProofAtom, b: ProofAtom, moves: Moves) -> Iterator[Moves]:
        """Each way to make the first atom the second."""
        free = [i for i in a.free if i in self.open and i not in moves]
        elements = isinstance(a, Element) and isinstance(b, Element)
        if elements or isinstance(a, MatrixAtom) and isinstance(b, MatrixAtom):
            assert isinstance(a, (Element, MatrixAtom)) and isinstance(b, (Element, MatrixAtom))
            if _kind(a) != _kind(b) or len(a.at) != len(b.at):
                return
            found = dict(moves)
            for p, q in zip(a.at, b.at):
                if p.index in free and p.index not in found:
                    assert p.index is not None
                    found[p.index] = q
            choices: Iterator[Moves] = iter([found])
        else:
            names = [i for i in b.free if i not in moves]
            choices = ({**moves, **{i: i_poly(j) for i, j in zip(free, chosen)}} for chosen in permutations(names, len(free)))
        for choice in choices:
            if substituted(self.context, frozenset(((a, 1),)), choice) == of_atom(b):
                yield choice


def _kind(a: Element | MatrixAtom) -> object:
    """What it is an element of."""
    return a.name if isinstance(a, Element) else (a.kind, a.bound, a.terms)


# -- Cholesky factors ------------------------------------------------------------------------------
class _Root(NamedTuple):
    """An element of a Cholesky factor L, or of the inverse of one.

    Attributes:
        own, summed: of ``L[own, summed]`` or ``L⁻¹[summed, own]``, which a product with another of its kind sums over.
    """

    factor: MatrixAtom
    inverse: bool
    own: Poly
    summed: Poly


def _root(a: ProofAtom) -> _Root | None:
    """The Cholesky factor that the atom is an element of, or of the inverse of; either way round."""
    if not isinstance(a, MatrixAtom):
        return None
    if a.kind == "cholesky":
        return _Root(a, False, *a.at)
    one = single(dict(a.terms)) if a.kind == "inv" else None
    if one is None or one[1] != 1 or len(one[0]) != 1:
        return None
    ((factor, e),) = one[0]
    if not isinstance(factor, MatrixAtom) or factor.kind != "cholesky" or e != 1:
        return None
    places = tuple(p.index for p in factor.at)
    if places == a.bound:
        return _Root(factor, True, a.at[1], a.at[0])
    return _Root(factor, True, a.at[0], a.at[1]) if places == a.bound[::-1] else None


def factors_met(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``Σ_k L[p, k]·L[q, k] = A[p, q]`` and ``Σ_k L⁻¹[k, p]·L⁻¹[k, q] = A⁻¹[p, q]`` of a Cholesky factor L of A.

    And ``Σ_k L[k, p]·A⁻¹[k, q] = L⁻¹[p, q]``.
    """
    roots = [(a, e, root) for a, e in m if (root := _root(a)) is not None]
    for n, (a, e, one) in enumerate(roots):
        for b, x, two in roots[n:]:
            k = one.summed.index
            if (e != 2 if a is b else e != 1 or x != 1) or not _alike(one, two) or k is not two.summed.index:
                continue
            left = m - {(a, e), (b, x)}
            if k in here and not _stands(k, left, one.own, two.own):
                assert k is not None
                context.used("L·L^T = A")
                body, bound = dict(one.factor.terms), one.factor.bound
                if one.inverse:
                    there = made_of(context, "inv", bound, body, (one.own, two.own))
                else:
                    there = moved(context, body, {bound[0]: one.own, bound[1]: two.own})
                return context.rules.summed(context, [i for i in here if i is not k], times(context, there, {left: 1}))
        found = _solved(context, here, m, a, e, one) if not one.inverse else None
        if found is not None:
            return found
    return None


def _alike(one: _Root, two: _Root) -> bool:
    return one.factor.terms == two.factor.terms and one.factor.bound == two.factor.bound and one.inverse == two.inverse


def _stands(k: Index | None, left: Monomial, *places: Poly) -> bool:
    """Whether an index stands in other factors, or in these positions."""
    return any(k in a.free for a, _ in left) or any(k in p.indices for p in places)


def _solved(context: Context, here: list[Index], m: Monomial, a: ProofAtom, e: Rational, root: _Root) -> Expression | None:
    """``Σ_k L[k, p]·A⁻¹[k, q] = L⁻¹[p, q]``."""
    k, bound = root.own.index, root.factor.bound
    if e != 1 or k not in here:
        return None
    for x, power_ in m:
        if not isinstance(x, MatrixAtom) or x.kind != "inv" or power_ != 1 or k not in {p.index for p in x.at}:
            continue
        q = x.at[1] if x.at[0].index is k else x.at[0]
        left = m - {(a, 1), (x, 1)}
        if _stands(k, left, q, root.summed) or made_of(context, "inv", bound, dict(root.factor.terms), x.at) != of_atom(x):
            continue
        context.used("L·L^T = A")
        i, j = context.temporary(bound[0].size), context.temporary(bound[0].size)
        factor = made_of(context, "cholesky", bound, dict(root.factor.terms), (i_poly(i), i_poly(j)))
        there = made_of(context, "inv", (i, j), factor, (root.summed, q))
        return context.rules.summed(context, [i for i in here if i is not k], times(context, there, {left: 1}))
    return None


def triangular(context: Context, here: list[Index], m: Monomial) -> Expression | None:
    """``L[p, q] = 0`` where q > p: beside a bracket that says so a Cholesky factor vanishes, or is on its diagonal."""
    for a, e in m:
        if not isinstance(a, MatrixAtom) or a.kind != "cholesky" or e <= 0:
            continue
        p, q = a.at
        for b, _ in m:
            if not isinstance(b, Least):
                continue
            gap = b.poly - (q - p)  # [q − p + gap ≥ 0]
            if gap.constant is not None and gap.constant <= 0:
                context.used("L[p, q] = 0 for q > p")
                if gap.constant < 0:
                    return {}
                rest = product(context, [{m - {(b, 1)}: 1}, brackets.equal(context, p - q)])
                return context.rules.summed(context, here, rest)
            others = [c.poly for c, _ in m if isinstance(c, Least) and c is not b]
            above = [b.poly - (p - q) - c for c in (Poly(()), *others)]  # which holds where L is not 0, beside the others
            if any(x.constant is not None and x.constant >= 0 for x in above):
                return context.rules.summed(context, here, {m - {(b, 1)}: 1})
    return None


def known_triangle(context: Context, body: Expression) -> Expression:
    """A matrix whose elements are those of a Cholesky factor, without the bracket that says so again."""
    total: Expression = {}
    for m, c in body.items():
        found = triangular(context, [], m)
        add_into(total, {m: 1} if found is None else found, c)
    return total
