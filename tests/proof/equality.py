"""Whether two terms are equal for every size: by the normal form, by the small-size theorem, by the second route."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.proof.expressions.atoms import Expression
from derivcheck.proof.expressions.context import Context, Facts, Mode, OutOfTime, Unreduced
from derivcheck.proof.expressions.polynomials import minus
from derivcheck.proof.normal_form.modes import AS_WRITTEN, AS_WRITTEN_EXPANDED, modes
from derivcheck.proof.normal_form.normal import new_context, of_term
from derivcheck.proof.normal_form.vanishing import vanishes
from derivcheck.proof.second_route.one_sum import vanishes_under_one_sum
from derivcheck.proof.second_route.small_sizes import agreement

Below = Mapping[str, Poly] | None
Judge = Callable[[Context, Expression], bool]


def differences(
    left: Term, right: Term, below: Below, time_limit: float, every: tuple[Mode, ...]
) -> Iterator[tuple[Context, Expression]]:
    """left − right in each mode that has a normal form of it, until the time is over."""
    end = perf_counter() + time_limit
    for mode in every:
        context = new_context(mode, Facts(below or {}), left.free | right.free, end)
        try:
            yield context, minus(of_term(context, left), of_term(context, right))
        except (OutOfTime, RecursionError):
            return
        except Unreduced:
            continue


def _any(found: Iterator[tuple[Context, Expression]], *judges: Judge) -> bool:
    """Whether one of the judges calls a difference nothing."""
    for context, difference in found:
        for judge in judges:
            try:
                if judge(context, difference):
                    return True
            except (OutOfTime, RecursionError):
                return False
            except Unreduced:
                continue
    return False


def surely_equal(left: Term, right: Term, below: Below = None, time_limit: float = 2.0) -> bool:
    """Whether two terms are equal for every size wherever both are defined (False: not known)."""
    every = tuple(m for m in modes({*subterms(left), *subterms(right)}) if not m.ties)
    return _any(differences(left, right, below, time_limit, every), vanishes)


def _agree(context: Context, difference: Expression) -> bool:
    grid = agreement(context, difference)
    return grid is not None and grid.holds is True


def equal_at_small_sizes(left: Term, right: Term, below: Below = None, time_limit: float = 2.0) -> bool:
    """Whether the small-size theorem says that two terms are equal for every size (False: not known)."""
    return _any(differences(left, right, below, time_limit, (AS_WRITTEN,)), _agree)


def equal_by_second_route(left: Term, right: Term, below: Below = None, time_limit: float = 2.0) -> bool:
    """Whether two terms are equal by what is tried after the normal form: sums taken together, then the small-size theorem."""
    every = (AS_WRITTEN, AS_WRITTEN_EXPANDED)
    return _any(differences(left, right, below, time_limit, every), vanishes_under_one_sum, _agree)
