"""Terms as mathematics: what stands where is decided here, the ink (LaTeX, Unicode) by two subclasses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from derivcheck.notation.integers.atoms import Entry, Extreme, Floor
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add, neg, power
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, is_negative
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.symbols.symbol import Symbol
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.extremes import chosen, with_positive_parts, with_sizes
from derivcheck.notes.writing.matrices import places, whole
from derivcheck.notes.writing.multiplied import multiplied_out
from derivcheck.notes.writing.norms import squares
from derivcheck.notes.writing.ranges import told
from derivcheck.notes.writing.remainders import remainder
from derivcheck.notes.writing.sides import sides

SUM, PRODUCT, POWER, ATOM = range(4)
WIDE = 420  # letters of LaTeX that are surely wider than a page
Spelt = tuple[str, int]


def _runs(t: Term) -> bool:
    """Whether it is a Σ or its kin, which reaches as far as it can."""
    return isinstance(t, Over) and t.kind not in MATRICES


class BoundOver(NamedTuple):
    """An index of Σ or its kin, its first and its last value, and whether what stands there tells them anyway."""

    letter: str
    first: str
    last: str
    told: bool


def _as_one(t: Term) -> tuple[Term, ...]:
    """The factors of a sum that is printed as one product, ``c·|u|`` or ``c·sign(u)``; else the term."""
    parts = with_sizes(t.args) if isinstance(t, Add) and chosen(t) is None else ()
    return factors(parts[0]) if len(parts) == 1 else (t,)


class TermWriter:
    """Writes terms; subclasses give the ink.

    Args:
        symbols: the symbols of names.
        first: the number of the first element in sums, 1 or 0 (0 where positions are computed with).
        sizes: numbers for sizes; a dimension of size 1 is then dropped where it leads.
        bare: index names that are not written (the sample index where every line is about one sample).
        raised: index names that stand above, in brackets (the sample index in element-by-element notes).
    """

    def __init__(
        self,
        symbols: Symbols,
        first: int = 1,
        sizes: Mapping[str, int] | None = None,
        bare: frozenset[str] = frozenset(),
        raised: frozenset[str] = frozenset(),
        elements: bool = False,
        dims: Mapping[str, tuple[Poly, ...]] | None = None,
    ) -> None:
        """See the class for what the options mean."""
        self.symbols, self.first, self.sizes = symbols, first, dict(sizes or {})
        self.bare, self.raised, self.elements, self.dims = bare, raised, elements, dims or {}
        self.lengths = {n: tuple(map(self._at_sizes, known)) for n, known in symbols.dims.items()}

    # -- ink, by the subclasses -------------------------------------------------------
    times = " "  # between factors
    small_times = " "  # between factors of an integer expression
    slashed = False  # quotients stand on one line
    wrapped: str  # in round brackets
    magnitude: str  # the absolute value
    norm: str  # the length of a vector
    formula: str  # inside a sentence
    partial: str  # the derivative of one element in another
    floor: str  # of a quotient
    modulo: str  # the remainder of a division
    bracket: str  # Iverson's: left, relation, right
    relations: Mapping[str, str]
    runs: str  # how far an index runs: it, the first, the last, how many
    matrices: Mapping[str, str]  # what is made of a matrix; of an inverse, what stands around it
    elements_of: str  # a matrix by row, column and element

    def fraction(self, above: str, below: str, simple: bool) -> Spelt:
        """A quotient; ``simple`` where what stands below is one factor."""
        raise NotImplementedError

    def drawn(self, symbol: Symbol) -> str:
        """A symbol."""
        raise NotImplementedError

    def placed(self, symbol: str, subscripts: list[str], raised: list[str]) -> str:
        """A symbol with positions."""
        raise NotImplementedError

    def sum_over(self, indices: list[str]) -> str:
        """A sum sign over indices whose ranges are not written."""
        raise NotImplementedError

    def chain_product(
        self, bar: str, through: str, at: tuple[Poly, ...], target: str, own: tuple[Poly, ...], bound: list[Index]
    ) -> str:
        """``Σ_bound ∂L/∂through[at] · ∂through[at]/∂target[own]``."""
        local = self.partial.format(self.place(through, at), self.place(target, own))
        if self.symbols.scalar and self.symbols.upstream_of.get(bar) == through:
            return local
        text = self.joined([self.place(bar, at), local])
        return f"{self.sum_over([self.index(i) for i in bound])} {text}" if bound else text

    def index(self, i: Index) -> str:
        """An index."""
        raise NotImplementedError

    def size_name(self, name: str) -> str:
        """A symbolic size."""
        raise NotImplementedError

    def raise_to(self, base: str, exponent: str) -> str:
        """A power."""
        raise NotImplementedError

    def root(self, text: str, whole: bool) -> Spelt:
        """A square root."""
        raise NotImplementedError

    def function(self, name: str, args: list[str]) -> Spelt:
        """A scalar function."""
        raise NotImplementedError

    def big(self, kind: str, bounds: list[BoundOver], body: str) -> str:
        """Σ and its kin."""
        raise NotImplementedError

    def extreme(self, kind: str, args: list[str]) -> str:
        """A maximum or minimum of integer expressions."""
        raise NotImplementedError

    def decimal(self, value: Fraction) -> Spelt:
        """A number that is not whole."""
        raise NotImplementedError

    # -- integer expressions -----------------------------------------------------------
    def poly(self, p: Poly, level: int = SUM) -> str:
        """An integer expression."""
        text, own = self._poly(p)
        return self.wrapped.format(text) if own < level else text

    def _poly(self, p: Poly) -> Spelt:
        """An integer expression; a remainder is written as one."""
        p = self._at_sizes(p)
        c = p.constant
        if c is not None:
            return str(c) if c >= 0 else f"-{-c}", ATOM if c >= 0 else SUM
        found = remainder(p)
        if found is not None:
            above, below, rest = found
            text = self.modulo.format(self.poly(above, PRODUCT), self.poly(below, PRODUCT))
            if not rest.terms:
                return text, SUM
            return f"{self.poly(rest, PRODUCT if remainder(rest) else SUM)} + {self.wrapped.format(text)}", SUM
        parts = []
        for m, k in p.terms:
            factors = [self.raise_to(self.atom(a), str(e)) if e > 1 else self.atom(a) for a, e in m]
            if abs(k) != 1 or not factors:
                factors.insert(0, str(abs(k)))
            parts.append((k < 0, self.small_times.join(factors), len(factors)))
        parts.sort(key=lambda part: part[0])
        text = ("-" if parts[0][0] else "") + parts[0][1]
        for negative, part, _ in parts[1:]:
            text += (" - " if negative else " + ") + part
        if len(parts) > 1 or parts[0][0]:
            return text, SUM
        return text, PRODUCT if parts[0][2] > 1 else ATOM

    def atom(self, a: Atom) -> str:
        """A size, an index, an entry of an integer tensor, a floored quotient, an extreme."""
        if isinstance(a, Size):
            return self.size_name(self.symbols.sizes.get(a.name, a.name))
        if isinstance(a, Index):
            return self.index(a)
        if isinstance(a, Entry):
            return self.place(a.name, a.at)
        if isinstance(a, Floor):
            return self.floor.format(self.poly(a.numerator, PRODUCT), self.poly(a.denominator, ATOM))
        assert isinstance(a, Extreme)
        return self.extreme(a.kind, [self.poly(p) for p in a.args])

    # -- terms ---------------------------------------------------------------------------
    def term(self, t: Term, level: int = SUM) -> str:
        """The term, in brackets where it binds less than ``level``."""
        text, own = self._spell(t)
        return self.wrapped.format(text) if own < level else text

    def place(self, name: str, at: tuple[Poly, ...]) -> str:
        """``name`` at positions: an element, a derivative or an upstream gradient."""
        subscripts, raised = self._positions(name, at)
        of = self.symbols.adjoint_of.get(name)
        text = self.placed(self.drawn(self.symbols[of or name]), subscripts, raised)
        return text if of is None else self.partial.format(self.drawn(self.symbols.loss), text)

    def _positions(self, name: str, at: tuple[Poly, ...]) -> tuple[list[str], list[str]]:
        """The subscripts, and the indices that stand above."""
        subscripts: list[str] = []
        raised: list[str] = []
        dims = self.dims.get(name, ())
        for axis, p in enumerate(at):
            i = p.index
            if i is not None and i.name in self.bare:
                continue
            if i is not None and i.name in self.raised:
                raised.append(self.index(i))
                continue
            length = self._at_sizes(dims[axis]) if axis < len(dims) else None
            if length is as_poly(1) and (not subscripts or not self.elements):
                continue
            shown = self.poly(p + self.first if self.elements and p.constant is not None else p)
            subscripts.append(shown)
        return subscripts, raised

    def _spell(self, t: Term) -> Spelt:
        """A term and how tightly it binds."""
        if isinstance(t, Number):
            return self._number(t.value)
        if isinstance(t, SizeOf):
            return self._poly(t.value)
        if isinstance(t, Ref):
            return self.place(t.name, t.at), self.ref_level(t)
        if isinstance(t, Bracket):
            return self._bracket(t), ATOM
        if isinstance(t, Add):
            if (found := chosen(t)) is not None:
                return self._spell(found)
            args = with_sizes(t.args)
            if len(args) == 1:
                return self._spell(args[0])
            out = ""
            for a in args:
                text = self.term(a, SUM if is_negative(a) else PRODUCT)
                out += text if not out else (f" - {text[1:].lstrip()}" if text.startswith("-") else f" + {text}")
            return out, SUM
        if isinstance(t, Mul):
            return self._product(t.args)
        if isinstance(t, Pow):
            return self._power(t)
        if isinstance(t, Func) and t.name in ("max", "min"):
            return self.extreme(t.name, [self.term(a) for a in t.args]), ATOM
        if isinstance(t, Func) and t.name == "abs":
            return self.magnitude.format(self.term(t.args[0])), ATOM
        if isinstance(t, Func):
            return self.function(t.name, [self.term(a) for a in t.args])
        assert isinstance(t, Over)
        if t.kind in MATRICES:
            return self._made_of_matrix(t)
        bounds = [
            BoundOver(self.index(i), *self._range(i.size), not self.lengths or told(i, t.body, self.lengths)) for i in t.indices
        ]
        return self.big(t.kind, bounds, self.term(t.body, PRODUCT)), PRODUCT

    def _made_of_matrix(self, t: Over) -> Spelt:
        """An element of an inverse or a factor, or a determinant."""
        found = whole(t)
        if found is None:
            i, j = map(self.index, t.indices)
            symbol = self.wrapped.format(self.elements_of.format(i, j, self.term(t.body)))
        else:
            symbol = self.place(found.name, found.lead)
            known = found.part == "tril" and found.name in self.symbols.lower
            symbol = self.matrices[found.part].format(symbol) if found.part and not known else symbol
        text = self.matrices[t.kind].format(self.raise_to(symbol, "-1") if t.kind == "inv" else symbol)
        shift = self.first if self.elements else 0
        subscripts = [self.poly(p + shift if p.constant is not None else p) for p in places(t)]
        return self.placed(text, subscripts, []), ATOM

    def ref_level(self, t: Ref) -> int:
        """How tightly a reference binds as a base of powers."""
        return POWER if t.name in self.symbols.adjoint_of else ATOM

    def _range(self, size: Poly) -> tuple[str, str]:
        return str(self.first), self.poly(size - 1 + self.first)

    def _number(self, v: Fraction) -> Spelt:
        if v < 0:
            return "-" + self._number(-v)[0], SUM
        return (str(v.numerator), ATOM) if v.denominator == 1 and v <= 10**15 else self.decimal(v)

    def _power(self, t: Pow) -> Spelt:
        """A power, a root, a norm; a quotient where it divides."""
        e = t.exponent
        if isinstance(e, Number) and e.value < 0:
            return self._product((t,))
        if isinstance(e, Number) and e.value.denominator == 2 and (length := self._norm(t.base)):
            return (length, ATOM) if e.value.numerator == 1 else (self.raise_to(length, str(e.value.numerator)), POWER)
        if isinstance(e, Number) and e.value == Fraction(1, 2):
            return self.root(self.term(t.base), self._spell(t.base)[1] == ATOM)
        return self.raise_to(self.term(t.base, ATOM), self.term(e)), POWER

    def _norm(self, t: Term) -> str:
        """``‖x_n‖`` where a term is the sum of its squares; else ""."""
        found = squares(t, self.symbols.dims) if not self.elements else None
        known = self.symbols
        if found is None or found.name in known.adjoint_of or found.name in known.upstream_of:
            return ""
        return self.norm.format(self.place(found.name, found.at))

    def _product(self, args: tuple[Term, ...]) -> Spelt:
        """Numbers and sizes as one quotient in front, then the factors; one quotient of all where a factor divides."""
        args = with_positive_parts(tuple(f for a in args for f in _as_one(a)))
        if len(args) == 1 and isinstance(args[0], Func):
            return self._spell(args[0])
        number = Fraction(1)
        sizes_above: list[str] = []
        sizes_below: list[str] = []
        alone: list[Term] = []  # what sizes_below spells, as it is where it stands alone
        above: list[Term] = []
        below: list[Term] = []
        for a in args:
            e = a.exponent.value if isinstance(a, Pow) and isinstance(a.exponent, Number) else Fraction(1)
            base: Term = a.base if isinstance(a, Pow) and isinstance(a.exponent, Number) else a
            if isinstance(a, Number):
                number *= a.value
            elif isinstance(base, SizeOf) and e.denominator == 1:
                value = self._at_sizes(base.value)
                if len(value.terms) == 1:  # 2/(2·N) is 1/N
                    ((monomial, coefficient),) = value.terms
                    number *= Fraction(coefficient) ** int(e)
                    value = Poly(((monomial, 1),))
                if value.constant is not None and (value.constant or e > 0):
                    number *= Fraction(value.constant) ** int(e)
                else:
                    inner = power(SizeOf(value), abs(e))
                    alone += [inner] if e < 0 else []
                    (sizes_above if e > 0 else sizes_below).append(
                        self.term(inner, POWER if self._poly(value)[1] == SUM else PRODUCT)
                    )
            elif e < 0:
                below.append(base if e == -1 else Pow(base, Number(-e)))
            else:
                above.append(a)
        sign, number = ("-" if number < 0 else ""), abs(number)
        whole = number.denominator == 1 or self.decimal(number)[1] != PRODUCT and not sizes_below and not below
        top, bottom = (self._number(number)[0], "") if whole else (str(number.numerator), str(number.denominator))
        front = [*([top] if top != "1" else []), *sizes_above]
        under = [*([bottom] if bottom else []), *sizes_below]
        above.sort(key=self._rank)
        beside = [a for a in above if below and not self.slashed and self._is_derivative(a)]  # no quotient above a stroke
        above = [a for a in above if a not in beside]
        texts = [self._factor(a, self._may_end(a, below) and k == len(above) - 1) for k, a in enumerate(above)]
        if below and not front and len(above) == 1 and not self.slashed:  # alone above a stroke
            texts = [self.term(above[0])]
        if below:
            parts = [*under, *(self.term(t, SUM if len(under) + len(below) == 1 else POWER) for t in below)]
            simple = len(parts) == 1 and self._spell(below[0])[1] >= POWER
            text, level = self.fraction(self.joined([*front, *texts]) or "1", self.joined(parts), simple)
            if beside:
                text, level = self.joined([*map(self.term, beside), text]), PRODUCT
        elif under:
            simple = len(under) == 1 and not any(c in under[0] for c in " ·+-")
            if len(under) == 1 and not bottom:  # one sum below the stroke needs no brackets of its own
                under = [self.term(alone[0])]
            text, level = self.fraction(self.small_times.join(front) or "1", self.small_times.join(under), simple)
            if texts:
                text, level = self.joined([text, *texts]), PRODUCT
        else:
            parts = [*front, *texts]
            text = self.joined(parts) or "1"
            level = PRODUCT if len(parts) > 1 or any(map(_runs, above)) else POWER if texts else ATOM
        return sign + text, SUM if sign else level

    def _at_sizes(self, p: Poly) -> Poly:
        return p.substitute({Size(n): v for n, v in self.sizes.items()}) if self.sizes else p

    def joined(self, parts: list[str]) -> str:
        """Factors side by side."""
        return self.times.join(parts)

    def _factor(self, t: Term, last: bool) -> str:
        if _runs(t) and not last:
            return self.wrapped.format(self.term(t))
        return self.term(t, PRODUCT if _runs(t) else POWER)

    def _is_derivative(self, t: Term) -> bool:
        return isinstance(t, Ref) and t.name in self.symbols.adjoint_of

    def _may_end(self, t: Term, below: list[Term]) -> bool:
        """Whether Σ or its kin needs no brackets at the end: a stroke after a product divides what is multiplied."""
        return not (self.slashed and below and isinstance(t, Over) and t.kind not in ("sum", *MATRICES))

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

    # -- brackets ------------------------------------------------------------------------
    def bracketed(self, left: str, relation: str, right: str) -> str:
        """An Iverson bracket."""
        return self.bracket.format(left, self.relations[relation], right)

    def _bracket(self, b: Bracket) -> str:
        """A condition with nothing negative on either side."""
        if isinstance(b.operand, Poly):
            left, relation, right = sides(b.operand, b.relation)
            return self.bracketed(self.poly(left), relation, self.poly(right))
        operand = b.operand
        if isinstance(operand, Add) and len(operand.args) > 1:
            parts = with_sizes(operand.args)
            positive = [a for a in parts if not is_negative(a)]
            negative = [a for a in parts if is_negative(a)]
            if positive and negative:
                above, below = add(*positive), add(*map(neg, negative))
                if isinstance(above, Number):  # a number stands on the right
                    return self.bracketed(self.term(below), FLIPPED[b.relation], self.term(above))
                return self.bracketed(self.term(above), b.relation, self.term(below))
        if is_negative(operand) or isinstance(operand, Add) and all(map(is_negative, operand.args)):
            return self.bracketed(self.term(neg(operand)), FLIPPED[b.relation], "0")
        return self.bracketed(self.term(operand), b.relation, "0")

    def addends(self, t: Term) -> list[str]:
        """The term in pieces that may stand on lines of their own: the addends of a sum, each but the first with its sign.

        A factor before a bracket that no line holds goes to each addend in it: no line breaks inside a bracket.
        """
        out: list[str] = []
        for a in with_sizes(t.args) if isinstance(t, Add) and chosen(t) is None else [t]:
            text = self.term(a, SUM if is_negative(a) or a is t else PRODUCT)
            if len(text) >= WIDE and (more := multiplied_out(a)) is not a:
                pieces = self.addends(more)
            else:
                pieces = [text]
            for p in pieces:
                out.append(p if not out or p[:2] in ("+ ", "- ") else f"- {p[1:].lstrip()}" if p[0] == "-" else f"+ {p}")
        return out

    def where(self, told: Iterable[Index]) -> str:
        """How far the indices of a line run, after it."""
        return "".join(self.runs.format(self.index(i), *self._range(i.size), self.poly(i.size)) for i in told)

    def head(self, d: Definition) -> str:
        """What a definition defines."""
        return self.place(d.name, tuple(as_poly(i) for i in d.indices))
