"""Whether two terms are equal for every size, by the normal form alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter

from derivcheck.notation.sizes import Index, Poly
from derivcheck.notation.terms import Term
from derivcheck.proof import polynomials
from derivcheck.proof.normal import of_term, vanishes
from derivcheck.proof.space import OutOfTime, Space, Unreduced

# From what is cheap to what opens the most.
MODES: tuple[dict[str, bool], ...] = ({}, {"expand": True}, {"ranges": True}, {"expand": True, "ranges": True})


def spaces(below: Mapping[str, Poly] | None = None, time_limit: float = 2.0,
           top: Iterable[Index] = ()) -> Iterator[Space]:
    """The spaces to try, one after another."""
    end = perf_counter() + time_limit
    for mode in MODES:
        yield Space(below, deadline=end, top=top, **mode)


def surely_equal(left: Term, right: Term, below: Mapping[str, Poly] | None = None, time_limit: float = 2.0) -> bool:
    """Whether two terms are equal for every size wherever both are defined (False: not known).

    >>> from derivcheck.notation.sizes import Index, size
    >>> from derivcheck.notation.terms import ONE, div, func, ref, summation
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> surely_equal(summation([i], div(func("exp", ref("x", i)), summation([j], func("exp", ref("x", j))))), ONE)
    True
    """
    for space in spaces(below, time_limit, left.free | right.free):
        try:
            d = polynomials.plus(of_term(space, left), polynomials.scaled(of_term(space, right), -1))
            if vanishes(space, d):
                return True
        except (OutOfTime, RecursionError):
            return False
        except Unreduced:
            continue
    return False
