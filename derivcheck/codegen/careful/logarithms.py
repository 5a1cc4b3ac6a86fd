"""Logarithms: of exponentials and sums of two, of sigmoids and Gaussian tails, of products with such factors, of 1 + w."""

from __future__ import annotations

import math
from fractions import Fraction

from derivcheck.codegen.careful.normalised import Sums
from derivcheck.codegen.careful.sight import HALF, Exponential, PowerOf, Sight, is_sum, log_of
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.terms.build import MINUS_ONE, ONE, ZERO, add, coefficient, func, mul, neg, number, power, sub
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, is_negative
from derivcheck.notation.terms.substitute import inline
from derivcheck.operators.pointwise.elementwise import absolute

_PULLED = frozenset({"exp", "sigmoid", "erfc", "cosh", "i0"})  # above 0 everywhere: their logarithm leaves a product


def logarithm(sight: Sight, sums: Sums, a: Term) -> Term | None:
    """``log(a)`` from functions that take care, or None where it is well as it stands."""
    if sight.bears(a):
        pair = sight.exponentials(a)
        found = of_exponentials(sight, sums, pair) if pair is not None else None
        if found is None:
            found = _of_product(sight, sums, a)
        if found is not None:
            return found
    return _of_one_less(sight, a) or _inverse(sight, a) or _of_one_and(sight, a)


def one_and(sight: Sight, sums: Sums, w: Term) -> Term | None:
    """``log1p(w)`` where w is an exponential."""
    one = sight.exponential(w) if sight.bears(w) else None
    return of_exponentials(sight, sums, [(Fraction(1), ZERO), one]) if one is not None and one[1] is not ZERO else None


def of_exponentials(sight: Sight, sums: Sums, items: list[Exponential]) -> Term | None:
    """The logarithm of one exponential, or of the sum or the difference of two."""
    if len(items) == 1 and items[0][0] > 0 and items[0][1] is not ZERO:
        return add(log_of(items[0][0]), items[0][1])
    if len(items) != 2:
        return None
    (c, u), (d, v) = items
    if c < 0 < d:
        (c, u), (d, v) = (d, v), (c, u)
    if c < 0:
        return None
    if d < 0:  # c·exp(u) − d·exp(v), where u is the larger
        return add(log_of(c), u, func("log1mexp", sub(v, u))) if c == -d else None
    if c == d and sight.same(u, neg(v)):
        return add(log_of(2 * c), func("lncosh", v if is_negative(u) else u))
    if u is ZERO:
        (c, u), (d, v) = (d, v), (c, u)
    if v is ZERO:
        return add(log_of(d), func("softplus", add(u, log_of(c / d))))
    return add(log_of(c), sums.of_two(u, add(v, log_of(d / c))))


def _of_product(sight: Sight, sums: Sums, a: Term) -> Term | None:
    """The logarithm of a product: the factors that are above 0 for sure leave it."""
    c, parts = sight.factors(a)
    if c <= 0:
        return None
    out: list[Term] = []
    whole = _of_softmax(sight, sums, parts)
    if whole is not None:
        out, parts = [whole[0]], whole[1]
    rest: list[Term] = []
    for f in parts:
        log = _of_factor(sight, sums, f)
        if log is None:
            rest.append(f.term)
        else:
            out.append(mul(number(f.exponent), log[1]))
            c *= log[0] ** int(f.exponent)
    if not out:
        return None
    return add(log_of(c), *out) if not rest else add(*out, func("log", mul(Number(c), *rest)))


def _of_softmax(sight: Sight, sums: Sums, parts: list[PowerOf]) -> tuple[Term, list[PowerOf]] | None:
    """``log(exp(u)/Σ exp(u))``, and the factors beside it: the largest u is taken off before digits are lost."""
    grown = [f for f in parts if f.is_exp]
    for g in parts if grown else ():
        if g.exponent == -1 and isinstance(g.base, Over) and is_sum(g.base):
            found = sums.log_softmax(sight, sight.exponent(grown), g.base)
            if found is not None:
                return found, [f for f in parts if f is not g and f not in grown]
    return None


def _of_factor(sight: Sight, sums: Sums, f: PowerOf) -> tuple[Fraction, Term] | None:
    """``(c, l)``, the logarithm of a factor's base being ``log(c) + l``; None where it may not be above 0."""
    base = f.base
    if f.exponent.denominator != 1:
        return None
    one = Fraction(1)
    if isinstance(base, Ref) and base.name in sight.normalised:
        log = logarithm(sight, sums, inline(base, {base.name: sight.normalised[base.name]}))
        return None if log is None else (one, log)
    if isinstance(base, Func) and base.name in _PULLED:
        u = base.args[0]
        if base.name == "exp":
            return one, u
        if base.name == "sigmoid":
            return one, func("logsigmoid", u)
        if base.name == "erfc":
            return Fraction(2), func("log_ndtr", neg(_times_root_of_2(sight, u)))
        if base.name == "cosh":
            return one, func("lncosh", u)
        return one, add(absolute(u), func("log", func("i0e", u)))
    if isinstance(base, Over) and is_sum(base) and sight.bears(base.body):
        positive = (inside := sight.exponential(base.body)) is not None and inside[0] > 0
        return (one, sums.logsumexp(sight, base) or func("log", base)) if positive else None
    if isinstance(base, SizeOf) and nonnegative(base.value - 1):
        return one, func("log", base)
    pair = sight.exponentials(base) if isinstance(base, Add) else None
    if pair is not None and all(c > 0 for c, _ in pair):
        log = of_exponentials(sight, sums, pair)
        return None if log is None else (one, log)
    return None


def _times_root_of_2(sight: Sight, u: Term) -> Term:
    """``√2·u``, where a float64 √2 in u, which is √2 rounded, is taken for it."""
    c, rest = coefficient(sight.opened(u))
    k = float(c) * math.sqrt(2)
    if abs(abs(k) - 1) < 4e-16:
        return rest if k > 0 else neg(rest)
    return mul(u, power(number(2), HALF))


def _of_one_less(sight: Sight, a: Term) -> Term | None:
    """``log(1 − σ(u))``."""
    parts = sight.addends(a) if sight.bears(a) else []
    for (one, number_), (c, rest) in (parts, parts[::-1]) if len(parts) == 2 else ():
        o = sight.opened(rest)
        if one == 1 and number_ is ONE and c == -1 and isinstance(o, Func) and o.name == "sigmoid":
            return func("logsigmoid", neg(sight.scaled(o.args[0])))
    return None


def _of_one_and(sight: Sight, a: Term) -> Term | None:
    """``log(1 + w)`` keeps the digits of a small w."""
    o = sight.opened(a)
    if isinstance(o, Add) and o.args[-1] is ONE and not any(isinstance(x, Number) for x in o.args[:-1]):
        return func("log1p", add(*o.args[:-1]))
    if isinstance(o, Add) and o.args[0] is ONE and not any(isinstance(x, Number) for x in o.args[1:]):
        return func("log1p", add(*o.args[1:]))
    return None


def _inverse(sight: Sight, a: Term) -> Term | None:
    """``log(x + √(x² ± 1))`` and ``log((1 + x)/(1 − x))``: asinh, acosh and 2 atanh."""
    o = sight.opened(a)
    if isinstance(o, Add) and len(o.args) == 2:
        for x, r in (o.args, o.args[::-1]):
            root = sight.opened(r)
            if isinstance(root, Pow) and root.exponent is Number(HALF):
                square = sub(sight.expanded(root.base), power(sight.expanded(x), 2))
                if square in (ONE, MINUS_ONE):
                    return func("asinh" if square is ONE else "acosh", x)
    if isinstance(o, Mul) and len(o.args) == 2:
        for top, under in (o.args, o.args[::-1]):
            if isinstance(under, Pow) and under.exponent is MINUS_ONE:
                x = sub(sight.opened(top), ONE)
                if sight.same(add(under.base, x), ONE):
                    return mul(number(2), func("atanh", x))
    return None
