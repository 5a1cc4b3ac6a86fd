"""Terms seen through definitions: ``z`` of ``z := exp(x)`` is an exponential wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import ZERO, add, coefficient, func, mul, neg, number, power, sub
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Over, Pow, Ref, Term, is_negative
from derivcheck.notation.terms.substitute import inline
from derivcheck.notation.terms.walk import subterms

HALF = Fraction(1, 2)
LONG = 40  # parts; what is longer is not looked into
_TELLING = frozenset("exp expm1 sinh cosh sigmoid tanh erf erfc log log1p i0 i1 softplus".split())
_OF_TWO = {  # functions that are sums of c·exp(±u), or of c
    "expm1": ((Fraction(1), 1), (Fraction(-1), 0)),
    "sinh": ((HALF, 1), (-HALF, -1)),
    "cosh": ((HALF, 1), (HALF, -1)),
}

Exponential = tuple[Fraction, Term]  # c and u of c·exp(u)


class PowerOf(NamedTuple):
    """A factor ``base^exponent``: as it is written, and seen through definitions."""

    shown: Term
    base: Term
    exponent: Fraction

    @property
    def is_exp(self) -> bool:
        """Whether it is a whole power of an exponential."""
        return isinstance(self.base, Func) and self.base.name == "exp" and self.exponent.denominator == 1

    @property
    def term(self) -> Term:
        """The factor as it is written."""
        return power(self.shown, Number(self.exponent))


class Sight:
    """What the definitions so far say of a term."""

    def __init__(self) -> None:
        self.meanings: dict[str, tuple[tuple[Index, ...], Term]] = {}
        self.normalised: dict[str, tuple[tuple[Index, ...], Term]] = {}  # softmaxes, seen through only under a logarithm
        self._bears: dict[Term, bool] = {}

    def learn(self, d: Definition, term: Term, normalised: bool = False) -> None:
        """Keep what a definition means, unless no gradient flows through it, it refers to itself or is long."""
        if d.kind == "float" and not d.stop and not d.recurrent and sum(1 for _ in subterms(term)) <= LONG:
            (self.normalised if normalised else self.meanings)[d.name] = d.indices, term

    def opened(self, t: Term) -> Term:
        """A term, or what the definition means that it names."""
        while isinstance(t, Ref) and t.name in self.meanings:
            t = inline(t, {t.name: self.meanings[t.name]})
        return t

    def expanded(self, t: Term) -> Term:
        """A term with every definition that is known put in, for a comparison; long ones are left."""
        for _ in range(8):
            if t.names.isdisjoint(self.meanings) or sum(1 for _ in subterms(t)) > LONG:
                break
            t = inline(t, self.meanings)
        return t

    def same(self, a: Term, b: Term) -> bool:
        """Whether two terms are one, written out."""
        return a is b or sub(_distributed(self.expanded(a)), _distributed(self.expanded(b))) is ZERO

    def scaled(self, u: Term) -> Term:
        """A term, where it names a number times another the product: ``z`` of ``z := -x`` is −x."""
        o = self.opened(u) if isinstance(u, Ref) else u
        c, rest = coefficient(o)
        return mul(Number(c), self.scaled(rest)) if c != 1 and (isinstance(rest, Ref) or o is not u) else u

    def bears(self, t: Term) -> bool:
        """Whether one of the functions that the rules know stands in it."""
        found = self._bears.get(t)
        if found is None:
            o = self.opened(t)
            found = o.name in self.normalised if isinstance(o, Ref) else isinstance(o, Func) and o.name in _TELLING
            found = found or any(self.bears(c) for c in o.children)
            self._bears[t] = found
        return found

    # -- products ------------------------------------------------------------------
    def factors(self, t: Term) -> tuple[Fraction, list[PowerOf]]:
        """A term as a number times powers; a definition that is a product of such functions is taken apart."""
        number_: Fraction = Fraction(1)
        found: dict[tuple[Term, bool], PowerOf] = {}
        stack = [(t, Fraction(1))]
        while stack:
            f, e = stack.pop()
            o = self.opened(f) if isinstance(f, Ref) and self.bears(f) else f
            whole = e.denominator == 1
            if isinstance(o, Mul) and whole:
                stack.extend((a, e) for a in reversed(o.args))
            elif isinstance(o, Pow) and isinstance(o.exponent, Number) and whole:
                stack.append((o.base, e * o.exponent.value))
            elif isinstance(o, Number) and whole and o.value:
                number_ *= o.value ** int(e)
            else:
                key = f, whole
                before = found[key].exponent if key in found else Fraction(0)
                found[key] = PowerOf(f, o, before + e)
        return number_, [f for f in found.values() if f.exponent]

    # -- exponentials -----------------------------------------------------------------
    def exponential(self, t: Term) -> Exponential | None:
        """``(c, u)`` where the term is ``c·exp(u)``; a number is ``c·exp(0)``."""
        c, parts = self.factors(t)
        grown = [f for f in parts if f.is_exp]
        return (c, self.exponent(grown)) if len(grown) == len(parts) else None

    def exponent(self, grown: Iterable[PowerOf]) -> Term:
        """The exponent of a product of exponentials."""
        return add(*(mul(number(f.exponent), self.scaled(f.base.args[0])) for f in grown if isinstance(f.base, Func)))

    def exponentials(self, t: Term) -> list[Exponential] | None:
        """A sum of exponentials, those of one exponent added up; None where something else is added."""
        if not self.bears(t) and not isinstance(t, Number):
            return None
        found: dict[Term, Fraction] = {}
        for c, a in self.addends(t):
            inner = self.opened(a)
            if isinstance(inner, Func) and inner.name in _OF_TWO:
                u = self.scaled(inner.args[0])
                items = [(k, u if sign > 0 else neg(u) if sign else ZERO) for k, sign in _OF_TWO[inner.name]]
            else:
                one = self.exponential(inner)
                if one is None:
                    return None
                items = [one]
            for k, u in items:
                found[u] = found.get(u, Fraction(0)) + c * k
        return [(c, u) for u, c in found.items() if c]

    def addends(self, t: Term) -> list[tuple[Fraction, Term]]:
        """A sum as numbers times terms; a definition that is a sum of exponentials is taken apart."""
        o = self.opened(t) if self.bears(t) else t
        if isinstance(o, Add):
            return [x for a in o.args for x in self.addends(a)]
        c, rest = coefficient(o)
        inner = self.opened(rest) if self.bears(rest) else rest
        if isinstance(inner, (Add, Mul)) and inner is not rest:
            return [(c * k, a) for k, a in self.addends(inner)]
        return [(c, rest)] if c != 1 or isinstance(o, Number) else [(c, t)]


def _distributed(t: Term) -> Term:
    """A number times a sum as the sum of the products."""
    if isinstance(t, Add):
        return add(*map(_distributed, t.args))
    c, rest = coefficient(t)
    return add(*(mul(Number(c), _distributed(a)) for a in rest.args)) if isinstance(rest, Add) else t


# -- terms that the rules write --------------------------------------------------------
def log_of(c: Fraction) -> Term:
    """The logarithm of a number above 0."""
    return ZERO if c == 1 else neg(func("log", Number(1 / c))) if c.numerator == 1 else func("log", Number(c))


def odd(name: str, u: Term) -> Term:
    """An odd function, of an argument without a sign."""
    return neg(func(name, neg(u))) if is_negative(u) else func(name, u)


def own_shift(u: Term, inner: Iterable[Index]) -> bool:
    """Whether something is subtracted in u that does not run with these indices: the user's own largest element."""
    ids = frozenset(inner)
    return isinstance(u, Add) and any(a.free.isdisjoint(ids) for a in u.args)


def is_sum(t: Term) -> bool:
    """``Σ`` over indices whose sizes are known outside."""
    return isinstance(t, Over) and t.kind == "sum" and not any(i.size.indices for i in t.indices)
