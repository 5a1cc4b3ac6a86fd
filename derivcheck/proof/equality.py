"""Whether two terms are equal for every size: by the normal form, or by the small-size theorem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.nodes import Bracket, Func, Number, Over, Pow, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.proof import polynomials
from derivcheck.proof.kinks import leaves_equalities_out, whole
from derivcheck.proof.normal import of_term, vanishes
from derivcheck.proof.one_sum import vanishes_under_one_sum
from derivcheck.proof.small_sizes import agreement
from derivcheck.proof.space import OutOfTime, Space, Unreduced

# From what is cheap to what opens the most; the fifth leaves out the kinks, which is a condition; the last two are for
# the second route, which wants each index in the range that it was written with.
MODES: tuple[dict[str, Any], ...] = (
    {},
    {"expand": True},
    {"ranges": True},
    {"expand": True, "ranges": True},
    {"expand": True, "ranges": True, "ties": True},
    {"shifts": False},
    {"shifts": False, "expand": True},
)
TIES, AS_WRITTEN, AS_WRITTEN_EXPANDED = 4, 5, 6


def modes(terms: Iterable[Term], kinds: Mapping[str, str] | None = None) -> list[int]:
    """Which modes can tell more: without functions or quotients ``expand`` opens nothing, without ranges ``ranges``.

    Args:
        kinds: the kind of each tensor that is not of real numbers.
    """
    everything = {t for term in terms for t in subterms(term)}
    expand = any(_expands(t) for t in everything)
    ranges = any(_ranges(t) for t in everything)
    ties = any(isinstance(t, Bracket) and isinstance(t.operand, Term) and not whole(t.operand, kinds or {}) for t in everything)
    ties = ties and leaves_equalities_out(everything, kinds or {})
    plain = [k for k, m in enumerate(MODES[:TIES]) if (expand or not m.get("expand")) and (ranges or not m.get("ranges"))]
    return [*plain, TIES] if ties else plain


def _expands(t: Term) -> bool:
    if isinstance(t, Bracket):
        return isinstance(t.operand, Term)
    if isinstance(t, Pow):
        return not isinstance(t.exponent, Number) or t.exponent.value < 0 or t.exponent.value.denominator != 1
    return isinstance(t, Func) and t.name not in ("exp", "log", "sin", "cos", "erf") or isinstance(t, Over) and t.kind == "prod"


def _ranges(t: Term) -> bool:
    if isinstance(t, Bracket):
        return isinstance(t.operand, Poly) and t.relation == ">="
    return isinstance(t, Over) and any(not m for i in t.indices for m, _ in i.size.terms)


def spaces(below: Mapping[str, Poly] | None, time_limit: float, terms: Iterable[Term]) -> Iterator[Space]:
    """The spaces to try on these terms, one after another."""
    end = perf_counter() + time_limit
    terms = tuple(terms)
    top = frozenset[Index]().union(*(t.free for t in terms))
    for k in modes(terms):
        if k != TIES:
            yield Space(below, deadline=end, top=top, **MODES[k])


def surely_equal(left: Term, right: Term, below: Mapping[str, Poly] | None = None, time_limit: float = 2.0) -> bool:
    """Whether two terms are equal for every size wherever both are defined (False: not known).

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import ONE, div, func, ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> surely_equal(summation([i], div(func("exp", ref("x", i)), summation([j], func("exp", ref("x", j))))), ONE)
    True
    """
    for space in spaces(below, time_limit, (left, right)):
        try:
            d = polynomials.plus(of_term(space, left), polynomials.scaled(of_term(space, right), -1))
            if vanishes(space, d):
                return True
        except (OutOfTime, RecursionError):
            return False
        except Unreduced:
            continue
    return False


def equal_at_small_sizes(left: Term, right: Term, below: Mapping[str, Poly] | None = None, time_limit: float = 2.0) -> bool:
    """Whether the small-size theorem says that two terms are equal for every size (False: not known).

    >>> from derivcheck.notation.integers.polynomials import i_poly, size
    >>> from derivcheck.notation.terms.brackets import bracket
    >>> from derivcheck.notation.terms.build import add, mul, ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> lower, upper = (bracket(r, i_poly(i) - i_poly(j)) for r in (">=", "<"))
    >>> half = [summation([i, j], mul(b, ref("A", i, j))) for b in (lower, upper)]
    >>> equal_at_small_sizes(add(*half), summation([i, j], ref("A", i, j)))
    True
    """
    space = Space(below, deadline=perf_counter() + time_limit, top=left.free | right.free, **MODES[AS_WRITTEN])
    try:
        grid = agreement(space, polynomials.plus(of_term(space, left), polynomials.scaled(of_term(space, right), -1)))
    except (OutOfTime, RecursionError, Unreduced):
        return False
    return grid is not None and grid.holds is True


def equal_by_second_route(left: Term, right: Term, below: Mapping[str, Poly] | None = None, time_limit: float = 2.0) -> bool:
    """Whether two terms are equal by what is tried after the normal form: sums taken together, then the small-size theorem.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import ONE, add, div, neg, power, ref, sub
    >>> from derivcheck.notation.terms.substitute import summation
    >>> i = Index("i", size("N"))
    >>> less, more = add(ref("x", i), neg(ONE)), add(ref("x", i), ONE)
    >>> apart = sub(summation([i], div(ONE, less)), summation([i], div(ONE, more)))
    >>> equal_by_second_route(apart, summation([i], div(add(ONE, ONE), sub(power(ref("x", i), 2), ONE))))
    True
    """
    end = perf_counter() + time_limit
    for mode in (AS_WRITTEN, AS_WRITTEN_EXPANDED):
        space = Space(below, deadline=end, top=left.free | right.free, **MODES[mode])
        try:
            d = polynomials.plus(of_term(space, left), polynomials.scaled(of_term(space, right), -1))
            if vanishes_under_one_sum(space, d):
                return True
            grid = agreement(space, d)
        except (OutOfTime, RecursionError, Unreduced):
            continue
        if grid is not None and grid.holds:
            return True
    return False
