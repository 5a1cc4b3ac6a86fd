"""Whether an expression is zero: by itself, or once its free indices are written in digits and its denominators are cleared."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, PolyLike, i_poly
from derivcheck.proof.expressions.atoms import Base, Expression, Rational, unlimited
from derivcheck.proof.expressions.context import Context
from derivcheck.proof.expressions.polynomials import add_into, free_in
from derivcheck.proof.normal_form.powers import power
from derivcheck.proof.normal_form.products import times
from derivcheck.proof.normal_form.substitution import moved

FEW = 8  # values of a digit that are looked at one by one


def vanishes(context: Context, expression: Expression) -> bool:
    """Whether the expression is zero: by itself, or once its denominators are cleared."""
    if not expression:
        return True
    return not any(left for u in _in_digits(context, expression) for left in cleared(context, u))


def _in_digits(context: Context, expression: Expression, depth: int = 3) -> Iterator[Expression]:
    """A free index of which ``i // d`` is used is written as ``h·d + e``, which every place is; where d is a small number, once
    for each e.  The expression is zero where all of these are."""
    free = free_in(expression)
    for p in (p for a in dict.fromkeys(a for m in expression for a, _ in m if a.divides) for p in a.every_position()):
        found = _digits(p, free) if depth else None
        if found is not None:
            i, high, low = found
            context.used("i = h·d + e")
            h = context.temporary(high)
            context.top |= {h}
            if low.constant is not None and low.constant <= FEW:
                lows: list[PolyLike] = list(range(low.constant))
            else:
                e = context.temporary(low)
                context.top |= {e}
                lows = [i_poly(e)]
            for each in lows:
                yield from _in_digits(context, moved(context, expression, {i: low * i_poly(h) + each}), depth - 1)
            return
    yield expression


def _digits(p: Poly, free: Collection[Index]) -> tuple[Index, Poly, Poly] | None:
    """A free index of which a position takes a quotient, the quotient's size, and what it is divided by."""
    for x in p.atoms():
        if not isinstance(x, Floor) or x.denominator.indices:
            continue
        i, width = x.numerator.index, x.denominator.constant
        if i is not None and i in free and not unlimited(i):
            high = exact_quotient(i.size, x.denominator)
            if high is not None:
                return i, high, x.denominator
        if width is None or not 1 < width <= FEW:
            continue
        for j in sorted(x.numerator.indices.intersection(free), key=lambda j: j.key):
            slope = x.numerator.linear_in(j)
            if slope is not None and slope[0] in (1, -1) and not unlimited(j) and not j.size.indices:
                return j, (j.size + width - 1) // width, x.denominator
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
