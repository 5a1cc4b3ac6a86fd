"""The deviations from a mean sum to nothing: ``Σ_m (x[n, m] − mean[n])`` is 0 where ``mean[n] := Σ_m x[n, m]/M``."""

from __future__ import annotations

from collections.abc import Mapping

from derivcheck.derivation.tidy import match
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE, ZERO, mul, power, size_of
from derivcheck.notation.terms.nodes import Add, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import factors


def is_mean(d: Definition) -> Over | None:
    """The sum that the definition divides by the number of its terms."""
    parts = factors(d.term)
    sums = [f for f in parts if isinstance(f, Over) and f.kind == "sum"]
    if len(sums) != 1 or d.recurrent:
        return None
    rest = mul(*(f for f in parts if f is not sums[0]))
    return sums[0] if rest is power(size_of(numel(i.size for i in sums[0].indices)), -1) else None


def without_deviations(term: Term, means: Mapping[str, tuple[Definition, Over]]) -> Term:
    """The term with each sum of deviations from one of these means left out."""

    def change(t: Term) -> Term:
        if not isinstance(t, Over) or t.kind != "sum" or not isinstance(t.body, Add) or len(t.body.args) != 2:
            return t
        for one, other in (t.body.args, t.body.args[::-1]):
            if _is_deviation(t, one, other, means):
                return ZERO
        return t

    return transform(term, change) if not term.names.isdisjoint(means) else term


def _is_deviation(t: Over, value: Term, mean: Term, means: Mapping[str, tuple[Definition, Over]]) -> bool:
    """Whether ``value + mean`` under the sum is an element minus the mean of all elements."""
    name = next((f for f in factors(mean) if isinstance(f, Ref) and f.name in means), None)
    if name is None or mean is not mul(MINUS_ONE, name):
        return False
    d, whole = means[name.name]
    mine = substitute(whole, dict(zip(d.indices, name.at)))
    theirs = Over("sum", t.indices, value)
    return any(True for _ in match(mine, theirs, {}, frozenset()))
