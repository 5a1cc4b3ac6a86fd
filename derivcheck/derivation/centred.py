"""The deviations from a mean sum to nothing: ``Σ_m (x[n, m] − mean[n])`` is 0 where ``mean[n] := Σ_m x[n, m]/M``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from derivcheck.derivation.tidy import match
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE, ZERO, mul, power, size_of
from derivcheck.notation.terms.nodes import Add, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import factors


def is_mean(d: Definition) -> Over | None:
    """The sum that the definition divides by the number of its terms."""
    return None if d.recurrent else mean_of(d.term)


def mean_of(term: Term) -> Over | None:
    """The sum that a term divides by the number of its addends."""
    parts = factors(term)
    sums = [f for f in parts if isinstance(f, Over) and f.kind == "sum"]
    if len(sums) != 1:
        return None
    rest = mul(*(f for f in parts if f is not sums[0]))
    return sums[0] if rest is power(size_of(numel(i.size for i in sums[0].indices)), -1) else None


def without_deviations(term: Term, means: Mapping[str, tuple[Definition, Over]]) -> Term:
    """The term with each sum of deviations from a mean left out, be it one of these or written out."""

    def change(t: Term) -> Term:
        if not isinstance(t, Over) or t.kind != "sum":
            return t
        return ZERO if any(_is_nothing(s, means) for s in _summed_alone(t)) else t

    return transform(term, change)


def _summed_alone(t: Over) -> Iterator[Over]:
    """The factors of two addends that are summed by themselves, ``Σ_m (x[m] − μ)`` in ``Σ_{n,m} a[n]·(x[m] − μ)``."""
    parts = factors(t.body)
    for f in parts:
        if isinstance(f, Add) and len(f.args) == 2:
            own = tuple(i for i in t.indices if all(i not in g.free for g in parts if g is not f))
            if own:
                yield Over("sum", own, f)


def _is_nothing(t: Over, means: Mapping[str, tuple[Definition, Over]]) -> bool:
    """Whether it is a sum of deviations from a mean."""
    assert isinstance(t.body, Add)
    return any(_is_deviation(t, one, other, means) for one, other in (t.body.args, t.body.args[::-1]))


def _is_deviation(t: Over, value: Term, mean: Term, means: Mapping[str, tuple[Definition, Over]]) -> bool:
    """Whether ``value + mean`` under the sum is an element minus the mean of all elements."""
    mine = _sum_of_mean(mean, means)
    if mine is None or not mine.free.isdisjoint(t.indices):
        return False
    theirs = Over("sum", t.indices, value)
    return any(True for _ in match(mine, theirs, {}, frozenset()))


def _sum_of_mean(mean: Term, means: Mapping[str, tuple[Definition, Over]]) -> Over | None:
    """The sum that minus a mean divides: of its definition, or of the term as it stands."""
    parts = factors(mean)
    if MINUS_ONE not in parts:
        return None
    rest = mul(*(f for f in parts if f is not MINUS_ONE))
    if isinstance(rest, Ref) and rest.name in means:
        d, whole = means[rest.name]
        return cast(Over, substitute(whole, dict(zip(d.indices, rest.at))))
    return mean_of(rest)
