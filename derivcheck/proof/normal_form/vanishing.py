"""Whether an expression is zero: by itself, or once its free indices are written in digits and its denominators are cleared."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.proof.expressions.atoms import Base, Expression, Rational, unlimited
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import add_into, free_in
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import moved


def vanishes(context: Context, expression: Expression) -> bool:
    """Whether the expression is zero: by itself, or once its denominators are cleared."""
    if not expression:
        return True
    return not any(cleared(context, _in_digits(context, expression)))


def _in_digits(context: Context, expression: Expression) -> Expression:
    """A free index below ``H·d`` of which ``i // d`` is used is written as ``h·d + e``: every place is, in one way."""
    free = free_in(expression)
    for p in (p for a in dict.fromkeys(a for m in expression for a, _ in m if a.divides) for p in a.every_position()):
        found = _digits(p, free)
        if found is not None:
            i, high, low = found
            context.used("i = h·d + e")
            h, e = context.temporary(high), context.temporary(low)
            context.top |= {h, e}
            return _in_digits(context, moved(context, expression, {i: low * i_poly(h) + i_poly(e)}))
    return expression


def _digits(p: Poly, free: Collection[Index]) -> tuple[Index, Poly, Poly] | None:
    """A free index of which a position takes a quotient, the quotient's size, and what it is divided by."""
    for x in p.atoms():
        i = x.numerator.index if isinstance(x, Floor) else None
        if isinstance(x, Floor) and i is not None and i in free and not x.denominator.indices and not unlimited(i):
            high = exact_quotient(i.size, x.denominator)
            if high is not None:
                return i, high, x.denominator
    return None


def cleared(context: Context, expression: Expression) -> list[Expression]:
    """The expression times its denominators, one part per class of fractional exponents."""
    done: list[Expression] = []
    stack: list[tuple[Expression, frozenset[Base]]] = [(expression, frozenset())]
    while stack:
        context.tick()
        u, settled = stack.pop()
        base = _denominator(u, settled)
        if base is None:
            done.append(u)
            continue
        context.used("times the denominators")
        classes: dict[Fraction, Expression] = {}
        for m, c in u.items():
            classes.setdefault(Fraction(dict(m).get(base, 0)) % 1, {})[m] = c
        stack += [(_times_base(context, part, base), settled | {base}) for part in classes.values()]
    return done


def _times_base(context: Context, part: Expression, base: Base) -> Expression:
    """The terms times the power of a base that leaves none of it below the line; their exponents differ by integers."""
    exponents: dict[object, Rational] = {m: dict(m).get(base, 0) for m in part}
    lowest = min(exponents.values())
    total: Expression = {}
    for m, c in part.items():
        rest = frozenset(t for t in m if t[0] is not base)
        raised = power(context, dict(base.terms), int(exponents[m] - lowest))
        add_into(total, times(context, {rest: c}, raised))
    return total


def _denominator(u: Expression, settled: Collection[Base]) -> Base | None:
    """A base below the line that is not settled."""
    found = {a for m in u for a, e in m if isinstance(a, Base) and e < 0 and a not in settled}
    return min(found, key=lambda a: a.signature, default=None)
