"""How far a normal form goes, from what is cheap to what opens the most, and which of these can tell more of some terms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.build import neg
from derivcheck.notation.terms.nodes import Bracket, Func, Number, Over, Pow, Ref, Term
from derivcheck.proof.expressions.context import PLAIN, Mode

EXPANDED = Mode(expand=True)
RANGES = Mode(ranges=True)
EXPANDED_RANGES = Mode(expand=True, ranges=True)
AWAY_FROM_KINKS = Mode(expand=True, ranges=True, ties=True)  # a condition
ELEMENTS = Mode(elements=True)
ELEMENTS_EXPANDED = Mode(elements=True, expand=True)
ELEMENTS_AWAY_FROM_KINKS = Mode(elements=True, expand=True, ranges=True, ties=True)
CASES = Mode(expand=True, elements=True, cases=True)
CASES_OF_SIGNS = replace(CASES, signs=True)
# for the second route, which wants each index in the range that it was written with
AS_WRITTEN = Mode(shifts=False)
AS_WRITTEN_EXPANDED = Mode(shifts=False, expand=True)


def modes(everything: Collection[Term], kinds: Mapping[str, str] | None = None) -> list[Mode]:
    """Which modes can tell more: without functions or quotients ``expand`` opens nothing, without ranges ``ranges``.

    Args:
        everything: the terms, and all that stands inside them.
        kinds: the kind of each tensor that is not of real numbers.
    """
    expand = any(_expands(t) for t in everything)
    ranges = any(_ranges(t) for t in everything)
    found = [m for m in (PLAIN, EXPANDED, RANGES, EXPANDED_RANGES) if (expand or not m.expand) and (ranges or not m.ranges)]
    compared = comparisons_in(everything, kinds or {})
    if compared and _leaves_equalities_out(everything, kinds or {}):
        found.append(AWAY_FROM_KINKS)
    if _literal(everything):
        found += [replace(m, elements=True) for m in found if not m.ranges or m.ties]
    return [*found, CASES, CASES_OF_SIGNS] if compared else found


def _literal(everything: Iterable[Term]) -> bool:
    """Whether something runs over a literal number of places, more than one."""
    indices = {
        i for t in everything for i in (t.free if isinstance(t, (Ref, Bracket)) else t.indices if isinstance(t, Over) else ())
    }
    return any(i.size.constant is not None and i.size.constant > 1 for i in indices)


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


def _integral(t: Term, kinds: Mapping[str, str]) -> bool:
    """Whether it is an element of a boolean or integer tensor."""
    return isinstance(t, Ref) and kinds.get(t.name, "float") != "float"


def comparisons_in(terms: Iterable[Term], kinds: Mapping[str, str]) -> int:
    """How many comparisons of real numbers there are."""
    return sum(isinstance(t, Bracket) and isinstance(t.operand, Term) and not _integral(t.operand, kinds) for t in terms)


def _leaves_equalities_out(everything: Iterable[Term], kinds: Mapping[str, str]) -> bool:
    """Whether every equality of real numbers is that of a kink, so that it may be left out where the kinks are."""
    ordered: set[Term] = set()
    equal: list[Term] = []
    for t in everything:
        if isinstance(t, Bracket) and isinstance(t.operand, Term) and not _integral(t.operand, kinds):
            if t.relation in (">", ">="):
                ordered |= {t.operand, neg(t.operand)}
            else:
                equal.append(t.operand)
    return all(e in ordered for e in equal)
