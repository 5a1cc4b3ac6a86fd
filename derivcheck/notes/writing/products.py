"""Products: numbers and sizes in front as one quotient, then the factors; one quotient of all where a factor divides."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.build import power
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.writing.drawing import ATOM, POWER, PRODUCT, SUM, Spelt
from derivcheck.notes.writing.extremes import chosen, with_positive_parts, with_sizes
from derivcheck.notes.writing.positions import PositionWriter


@dataclass
class _Sorted:
    """The factors of a product by where they stand.

    Attributes:
        number: the numbers as one; ``counted``: sizes are among them.
        sizes: powers of sizes that multiply; ``divisors``: that divide.
        above: other factors that multiply; ``below``: that divide.
    """

    number: Fraction = Fraction(1)
    sizes: list[Term] = field(default_factory=list)
    divisors: list[Term] = field(default_factory=list)
    above: list[Term] = field(default_factory=list)
    below: list[Term] = field(default_factory=list)
    counted: bool = False


def _runs(t: Term) -> bool:
    """Whether it is a Σ or its kin, which reaches as far as it can."""
    return isinstance(t, Over) and t.kind not in MATRICES


def _as_one(t: Term) -> tuple[Term, ...]:
    """The factors of a sum that is printed as one product, ``c·|u|`` or ``c·sign(u)``; else the term."""
    parts = with_sizes(t.args) if isinstance(t, Add) and chosen(t) is None else ()
    return factors(parts[0]) if len(parts) == 1 else (t,)


class ProductWriter(PositionWriter):
    """Writes products of terms."""

    def term(self, t: Term, level: int = SUM) -> str:
        """The term, in brackets where it binds less than ``level``."""
        text, own = self._spell(t)
        return self.wrapped.format(text) if own < level else text

    def _spell(self, t: Term) -> Spelt:
        """A term and how tightly it binds."""
        raise NotImplementedError

    def _number(self, v: Fraction) -> Spelt:
        if v < 0:
            return "-" + self._number(-v)[0], SUM
        return (str(v.numerator), ATOM) if v.denominator == 1 and v <= 10**15 else self.decimal(v)

    def _product(self, args: tuple[Term, ...]) -> Spelt:
        """Numbers and sizes as one quotient in front, then the factors; one quotient of all where a factor divides."""
        args = with_positive_parts(tuple(f for a in args for f in _as_one(a)))
        if len(args) == 1 and isinstance(args[0], Func):
            return self._spell(args[0])
        found = self._sorted(args)
        sign, number = ("-" if found.number < 0 else ""), abs(found.number)
        whole = number.denominator == 1 or self._is_decimal(number, found)
        top, bottom = (self._number(number)[0], "") if whole else (str(number.numerator), str(number.denominator))
        front = [*([top] if top != "1" else []), *map(self._size, found.sizes)]
        under = [*([bottom] if bottom else []), *map(self._size, found.divisors)]
        if found.below:
            text, level = self._quotient(front, under, found)
        else:
            text, level = self._with_sizes(front, under, found, self._factors(found.above))
        return sign + text, SUM if sign else level

    def _is_decimal(self, number: Fraction, found: _Sorted) -> bool:
        """Whether the number in front is no quotient: one that is written with a point, and is none of a count of elements."""
        if number.denominator < 1000:
            return self.decimal(number)[1] != PRODUCT and not found.counted
        return self.decimal(number)[1] != PRODUCT and not found.divisors and not found.below

    def _sorted(self, args: tuple[Term, ...]) -> _Sorted:
        """The factors by where they stand."""
        found = _Sorted()
        for a in args:
            e = a.exponent.value if isinstance(a, Pow) and isinstance(a.exponent, Number) else Fraction(1)
            base: Term = a.base if isinstance(a, Pow) and isinstance(a.exponent, Number) else a
            if isinstance(a, Number):
                found.number *= a.value
            elif isinstance(base, SizeOf) and e.denominator == 1:
                value = self._at_sizes(base.value)
                if len(value.terms) == 1:  # 2/(2·N) is 1/N
                    ((monomial, coefficient),) = value.terms
                    found.counted |= coefficient != 1
                    found.number *= Fraction(coefficient) ** int(e)
                    value = Poly(((monomial, 1),))
                if value.constant is not None and (value.constant or e > 0):
                    found.number *= Fraction(value.constant) ** int(e)
                else:
                    (found.sizes if e > 0 else found.divisors).append(power(SizeOf(value), abs(e)))
            elif e < 0:
                found.below.append(base if e == -1 else Pow(base, Number(-e)))
            else:
                found.above.append(a)
        found.above.sort(key=self._rank)
        return found

    def _size(self, t: Term) -> str:
        """A power of a size among other factors."""
        return self.term(t, POWER if self._spell(t.base if isinstance(t, Pow) else t)[1] == SUM else PRODUCT)

    def _quotient(self, front: list[str], under: list[str], found: _Sorted) -> Spelt:
        """One quotient of all; derivatives stand before it, so that no quotient stands above a stroke."""
        beside = [a for a in found.above if not self.slashed and self._is_derivative(a)]
        above = [a for a in found.above if a not in beside]
        texts = self._factors(above, self.slashed)
        if not front and len(above) == 1 and not self.slashed:  # alone above a stroke
            texts = [self.term(above[0])]
        parts = [*under, *(self.term(t, SUM if len(under) + len(found.below) == 1 else POWER) for t in found.below)]
        simple = len(parts) == 1 and self._spell(found.below[0])[1] >= POWER
        text, level = self.fraction(self.joined([*front, *texts]) or "1", self.joined(parts), simple)
        return (self.joined([*map(self.term, beside), text]), PRODUCT) if beside else (text, level)

    def _with_sizes(self, front: list[str], under: list[str], found: _Sorted, texts: list[str]) -> Spelt:
        """Numbers and sizes as one quotient, then the factors."""
        if not under:
            parts = [*front, *texts]
            level = PRODUCT if len(parts) > 1 or any(map(_runs, found.above)) else POWER if texts else ATOM
            return self.joined(parts) or "1", level
        simple = len(under) == 1 and not any(c in under[0] for c in " ·+-")
        if len(under) == 1 and found.divisors:  # one sum below the stroke needs no brackets of its own
            under = [self.term(found.divisors[0])]
        text, level = self.fraction(self.small_times.join(front) or "1", self.small_times.join(under), simple)
        return (self.joined([text, *texts]), PRODUCT) if texts else (text, level)

    def _factors(self, above: list[Term], divided: bool = False) -> list[str]:
        """The factors; the last needs no brackets where it reaches to the end and is not ``divided`` by a stroke after it."""
        return [self._factor(a, k == len(above) - 1 and not (divided and self._is_extreme(a))) for k, a in enumerate(above)]

    def _factor(self, t: Term, last: bool) -> str:
        if _runs(t) and not last:
            return self.wrapped.format(self.term(t))
        return self.term(t, PRODUCT if _runs(t) else POWER)

    def _is_derivative(self, t: Term) -> bool:
        return isinstance(t, Ref) and t.name in self.symbols.adjoint_of

    @staticmethod
    def _is_extreme(t: Term) -> bool:
        """Whether it is Π, a maximum or the like over indices: a stroke after it would divide what it runs over."""
        return isinstance(t, Over) and t.kind not in ("sum", *MATRICES)

    def _rank(self, t: Term) -> int:
        """Numbers first, then derivatives, parameters, the rest; Σ last."""
        if _runs(t):
            return 5
        base = t.base if isinstance(t, Pow) else t
        if isinstance(base, Ref):
            if base.name in self.symbols.adjoint_of or base.name in self.symbols.upstream_of:
                return 1
            return 2 if base.name in self.symbols.parameters else 3
        return 0 if isinstance(t, SizeOf) else 4 if isinstance(t, Bracket) else 3
