"""The functions that build terms; they apply only laws that hold always.

Numbers are added up, ``0·t = 0``, equal addends are counted and equal bases gathered.

>>> from derivcheck.notation.integers.polynomials import Index, size
>>> n = Index("n", size("N"))
>>> print(mul(number(2), ref("x", n), ref("x", n)))
2*x[n]^2
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from derivcheck.notation.integers.polynomials import Atom, Index, PolyLike, as_poly
from derivcheck.notation.terms.dropped import drop
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Rational, Ref, SizeOf, Term, is_negative


def number(value: Rational | float) -> Number:
    """An exact number; a float is taken at its shortest decimal spelling (``1e-5`` is 1/100000)."""
    if isinstance(value, float):
        return Number(Fraction(repr(value)))
    return Number(value)


ZERO, ONE, MINUS_ONE = Number(0), Number(1), Number(-1)


def size_of(value: PolyLike | Atom) -> Term:
    """An integer expression as a number."""
    poly = as_poly(value)
    c = poly.constant
    return Number(c) if c is not None else SizeOf(poly)


def ref(name: str, *at: PolyLike | Index) -> Ref:
    """The element ``name[at]``."""
    return Ref(name, tuple(as_poly(p) for p in at))


_ONCE = Fraction(1)
Key = frozenset[tuple[Term, int]] | frozenset[Term] | Term  # equal for addends that are the same product


def add(*args: Term) -> Term:
    """The sum, flat, with numbers added up and equal terms counted."""
    total: Rational = 0
    counts: dict[Key, tuple[Rational, Term]] = {}
    stack = list(reversed(args))
    while stack:
        t = stack.pop()
        if isinstance(t, Add):
            stack.extend(reversed(t.args))
            continue
        if isinstance(t, Number):
            total += t.value
            continue
        c, rest = coefficient(t)
        key: Key = rest
        if isinstance(rest, Mul):
            key = frozenset(rest.args)
            key = key if len(key) == len(rest.args) else frozenset(Counter(rest.args).items())
        before = counts.get(key)
        counts[key] = (c if before is None else before[0] + c, rest if before is None else before[1])
    out = [rest if c == 1 and type(rest) in _WHOLE else mul(Number(c), rest) for c, rest in counts.values() if c]
    drop(*(rest for c, rest in counts.values() if not c))
    if total:
        out.append(Number(total))
    if len(out) < 2:
        return out[0] if out else ZERO
    if is_negative(out[0]):  # a sum starts with what is added: 1 - y, not -y + 1
        first = next((k for k, t in enumerate(out) if not is_negative(t)), 0)
        out.insert(0, out.pop(first))
    return Add(tuple(out))


_WHOLE = frozenset((Ref, Bracket, Func, Over, SizeOf, Add))  # what is a product of itself alone


def coefficient(term: Term) -> tuple[Fraction, Term]:
    """``(c, rest)`` with ``term = c·rest`` and no number left in ``rest``'s factors."""
    if isinstance(term, Number):
        return term.value, ONE
    if isinstance(term, Mul) and isinstance(term.args[0], Number):
        rest = term.args[1:]
        return term.args[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return _ONCE, term


def mul(*args: Term) -> Term:
    """The product, flat, with numbers multiplied and equal bases gathered."""
    total: Fraction | None = None
    powers: dict[Term, Term] = {}
    stack = list(args)
    stack.reverse()
    while stack:
        t = stack.pop()
        if isinstance(t, Mul):
            stack.extend(reversed(t.args))
            continue
        if isinstance(t, Number):
            total = t.value if total is None else total * t.value
            continue
        base, exponent = (t.base, t.exponent) if isinstance(t, Pow) else (t, ONE)
        before = powers.get(base)
        if before is None:
            powers[base] = exponent
        else:
            drop(*(Pow(base, e) for e in (before, exponent) if restricts(e)))
            powers[base] = before if isinstance(base, Bracket) else add(before, exponent)
    if total is not None and not total:
        drop(*(b if e is ONE else Pow(b, e) for b, e in powers.items()))
        return ZERO
    out: list[Term] = []
    flat = True
    for b, e in powers.items():
        p = b if e is ONE else power(b, e)
        if p is not ONE:
            out.append(p)
            flat = flat and not isinstance(p, (Number, Mul))
    if not flat:
        return mul(*out) if total is None else mul(Number(total), *out)
    if total is not None and total != 1:
        out.insert(0, Number(total))
    return ONE if not out else out[0] if len(out) == 1 else Mul(tuple(out))


def neg(term: Term) -> Term:
    """``−term``."""
    if isinstance(term, Add):
        return add(*(neg(a) for a in term.args))
    return mul(MINUS_ONE, term)


def sub(left: Term, right: Term) -> Term:
    """``left − right``."""
    return add(left, neg(right))


def div(left: Term, right: Term) -> Term:
    """``left / right``."""
    return mul(left, power(right, MINUS_ONE))


def power(base: Term, exponent: Term | Rational) -> Term:
    """``base ** exponent``; whole powers of numbers, products and powers are carried out."""
    e = exponent if isinstance(exponent, Term) else Number(exponent)
    if e is ONE:
        return base
    if isinstance(e, Number):
        if e is ZERO:
            drop(base)
            return ONE
        if e.value.denominator == 1:
            k = int(e.value)
            if isinstance(base, Number) and (base.value or k > 0):
                return Number(base.value**k)
            if isinstance(base, Bracket) and k > 0:
                return base
            if isinstance(base, Mul):
                return mul(*(power(a, e) for a in base.args))
            if isinstance(base, Pow) and isinstance(base.exponent, Number) and _nests(base.exponent.value, k):
                drop(base)
                return power(base.base, Number(base.exponent.value * k))
    if base is ONE:
        return ONE
    return Pow(base, e)


def restricts(exponent: Term) -> bool:
    """Whether a power with that exponent is not defined everywhere."""
    return not isinstance(exponent, Number) or exponent.value < 0 or exponent.value.denominator != 1


def _nests(inner: Fraction, outer: int) -> bool:
    """(b^inner)^outer = b^(inner·outer) where defined: not where it would give 0^0 or hide a pole."""
    return inner * outer != 0 and (inner > 0 or outer > 0)


def func(name: str, *args: Term) -> Term:
    """A scalar function of terms."""
    return Func(name, args)
