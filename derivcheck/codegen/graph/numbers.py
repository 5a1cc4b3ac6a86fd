"""Numbers that Python knows when the code runs: rationals, sizes and loop indices, as Python text."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.atoms import Applied, Entry, Extreme, Floor
from derivcheck.notation.integers.bounds import numel
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size
from derivcheck.notation.terms.build import coefficient, neg, power, size_of
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import factors, subterms

OR, COMPARE, AND, SUM, MATMUL, PRODUCT, UNARY, POWER, ATOM = range(9)
Spelled = tuple[str, int]
REAL = 4  # from this power on a size is a float: torch takes no integer beyond 64 bits as a number


def is_number(term: Term, fixed: frozenset[Index] = frozenset()) -> bool:
    """Whether the term is a number made of rationals, sizes and the loop indices ``fixed``."""
    if not term.free <= fixed or term.names:
        return False
    return isinstance(term, (Number, SizeOf)) or not any(
        isinstance(t, (Over, Ref)) or isinstance(t, Bracket) and isinstance(t.operand, Term) for t in subterms(term)
    )


def as_fraction(term: Term) -> Fraction:
    """The rational factor in front of a term."""
    return coefficient(term)[0]


def fraction_of(term: Term) -> tuple[Fraction, list[Term], list[Term]]:
    """A number as ``c · Π above / Π below``."""
    c, rest = coefficient(term)
    above: list[Term] = []
    below: list[Term] = []
    for f in factors(rest):
        if isinstance(f, Pow) and isinstance(f.exponent, Number) and f.exponent.value < 0 and f.exponent.value.denominator == 1:
            below.extend([f.base] * int(-f.exponent.value))
        elif not (isinstance(f, Number) and f.value == 1):
            above.append(f)
    return c, above, below


def reciprocal(number: Term) -> Term | None:
    """``p`` where the number is ``1/p`` for a size ``p``, else None."""
    c, above, below = fraction_of(number)
    if c != 1 or above or not below:
        return None
    sizes = [b.value for b in below if isinstance(b, SizeOf)]
    return size_of(numel(sizes)) if len(sizes) == len(below) else None


class Speller:
    """Python text of integer expressions and numbers; ``name`` spells sizes and loop indices.

    ``bare`` are the sizes that may be 0 in a divisor whose value is used (:mod:`derivcheck.codegen.graph.divisors`).
    """

    def __init__(self, name: Callable[[Atom], str], use: Callable[[str], str], bare: frozenset[Atom] = frozenset()) -> None:
        self.name, self.use, self.bare = name, use, bare
        self.of_sizes: dict[Poly, Spelled] = {}  # a size keeps its name, an index has it in its loop alone

    # -- integers --------------------------------------------------------------------
    def poly(self, p: Poly, level: int = OR) -> str:
        """An integer expression, in parentheses where ``level`` binds tighter."""
        spelled = self.of_sizes.get(p)
        if spelled is None:
            spelled = self._poly(p)
            if all(isinstance(a, Size) for a in p.atoms()):
                self.of_sizes[p] = spelled
        return _wrap(spelled, level)

    def _poly(self, p: Poly, real: bool = False) -> Spelled:
        """An integer expression; ``real``: it is used as a number, and a high power is a float."""
        c = p.constant
        if c is not None:
            return str(c), ATOM if c >= 0 else UNARY
        parts = sorted(((k < 0, self._monomial(m, abs(k), real)) for m, k in p.terms), key=lambda t: t[0])
        minus, (text, own) = parts[0]
        if len(parts) == 1 and not minus:
            return text, own
        out = ("-" if minus else "") + _wrap(
            (text, own), UNARY if minus and "//" in text else PRODUCT
        )  # -(M // 4), not -M // 4
        for minus, spelled in parts[1:]:
            out += (" - " if minus else " + ") + _wrap(spelled, PRODUCT)
        return out, SUM

    def _monomial(self, monomial: tuple[tuple[Atom, int], ...], k: int, real: bool) -> Spelled:
        """A product of a coefficient and powers of atoms."""
        factors: list[Spelled] = [(str(k), ATOM)] if k != 1 or not monomial else []
        for atom, e in monomial:
            text = self._atom(atom)
            if real and e >= REAL:
                text = f"{self.use('float')}({text[0]})", ATOM
            factors.append(text if e == 1 else (f"{_wrap(text, ATOM)}**{e}", POWER))
        if len(factors) == 1:
            return factors[0]
        return " * ".join(_wrap(f, UNARY if k else PRODUCT) for k, f in enumerate(factors)), PRODUCT

    def _atom(self, atom: Atom) -> Spelled:
        """A size, an index, a quotient or an extreme; an entry of a tensor is no Python number."""
        if isinstance(atom, (Size, Index)):
            return self.name(atom), ATOM
        if isinstance(atom, Floor):
            return f"{self.poly(atom.numerator, PRODUCT)} // {self.poly(atom.denominator, UNARY)}", PRODUCT
        if isinstance(atom, Applied):
            return self._applied(atom.kind, [self.poly(a, ATOM) for a in atom.args])
        if isinstance(atom, Extreme):
            return f"{self.use(atom.kind)}({', '.join(self.poly(a) for a in atom.args)})", ATOM
        assert isinstance(atom, Entry)
        raise ValueError(f"{atom} is an element of a tensor, not a number")

    def _applied(self, kind: str, args: list[str]) -> Spelled:
        if kind == "bit_length":
            return f"{args[0]}.bit_length()", ATOM
        if kind == "exp2":
            return f"(1 << {args[0]})", ATOM
        sign = {"bit_or": "|", "bit_and": "&", "bit_xor": "^"}.get(kind)
        return (f"({args[0]} {sign} {args[1]})" if sign else f"{self.use(f'math.{kind}')}({', '.join(args)})"), ATOM

    # -- numbers -----------------------------------------------------------------------
    def number(self, term: Term, level: int = OR) -> str:
        """A number, in parentheses where ``level`` binds tighter."""
        return _wrap(self._number(term), level)

    def _number(self, term: Term) -> Spelled:
        """A number by its kind."""
        if isinstance(term, Number):
            return rational(term.value)
        if isinstance(term, SizeOf):
            return self._poly(term.value, real=True)
        if isinstance(term, Bracket):
            assert isinstance(term.operand, Poly)
            return self.condition(term), COMPARE
        if isinstance(term, Add):
            out = ""
            for a in term.args:
                c, rest = coefficient(a)
                minus = c < 0 and bool(out)
                text = self.number(neg(a) if minus else a, PRODUCT if out else SUM)
                out += (f" {'-' if minus else '+'} {text}") if out else text
            return out, SUM
        if (
            isinstance(term, Mul)
            or isinstance(term, Pow)
            and isinstance(term.exponent, Number)
            and term.exponent.value < 0
            and term.exponent.value.denominator == 1
        ):
            return self._quotient(term)
        if isinstance(term, Pow):
            if isinstance(term.exponent, Number):
                if term.exponent.value < 0 and self._may_vanish(term.base):
                    below = self.number(power(term.base, -term.exponent.value))
                    return f"{self.use('_divide')}(1, {below})", ATOM
                base = self.nonzero(term.base) if term.exponent.value < 0 else self.number(term.base, ATOM)
                if term.exponent.value >= REAL:
                    base = f"{self.use('float')}({self.number(term.base)})"
                return f"{base}**{_exponent(term.exponent)}", POWER
            return f"{self.number(term.base, ATOM)}**{self.number(term.exponent, ATOM)}", POWER
        if isinstance(term, Func):
            return self._func(term)
        raise ValueError(f"{term} is not a number")

    def condition(self, b: Bracket) -> str:
        """A condition on sizes and loop indices."""
        assert isinstance(b.operand, Poly)
        p = b.operand
        above = Poly((m, k) for m, k in p.terms if k > 0)
        below = Poly((m, -k) for m, k in p.terms if k < 0)
        relation = b.relation
        if relation == ">=" and dict(below.terms).get((), 0) >= 1 and below.indices:
            return f"{self.poly(below - 1, SUM)} < {self.poly(above, SUM)}"
        if relation == ">=" and below.constant is None and not above.indices and below.indices:
            return f"{self.poly(below, SUM)} <= {self.poly(above, SUM)}"
        return f"{self.poly(above, SUM)} {relation} {self.poly(below, SUM)}"

    def nonzero(self, term: Term) -> str:
        """A divisor: a product of sizes is at least 1, so that an empty tensor divides nothing by zero."""
        if isinstance(term, Number):
            return self.number(term, ATOM)
        if isinstance(term, SizeOf) and not self._may_vanish(term):
            return f"{self.use('max')}({self.poly(term.value)}, 1)"
        return self.number(term, ATOM)

    def _may_vanish(self, term: Term) -> bool:
        """Whether a divisor may be 0 where its quotient counts: a difference of sizes, a size that nothing is as long as."""
        if isinstance(term, Number):
            return term.value == 0
        if not isinstance(term, SizeOf):
            return any(isinstance(t, SizeOf) for t in subterms(term))  # log(2), pi^(1/2): never 0
        p = term.value
        return len(p.terms) != 1 or p.terms[0][1] < 0 or any(a in self.bare for a, _ in p.terms[0][0])

    def _quotient(self, term: Term) -> Spelled:
        """A number with divisors: sizes that count elements as at least 1, others divided as torch divides."""
        c, above, below = fraction_of(term)
        top: list[Spelled] = []
        if abs(c.numerator) != 1 or not above:
            top.append((str(abs(c.numerator)), ATOM))
        top += [self._number(a) for a in above]
        text = " * ".join(_wrap(t, PRODUCT if k == 0 else UNARY) for k, t in enumerate(top))
        if c < 0:
            text = "-" + text
        own = PRODUCT if len(top) > 1 or c < 0 and top[0][1] == PRODUCT else (UNARY if c < 0 else top[0][1])
        sizes = [b for b in below if isinstance(b, SizeOf) and not self._may_vanish(b)]
        constants = [b for b in below if not isinstance(b, SizeOf) and not self._may_vanish(b)]
        others = [b for b in below if b not in sizes and b not in constants]
        bottoms: list[str] = []
        if sizes:
            total = numel(b.value for b in sizes)
            bottoms.append(f"{self.use('max')}({self._poly(total, real=True)[0]}, 1)")
        if c.denominator != 1:
            bottoms.append(str(c.denominator))
        bottoms += [self.number(b, ATOM) for b in constants]
        alone = len(others) == 1 and not bottoms
        bottoms += [self.number(b, OR if alone else ATOM) for b in others]
        if not bottoms:
            return text, own
        if others:  # a difference of sizes may be zero: torch divides, Python raises
            down = " * ".join(bottoms)
            return f"{self.use('_divide')}({text}, {down})", ATOM
        down = bottoms[0] if len(bottoms) == 1 else f"({' * '.join(bottoms)})"
        return f"{_wrap((text, own), PRODUCT)} / {down}", PRODUCT

    def _func(self, term: Func) -> Spelled:
        row = functions()[term.name]
        if row.arity == 0:
            return row.torch, ATOM
        if row.math:
            return f"math.{row.name}({', '.join(self.number(a) for a in term.args)})", ATOM
        inner = [f"torch.tensor({self.number(a)}, dtype=torch.float64)" for a in term.args]
        return f"{row.torch.format(*inner)}.item()", ATOM


def rational(value: Fraction) -> Spelled:
    """An exact rational as Python text: ``3``, ``0.5``, ``1e-05``, ``1 / 3``."""
    if value.denominator == 1 and abs(value.numerator) < 1 << 62:
        return str(value.numerator), ATOM if value >= 0 else UNARY
    short = repr(float(value))
    if Fraction(short) == value:
        return short, ATOM if value >= 0 else UNARY
    return f"{value.numerator} / {value.denominator}", PRODUCT


def _exponent(e: Number) -> str:
    text, own = rational(e.value)
    return text if own == ATOM else f"({text})" if own == PRODUCT else text


def _wrap(spelled: Spelled, level: int) -> str:
    text, own = spelled
    return f"({text})" if own < level else text
