"""Products and quotients: of exponentials and their sums, of a tail and what undoes it, of a number and its own logarithm."""

from __future__ import annotations

from fractions import Fraction

from derivcheck.codegen.careful.normalised import Sums
from derivcheck.codegen.careful.sight import HALF, Exponential, PowerOf, Sight, is_sum, odd
from derivcheck.notation.terms.build import ZERO, func, mul, neg, power, sub
from derivcheck.notation.terms.nodes import Func, Number, Over, Term
from derivcheck.operators.pointwise.elementwise import absolute


def quotient(sight: Sight, sums: Sums, t: Term) -> Term | None:
    """The product from functions that take care, or None where it is well as it stands."""
    if not sight.bears(t):
        return None
    c, parts = sight.factors(t)
    for rule in (_tanh, _sigmoid, _softmax, _scaled, _times_log):
        found = rule(sight, sums, parts)
        if found is not None:
            return mul(Number(c), *found)
    return None


def _rest(parts: list[PowerOf], *gone: PowerOf) -> list[Term]:
    return [f.term for f in parts if f not in gone]


def _once_less(f: PowerOf) -> Term:
    """A factor with its exponent one nearer to 0."""
    return power(f.shown, Number(f.exponent - (1 if f.exponent > 0 else -1)))


def _below(sight: Sight, f: PowerOf) -> list[Exponential] | None:
    """The two exponentials, both above 0, that a factor divides by; a sigmoid divides by 1 + exp(−v)."""
    if f.exponent.denominator != 1:
        return None
    if isinstance(f.base, Func) and f.base.name == "sigmoid" and f.exponent > 0:
        return [(Fraction(1), ZERO), (Fraction(1), neg(sight.scaled(f.base.args[0])))]
    pair = sight.exponentials(f.base) if f.exponent < 0 else None
    return pair if pair is not None and len(pair) == 2 and all(c > 0 for c, _ in pair) else None


def _tanh(sight: Sight, sums: Sums, parts: list[PowerOf]) -> list[Term] | None:
    """``(exp(u) − exp(v))/(exp(u) + exp(v))``."""
    for f in parts:
        above = sight.exponentials(f.base) if f.exponent >= 1 and f.exponent.denominator == 1 else None
        if above is None or len(above) != 2 or above[0][0] != -above[1][0]:
            continue
        for g in parts:
            below = _below(sight, g)
            if below is None or below[0][0] != below[1][0] or {u for _, u in above} != {u for _, u in below}:
                continue
            (c, u), (_, v) = above if above[0][0] > 0 else above[::-1]
            ratio = odd("tanh", mul(Number(HALF), sub(u, v)))
            return [Number(c / below[0][0]), ratio, _once_less(f), _once_less(g), *_rest(parts, f, g)]
    return None


def _sigmoid(sight: Sight, sums: Sums, parts: list[PowerOf]) -> list[Term] | None:
    """``exp(u)/(exp(u) + exp(v))``, and ``1/(1 + exp(u))``."""
    for g in parts:
        below = _below(sight, g)
        if below is None:
            continue
        grown = [f for f in parts if f.is_exp]
        total = sight.exponent(grown)
        for k in (0, 1):
            (c, u), (d, v) = below[k], below[1 - k]
            if c == d and u is not ZERO and sight.same(u, total):
                return [Number(1 / c), func("sigmoid", sub(u, v)), _once_less(g), *_rest(parts, g, *grown)]
        if isinstance(g.base, Func):
            continue
        for k in (0, 1):
            (c, u), (d, v) = below[k], below[1 - k]
            if c == d and u is ZERO:
                return [Number(1 / c), func("sigmoid", neg(v)), _once_less(g), *_rest(parts, g)]
    return None


def _softmax(sight: Sight, sums: Sums, parts: list[PowerOf]) -> list[Term] | None:
    """``exp(u)/Σ exp(u)``."""
    for g in parts:
        if g.exponent.denominator != 1 or g.exponent >= 0 or not isinstance(g.base, Over) or not is_sum(g.base):
            continue
        grown = [f for f in parts if f.is_exp]
        for some in [grown, *([f] for f in grown if len(grown) > 1 and f.exponent == 1)]:
            found = sums.softmax(sight, sight.exponent(some), g.base) if some else None
            if found is not None:
                return [found, _once_less(g), *_rest(parts, g, *some)]
    return None


def _scaled(sight: Sight, sums: Sums, parts: list[PowerOf]) -> list[Term] | None:
    """``exp(v²)·erfc(v)`` and ``exp(−|v|)·I(v)``."""
    grown = [f for f in parts if f.is_exp]
    total = sight.exponent(grown)
    for f in parts if grown else ():
        if f.exponent != 1 or not isinstance(f.base, Func) or f.base.name not in ("erfc", "i0", "i1"):
            continue
        v = f.base.args[0]
        if f.base.name == "erfc" and sight.same(total, power(v, 2)):
            return [func("erfcx", v), *_rest(parts, f, *grown)]
        if f.base.name != "erfc" and sight.same(total, neg(absolute(v))):
            return [func(f"{f.base.name}e", v), *_rest(parts, f, *grown)]
    return None


def _times_log(sight: Sight, sums: Sums, parts: list[PowerOf]) -> list[Term] | None:
    """``x·log(x)``, ``x·log(x/y)``: 0 where x is."""
    for f in parts:
        if f.exponent != 1 or not isinstance(f.base, Func) or f.base.name != "log":
            continue
        _, inner = sight.factors(f.base.args[0])
        for g in parts:
            if g is not f and g.exponent >= 1 and any(h.shown is g.shown and h.exponent > 0 for h in inner):
                return [func("xlogy", g.shown, f.base.args[0]), _once_less(g), *_rest(parts, f, g)]
    return None
