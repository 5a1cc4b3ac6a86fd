"""A function by cases of a bracket: ``f([c]·v + w) = [c]·f(v + w) + (1 − [c])·f(w)``."""

from __future__ import annotations

from collections.abc import Callable

from derivcheck.proof.expressions.atoms import Above, Expression, Iverson, Least, ProofAtom
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import add_into, minus, of_atom
from derivcheck.proof.normal_form.products import times


def by_cases(context: Context, u: Expression, f: Callable[[Expression], Expression]) -> Expression | None:
    """``f`` of an expression, by cases of its first bracket; None where no bracket stands in a sum, or a case is undefined."""
    mask = next((a for m in u for a, _ in m if isinstance(a, Iverson)), None) if len(u) > 1 else None
    if mask is None:
        return None
    try:
        return cases(context, u, mask, f)
    except Unreduced:
        return None


def cases(context: Context, u: Expression, mask: Iverson, f: Callable[[Expression], Expression]) -> Expression:
    """``[c]·f(where c is 1) + (1 − [c])·f(where it is 0)``."""
    on, off = assuming(u, mask)
    high, low = f(on), f(off)
    context.used("f by cases of a bracket")
    total = dict(low)
    add_into(total, times(context, of_atom(mask), minus(high, low)))
    return total


def assuming(u: Expression, mask: Iverson) -> tuple[Expression, Expression]:
    """The expression where a bracket is 1, and where it is 0; its complement is then 0, and 1."""
    atoms = dict.fromkeys(a for m in u for a, _ in m)
    other = next((a for a in reversed(atoms) if _complements(mask, a)), None)
    excluded = {a for a in atoms if _opposite(mask, a)} if other is None else {other}
    on: Expression = {}
    off: Expression = {}
    for m, c in u.items():
        inside = {a for a, _ in m}
        if inside.isdisjoint(excluded):
            add_into(on, {frozenset(t for t in m if t[0] is not mask): c})
        if mask not in inside:
            add_into(off, {frozenset(t for t in m if t[0] is not other): c})
    return on, off


def _complements(a: ProofAtom, b: ProofAtom) -> bool:
    """Whether the two are ``[p ≥ 0]`` and ``[−p − 1 ≥ 0]``."""
    return isinstance(a, Least) and isinstance(b, Least) and (a.poly + b.poly).constant == -1


def _opposite(a: ProofAtom, b: ProofAtom) -> bool:
    """Whether the two are ``[u > 0]`` and ``[−u > 0]``."""
    return isinstance(a, Above) and isinstance(b, Above) and b.terms == frozenset((m, -c) for m, c in a.terms)
