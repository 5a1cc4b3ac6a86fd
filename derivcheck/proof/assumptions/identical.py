"""Where an analytic expression of the inputs is 0 whatever the inputs are: at which of its indices, at which sizes.

``x[i] − x[j]`` is 0 for every x where i = j, ``(N − 20)·x[n]`` where N = 20, ``x[n] − x[N−1−n]`` at the middle place.
Elsewhere it is 0 in a set of measure zero.  What is said rests on one element: where a tensor stands in one group of terms at a
position that the other groups do not reach, the expression varies with that element, and is not 0 for all inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import lcm

from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly
from derivcheck.proof.expressions.atoms import (
    UNIT,
    Apply,
    Atom,
    Base,
    Element,
    Exp,
    Expression,
    Iverson,
    Monomial,
    Rational,
    Root,
    Sigma,
    Whole,
)
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import elements_in, free_of, whole
from derivcheck.proof.normal_form import brackets
from derivcheck.proof.normal_form.products import product, times
from derivcheck.proof.normal_form.signs import strictly
from derivcheck.proof.normal_form.substitution import moved

# Analytic where they are defined, and constant nowhere.
VARYING = frozenset(
    "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid softplus logsigmoid silu gelu "
    "gelu_tanh log1p expm1 exp2 log2 log10 lgamma digamma".split()
)
DEPTH = 4  # equations of indices, one solved inside another

Groups = dict[Monomial, Poly]


def identically_zero(context: Context, u: Expression, inputs: frozenset[str], depth: int = DEPTH) -> Expression | None:
    """``[u is 0 for all inputs]`` as a bracket of indices and sizes: {} never; None where that is not known.

    Args:
        u: analytic in the elements of ``inputs``, and written in them alone.
        inputs: tensors of real numbers, whose elements are free of each other.

    >>> from derivcheck.notation.text.dims import parse_input
    >>> from derivcheck.notation.text.parse import Scope, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal_form.normal import new_context, of_term
    >>> context, N = new_context(), size("N")
    >>> scope = Scope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> texts = "x[i] - x[j]", "x[i] - x[j] + 1", "(N - 20)*x[i]", "x[i] - sum(j: x[j])/N"
    >>> [identically_zero(context, of_term(context, parse_term(t, scope)), frozenset("x")) for t in texts]
    [{frozenset({([i - j == 0], 1)}): 1}, {}, {frozenset({([N - 20 == 0], 1)}): 1}, None]
    """
    groups = _groups(u)
    if groups is None or depth < 0:
        return None
    if len(groups) == 1:
        ((rest, p),) = groups.items()
        return brackets.equal(context, p) if _never_zero(context, rest, inputs) else None
    if _at_zero(context, groups) or _one_sign(context, groups, inputs):
        return {}
    for rest in groups:
        for name in sorted(inputs & elements_in([rest])):
            found = _by_one_element(context, u, groups, rest, name, inputs, depth)
            if found is not None:
                return found
    return None


def _groups(u: Expression) -> Groups | None:
    """The terms by what stands in them beside integers: there an integer expression, up to one positive factor of all."""
    denominators: dict[Whole, int] = {}
    for m in u:
        for a, e in m:
            if isinstance(a, Whole) and (not whole(e) or e < 0):
                if not whole(e) or not isinstance(a.integer, Size):
                    return None
                denominators[a] = max(denominators.get(a, 0), -int(e))
    by = lcm(*(Fraction(c).denominator for c in u.values()))
    found: Groups = {}
    for m, c in u.items():
        p = as_poly(int(c * by))
        for a, e in ((a, dict(m).get(a, 0) + k) for a, k in denominators.items()):
            p = p * as_poly(a.integer) ** int(e)
        for a, e in m:
            if isinstance(a, Whole) and a not in denominators:
                p = p * as_poly(a.integer) ** int(e)
        rest = frozenset((a, e) for a, e in m if not isinstance(a, Whole))
        found[rest] = found.get(rest, as_poly(0)) + p
    return {m: p for m, p in found.items() if p.terms}


def _at_zero(context: Context, groups: Groups) -> bool:
    """Whether it is a number that is not 0 where all inputs are 0."""
    p = groups.get(UNIT)
    return p is not None and not brackets.equal(context, p) and all(_vanishes(m) for m in groups if m)


def _vanishes(m: Iterable[tuple[Atom, Rational]]) -> bool:
    """Whether a product is 0 where all inputs are."""
    return _known_at_zero(m) and any(isinstance(a, Element) or isinstance(a, Sigma) and _vanishes(a.monomial) for a, _ in m)


def _known_at_zero(m: Iterable[tuple[Atom, Rational]]) -> bool:
    """Whether a product is a number where all inputs are 0."""

    def known(a: Atom, e: Rational) -> bool:
        if isinstance(a, (Exp, Sigma)):
            return (isinstance(a, Exp) or e > 0) and _known_at_zero(a.monomial)
        return isinstance(a, (Root, Whole, Iverson)) or isinstance(a, Element) and e > 0

    return all(known(a, e) for a, e in m)


def _one_sign(context: Context, groups: Groups, inputs: frozenset[str]) -> bool:
    """Whether all terms have one sign where all inputs are 1."""
    positive = all(_positive_at_one(context, m, inputs) for m in groups)
    return positive and any(all(context.holds(s * p - 1) for p in groups.values()) for s in (1, -1))


def _positive_at_one(context: Context, m: Iterable[tuple[Atom, Rational]], inputs: frozenset[str]) -> bool:
    """Whether a product is above 0 where all inputs are 1, and does not fall as one of its elements grows."""

    def positive(a: Atom, e: Rational) -> bool:
        if isinstance(a, Sigma):
            return e > 0 and _full(context, a) and _positive_at_one(context, a.monomial, inputs)
        return strictly(a) or isinstance(a, Element) and a.name in inputs and e > 0

    return all(positive(a, e) for a, e in m)


def _full(context: Context, a: Sigma) -> bool:
    """Whether a Σ has a term at every size: nothing in it is left out."""
    return all(not i.size.indices and context.holds(i.size - 1) for i in a.bound)


def _never_zero(context: Context, m: Monomial, inputs: frozenset[str]) -> bool:
    """Whether a product is not 0 for all inputs, at any index or size, where it is defined."""
    return all(
        strictly(a) or isinstance(a, (Base, Element)) and e < 0 or isinstance(a, Element) and a.name in inputs
        or _positive_at_one(context, ((a, e),), inputs)
        or any(_varies(context, a, n, inputs) for n in a.elements & inputs)
        for a, e in m
    )  # fmt: skip


def _varies(context: Context, a: Atom, name: str, inputs: frozenset[str]) -> bool:
    """Whether an atom changes with each element of a tensor that stands in it."""
    if isinstance(a, Element):
        return a.name == name
    if isinstance(a, Exp):
        return _alone(context, {a.monomial: 1}, name, inputs)
    if isinstance(a, Base):
        return _alone(context, dict(a.terms), name, inputs)
    if isinstance(a, Apply):
        return a.function in VARYING and len(a.args) == 1 and _alone(context, dict(a.args[0]), name, inputs)
    if not isinstance(a, Sigma) or any(name in b.elements for b, _ in a.monomial if strictly(b)):
        return False
    return _positive_at_one(context, ((a, 1),), inputs)


def _alone(context: Context, u: Expression, name: str, inputs: frozenset[str]) -> bool:
    """Whether an expression changes with the tensor, which stands in one of its terms."""
    groups = _groups(u)
    with_it = [] if groups is None else [m for m in groups if _holds(m, name)]
    if groups is None or len(with_it) != 1 or brackets.equal(context, groups[with_it[0]]):
        return False
    return _changes(context, with_it[0], name, inputs)


def _changes(context: Context, m: Monomial, name: str, inputs: frozenset[str]) -> bool:
    """Whether a product changes with the tensor, which stands in one of its factors."""
    with_it = [(a, e) for a, e in m if name in a.elements]
    if len(with_it) != 1 or not _varies(context, with_it[0][0], name, inputs):
        return False
    return _never_zero(context, m - frozenset(with_it), inputs)


def _holds(m: Monomial, name: str) -> bool:
    return any(name in a.elements for a, _ in m)


def _by_one_element(
    context: Context, u: Expression, groups: Groups, own: Monomial, name: str, inputs: frozenset[str], depth: int
) -> Expression | None:
    """Where the tensor of one group meets the same tensor in the others: elsewhere the expression varies with it."""
    if brackets.equal(context, groups[own]) or not _changes(context, own, name, inputs):
        return None
    others = [m for m in groups if m is not own and _holds(m, name)]
    if not others:
        return {}
    for k in range(_rank(own, name)):
        here = set(_places(own, name, k))
        there = {p for m in others for p in _places(m, name, k)}
        if len(here) != 1 or None in here | there:
            continue
        (p,) = here
        assert p is not None
        meeting = [d for d in (p - q for q in there if q is not None) if brackets.equal(context, d)]
        if not meeting:
            return {}
        if len(set(meeting) | {-d for d in meeting}) > 2 or not meeting[0].terms:
            continue
        return _where_they_meet(context, u, meeting[0], inputs, depth)
    return None


def _where_they_meet(context: Context, u: Expression, gap: Poly, inputs: frozenset[str], depth: int) -> Expression | None:
    """``[gap = 0]`` and what is left of the expression there being 0."""
    here = brackets.equal(context, gap)
    solved = brackets.solve(gap)
    if solved is None:
        plain = [m for m in u if len(m) == 1]
        if len(plain) == len(u) == 2 and sum(u.values()) == 0:
            return _of_two_elements(context, *plain)
        return None
    left = moved(context, u, {solved[0]: solved[1]})
    inner: Expression | None = identically_zero(context, left, inputs, depth - 1) if left else {UNIT: 1}
    return None if inner is None else times(context, here, inner)


def _of_two_elements(context: Context, m: Monomial, n: Monomial) -> Expression | None:
    """``x[p, …] − x[q, …]``: 0 where all positions agree."""
    ((a, e),), ((b, f),) = m, n
    if not (isinstance(a, Element) and isinstance(b, Element) and a.name == b.name and e == f):
        return None
    return product(context, (brackets.equal(context, p - q) for p, q in zip(a.at, b.at)))


def _rank(m: Monomial, name: str) -> int:
    return max((len(x.at) for x in _elements(m, name)), default=0)


def _places(m: Monomial, name: str, k: int) -> Iterator[Poly | None]:
    """The positions along one dimension at which a tensor stands; None where a Σ inside moves it."""
    for x in _elements(m, name):
        p = x.at[k]
        yield None if any(i.name == "#" for i in p.indices) and not _free(m, p.indices) else p


def _free(m: Monomial, indices: Iterable[Index]) -> bool:
    return frozenset(indices) <= free_of(m)


def _elements(m: Monomial, name: str) -> Iterator[Element]:
    """The elements of a tensor in a product, also inside."""
    for a, _ in m:
        yield from a.elements_of(name)
