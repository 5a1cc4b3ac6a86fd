"""What building the terms leaves out (``0·(1/k)`` is 0, ``k·(1/k)`` is 1) where torch has NaN, which no product takes back:
where that is at some sizes, they are excluded; where it is at all, the code is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Poly, as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.domains import partial
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.terms.nodes import Bracket, Number, Pow, Ref, Term
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.values import as_integer
from derivcheck.tracing.recording.data import Call
from derivcheck.tracing.watching.made_of_sizes import sizes_of_term


def left_out(heard: Sequence[Term], b: Builder, constants: Mapping[str, torch.Tensor], call: Call) -> tuple[Term, ...]:
    """What in the terms that a step left out is not defined for all values of the inputs; what is not defined at some sizes
    is required not to be of them.

    Raises:
        UnsupportedOperation: it is not defined whatever the inputs are.
    """
    known = {d.name: d for d in b.definitions}
    found = partial(heard, known, lambda t: _divisor(t) is not None)
    for n in sorted(_names(heard, known) & constants.keys()):
        if constants[n].is_floating_point() and not constants[n].isfinite().all():
            _refuse(call, f"{n} holds what is not finite")
    for t in found:
        divisor = _divisor(t)
        if divisor is not None:
            if not Requirement(divisor, ">=", as_poly(1)).implied(b.requires):
                b.require(divisor, "!=", 0)
        elif (under := _under_root(t)) is not None:
            if not nonnegative(under, 0):
                b.require(under, ">=", 0)
        elif not t.names and (t.free or sizes_of_term(t) or not _defined(t)):
            _refuse(call, f"{t} is no number")
    return tuple(t for t in found if t.names)


def _names(terms: Sequence[Term], known: Mapping[str, Definition]) -> set[str]:
    """The names in terms, and in what these mean, but for what is only compared."""
    found: set[str] = set()
    waiting = list(terms)
    while waiting:
        t = waiting.pop()
        if isinstance(t, Ref) and t.name not in found:
            found.add(t.name)
            waiting += [known[t.name].term] if t.name in known else []
        elif not isinstance(t, Bracket):
            waiting += t.children
    return found


def _divisor(t: Term) -> Poly | None:
    """The integer expression of sizes, and not of positions, that a term divides by, where it may be 0."""
    if not isinstance(t, Pow) or t.free or t.names or isinstance(t.exponent, Number) and t.exponent.value > 0:
        return None
    found = as_integer(t.base)
    return None if found is None or found.constant is not None or nonnegative(found - 1, 0) else found


def _under_root(t: Term) -> Poly | None:
    """The integer expression of sizes, and not of positions, that a root is taken of."""
    if not isinstance(t, Pow) or t.free or t.names or not isinstance(t.exponent, Number) or t.exponent.value < 0:
        return None
    found = as_integer(t.base)
    return None if found is None or found.constant is not None else found


def _defined(t: Term) -> bool:
    """Whether a term of numbers alone has a value."""
    try:
        return math.isfinite(float(evaluate(Program((), (Definition("z", (), t),), ("z",)), {})["z"]))
    except (ZeroDivisionError, ValueError, OverflowError):
        return False


def _refuse(call: Call, why: str) -> None:
    raise UnsupportedOperation(
        call.operator, f"it is NaN whatever the inputs are: {why}", call.place, "Leave out what divides by 0 or is infinite."
    )
