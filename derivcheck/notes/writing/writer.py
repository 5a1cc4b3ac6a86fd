"""Terms as mathematics: what stands where is decided here, the ink (LaTeX, Unicode) by two subclasses."""

from __future__ import annotations

from fractions import Fraction

from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.integers.relations import FLIPPED
from derivcheck.notation.terms.build import add, neg
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, is_negative
from derivcheck.notes.writing.drawing import ATOM, POWER, PRODUCT, SUM, BoundOver, Spelt
from derivcheck.notes.writing.extremes import chosen, with_sizes
from derivcheck.notes.writing.matrices import places, whole
from derivcheck.notes.writing.norms import squares
from derivcheck.notes.writing.products import ProductWriter
from derivcheck.notes.writing.ranges import told
from derivcheck.notes.writing.sides import sides


class TermWriter(ProductWriter):
    """Writes terms; subclasses give the ink."""

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
        """The term in pieces that may stand on lines of their own: the addends of a sum, each but the first with its sign."""
        out: list[str] = []
        for a in with_sizes(t.args) if isinstance(t, Add) and chosen(t) is None else [t]:
            text = self.term(a, SUM if is_negative(a) or a is t else PRODUCT)
            out.append(text if not out else f"- {text[1:].lstrip()}" if text[0] == "-" else f"+ {text}")
        return out
