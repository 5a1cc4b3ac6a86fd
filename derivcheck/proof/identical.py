"""Where an analytic expression of the inputs is 0 whatever the inputs are: at which of its indices, at which sizes.

``x[i] − x[j]`` is 0 for every x where i = j, ``(N − 20)·x[n]`` where N = 20, ``x[n] − x[N−1−n]`` at the middle place.
Elsewhere it is 0 in a set of measure zero.  What is said rests on one element: where a tensor stands in one group of terms at a
position that the other groups do not reach, the expression varies with that element, and is not 0 for all inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly
from derivcheck.proof import brackets, polynomials
from derivcheck.proof.atoms import BRACKETS, UNIT, Atom, Expression, Monomial, Rational, elements_in, free_of, whole
from derivcheck.proof.powers import strictly
from derivcheck.proof.substitution import moved

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

# Analytic where they are defined, and constant nowhere.
VARYING = frozenset(
    "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc sigmoid softplus logsigmoid silu gelu "
    "gelu_tanh log1p expm1 exp2 log2 log10 lgamma digamma".split()
)
DEPTH = 4

Groups = dict[Monomial, Poly]


def identically_zero(space: Space, u: Expression, inputs: frozenset[str], depth: int = DEPTH) -> Expression | None:
    """``[u is 0 for all inputs]`` as a bracket of indices and sizes: {} never; None where that is not known.

    Args:
        u: analytic in the elements of ``inputs``, and written in them alone.
        inputs: tensors of real numbers, whose elements are free of each other.

    >>> from derivcheck.notation.text.parse import Scope, parse_input, parse_term
    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.proof.normal import of_term
    >>> from derivcheck.proof.space import Space
    >>> space, N = Space(), size("N")
    >>> scope = Scope({"x": parse_input("x", "N")}, (Index("i", N), Index("j", N)))
    >>> texts = "x[i] - x[j]", "x[i] - x[j] + 1", "(N - 20)*x[i]", "x[i] - sum(j: x[j])/N"
    >>> [identically_zero(space, of_term(space, parse_term(t, scope)), frozenset("x")) for t in texts]
    [{frozenset({([i - j == 0], 1)}): 1}, {}, {frozenset({([N - 20 == 0], 1)}): 1}, None]
    """
    groups = _groups(u)
    if groups is None or depth < 0:
        return None
    if len(groups) == 1:
        ((rest, p),) = groups.items()
        return brackets.equal(space, p) if _never_zero(space, rest, inputs) else None
    if _at_zero(space, groups) or _one_sign(space, groups, inputs):
        return {}
    for rest in groups:
        for name in sorted(inputs & elements_in([rest])):
            found = _by_one_element(space, u, groups, rest, name, inputs, depth)
            if found is not None:
                return found
    return None


def _groups(u: Expression) -> Groups | None:
    """The terms by what stands in them beside integers: there an integer expression, up to one positive factor of all."""
    denominators: dict[Atom, int] = {}
    for m in u:
        for a, e in m:
            if a.kind == "whole" and (not whole(e) or e < 0):
                if not whole(e) or not isinstance(a.data[0], Size):
                    return None
                denominators[a] = max(denominators.get(a, 0), -int(e))
    by = lcm(*(Fraction(c).denominator for c in u.values()))
    found: Groups = {}
    for m, c in u.items():
        p = as_poly(int(c * by))
        for a, e in ((a, dict(m).get(a, 0) + k) for a, k in denominators.items()):
            p = p * as_poly(a.data[0]) ** int(e)
        for a, e in m:
            if a.kind == "whole" and a not in denominators:
                p = p * as_poly(a.data[0]) ** int(e)
        rest = frozenset((a, e) for a, e in m if a.kind != "whole")
        found[rest] = found.get(rest, as_poly(0)) + p
    return {m: p for m, p in found.items() if p.terms}


def _at_zero(space: Space, groups: Groups) -> bool:
    """Whether it is a number that is not 0 where all inputs are 0."""
    p = groups.get(UNIT)
    return p is not None and not brackets.equal(space, p) and all(_vanishes(m) for m in groups if m)


def _vanishes(m: Iterable[tuple[Atom, Rational]]) -> bool:
    """Whether a product is 0 where all inputs are."""
    return _known_at_zero(m) and any(a.kind == "element" or a.kind == "sigma" and _vanishes(a.data[1]) for a, _ in m)


def _known_at_zero(m: Iterable[tuple[Atom, Rational]]) -> bool:
    """Whether a product is a number where all inputs are 0."""
    return all(
        a.kind in ("root", "whole", *BRACKETS) or a.kind == "element" and e > 0 or a.kind == "exp" and _known_at_zero(a.data[0])
        or a.kind == "sigma" and e > 0 and _known_at_zero(a.data[1])
        for a, e in m
    )  # fmt: skip


def _one_sign(space: Space, groups: Groups, inputs: frozenset[str]) -> bool:
    """Whether all terms have one sign where all inputs are 1."""
    positive = all(_positive_at_one(space, m, inputs) for m in groups)
    return positive and any(all(space.holds(s * p - 1) for p in groups.values()) for s in (1, -1))


def _positive_at_one(space: Space, m: Iterable[tuple[Atom, Rational]], inputs: frozenset[str]) -> bool:
    """Whether a product is above 0 where all inputs are 1, and does not fall as one of its elements grows."""
    return all(
        strictly(a) or a.kind == "element" and a.data[0] in inputs and e > 0 or a.kind == "sigma" and e > 0 and _full(space, a)
        and _positive_at_one(space, a.data[1], inputs)
        for a, e in m
    )  # fmt: skip


def _full(space: Space, a: Atom) -> bool:
    """Whether a Σ has a term at every size: nothing in it is left out."""
    return all(not i.size.indices and space.holds(i.size - 1) for i in a.data[0])


def _never_zero(space: Space, m: Monomial, inputs: frozenset[str]) -> bool:
    """Whether a product is not 0 for all inputs, at any index or size, where it is defined."""
    return all(
        strictly(a) or a.kind in ("base", "element") and e < 0 or a.kind == "element" and a.data[0] in inputs
        or _positive_at_one(space, ((a, e),), inputs)
        or any(_varies(space, a, n, inputs) for n in a.elements & inputs)
        for a, e in m
    )  # fmt: skip


def _varies(space: Space, a: Atom, name: str, inputs: frozenset[str]) -> bool:
    """Whether an atom changes with each element of a tensor that stands in it."""
    if a.kind == "element":
        return bool(a.data[0] == name)
    if a.kind == "exp":
        return _alone(space, {a.data[0]: 1}, name, inputs)
    if a.kind == "base":
        return _alone(space, dict(a.data[0]), name, inputs)
    if a.kind == "apply":
        known = bool(a.data[0] in VARYING and len(a.data[1]) == 1)
        return known and _alone(space, dict(a.data[1][0]), name, inputs)
    if a.kind != "sigma" or any(name in b.elements for b, _ in a.data[1] if strictly(b)):
        return False
    return _positive_at_one(space, ((a, 1),), inputs)


def _alone(space: Space, u: Expression, name: str, inputs: frozenset[str]) -> bool:
    """Whether an expression changes with the tensor, which stands in one of its terms."""
    groups = _groups(u)
    with_it = [] if groups is None else [m for m in groups if _holds(m, name)]
    if groups is None or len(with_it) != 1 or brackets.equal(space, groups[with_it[0]]):
        return False
    return _changes(space, with_it[0], name, inputs)


def _changes(space: Space, m: Monomial, name: str, inputs: frozenset[str]) -> bool:
    """Whether a product changes with the tensor, which stands in one of its factors."""
    with_it = [(a, e) for a, e in m if name in a.elements]
    if len(with_it) != 1 or not _varies(space, with_it[0][0], name, inputs):
        return False
    return _never_zero(space, m - frozenset(with_it), inputs)


def _holds(m: Monomial, name: str) -> bool:
    return any(name in a.elements for a, _ in m)


def _by_one_element(
    space: Space, u: Expression, groups: Groups, own: Monomial, name: str, inputs: frozenset[str], depth: int
) -> Expression | None:
    """Where the tensor of one group meets the same tensor in the others: elsewhere the expression varies with it."""
    if brackets.equal(space, groups[own]) or not _changes(space, own, name, inputs):
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
        meeting = [d for d in (p - q for q in there if q is not None) if brackets.equal(space, d)]
        if not meeting:
            return {}
        if len(set(meeting) | {-d for d in meeting}) > 2 or not meeting[0].terms:
            continue
        return _where_they_meet(space, u, meeting[0], inputs, depth)
    return None


def _where_they_meet(space: Space, u: Expression, gap: Poly, inputs: frozenset[str], depth: int) -> Expression | None:
    """``[gap = 0]`` and what is left of the expression there being 0."""
    here = brackets.equal(space, gap)
    solved = brackets.solve(gap)
    if solved is None:
        plain = [m for m in u if len(m) == 1]
        if len(plain) == len(u) == 2 and sum(u.values()) == 0:
            return _of_two_elements(space, *plain)
        return None
    left = moved(space, u, {solved[0]: solved[1]})
    inner: Expression | None = identically_zero(space, left, inputs, depth - 1) if left else {UNIT: 1}
    return None if inner is None else polynomials.times(space, here, inner)


def _of_two_elements(space: Space, m: Monomial, n: Monomial) -> Expression | None:
    """``x[p, …] − x[q, …]``: 0 where all positions agree."""
    ((a, e),), ((b, f),) = m, n
    if not (a.kind == b.kind == "element" and a.data[0] == b.data[0] and e == f):
        return None
    return polynomials.product(space, (brackets.equal(space, p - q) for p, q in zip(a.data[1], b.data[1])))


def _rank(m: Monomial, name: str) -> int:
    return max((len(x.data[1]) for x in _elements(m, name)), default=0)


def _places(m: Monomial, name: str, k: int) -> Iterator[Poly | None]:
    """The positions along one dimension at which a tensor stands; None where a Σ inside moves it."""
    for x in _elements(m, name):
        p: Poly = x.data[1][k]
        yield None if any(i.name == "#" for i in p.indices) and not _free(m, p.indices) else p


def _free(m: Monomial, indices: Iterable[Index]) -> bool:
    return frozenset(indices) <= free_of(m)


def _elements(m: Iterable[tuple[Atom, Rational]], name: str) -> Iterator[Atom]:
    """The elements of a tensor in a product, also inside."""
    for a, _ in m:
        if name not in a.elements:
            continue
        if a.kind == "element":
            yield a
        elif a.kind in ("exp", "sigma"):
            yield from _elements(a.data[-1], name)
        elif a.kind in ("above", "base"):
            for n, _ in a.data[0]:
                yield from _elements(n, name)
        elif a.kind == "over":
            for n, _ in a.data[2]:
                yield from _elements(n, name)
        elif a.kind == "apply":
            for v in a.data[1]:
                for n, _ in v:
                    yield from _elements(n, name)


__all__ = ["identically_zero"]
