"""Syntax trees of index text to terms, once every index has its size."""

from __future__ import annotations

from difflib import get_close_matches

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import MINUS_ONE, add, coefficient, func, mul, number, power, ref, size_of
from derivcheck.notation.terms.extremes import largest, smallest
from derivcheck.notation.terms.nodes import MATRICES, Add, Mul, Number, Over, Pow, SizeOf, Term
from derivcheck.notation.terms.substitute import product, summation
from derivcheck.notation.text import limits
from derivcheck.notation.text.positions import Env, Integers
from derivcheck.notation.text.resolve import REDUCTIONS, Resolver, SizeLink, index_key
from derivcheck.notation.text.syntax import (
    Application,
    At,
    Chain,
    Compare,
    Define,
    Item,
    Name,
    Negative,
    Num,
    Piece,
    Power,
    complaint,
)

EXTREMES = {"max": largest, "min": smallest}


class Reader(Integers):
    """Syntax tree to terms, the sizes being resolved."""

    def __init__(self, text: str, resolver: Resolver) -> None:
        super().__init__(text, resolver)
        self.resolver = resolver

    def definition(self, d: Define) -> Definition:
        """One definition."""
        axes = self.resolver.heads[d.name]
        indices = tuple(self._index(a) for a in axes)
        kind = self.resolver.kinds[d.name]
        env = {a.key: i for a, i in zip(axes, indices)}
        term = self.term(d.body, env)
        return Definition(d.name, indices, term, stop=bool(d.mark) or kind != "float", kind=kind, rule="given", variable=d.name)

    def _index(self, axis: SizeLink) -> Index:
        name, serial = index_key(axis.key)
        return Index(name, axis.size, serial)

    def _bind(self, items: tuple[Piece, ...], env: Env) -> tuple[tuple[Index, ...], Env]:
        inner = dict(env)
        bound = []
        for x in items:
            i = self._index(self.resolver.bound[x.span])
            inner[i.key] = i
            bound.append(i)
        return tuple(bound), inner

    # -- terms -------------------------------------------------------------------
    def term(self, n: Piece, env: Env) -> Term:
        """The node as a term."""
        if isinstance(n, Num):
            return number(n.value)
        if isinstance(n, Item):
            return self.term(n.value, env)
        if isinstance(n, Name):
            found = self.poly(n, env)
            if found is not None:
                return size_of(found)
            if n.name in self.resolver.seen:
                return ref(n.name)
            return func(n.name)
        if isinstance(n, At):
            found = self.poly(n, env)
            return size_of(found) if found is not None else ref(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            return mul(MINUS_ONE, self.term(n.operand, env))
        if isinstance(n, Power):
            return self._power(n, self.term(n.base, env), self.term(n.exponent, env))
        if isinstance(n, Chain):
            return self._arithmetic(n, env)
        if isinstance(n, Compare):
            return self._compare(n, env)
        if isinstance(n, Application):
            return self._call(n, env)
        raise complaint(self.text, n.span, "a star group stands only in brackets and before ':'")

    def _arithmetic(self, n: Chain, env: Env) -> Term:
        """A chain of operators as a term; ``//`` and ``%`` stand between integer expressions."""
        if n.operators[0] in "+-":
            parts = [self.term(n.operands[0], env)]
            for op, x in zip(n.operators, n.operands[1:]):
                part = self.term(x, env)
                parts.append(part if op == "+" else mul(MINUS_ONE, part))
            return self._bounded(n, add(*parts))
        if "//" in n.operators or "%" in n.operators:
            self.beyond = ""
            found = self._chain(n, env)
            if found is None:
                raise self._beyond(n, "'//' and '%' stand between integer expressions")
            return size_of(found)
        factors = [self.term(n.operands[0], env)]
        for op, x in zip(n.operators, n.operands[1:]):
            part = self.term(x, env)
            factors.append(part if op == "*" else self._power(x, part, MINUS_ONE))
        return self._bounded(n, mul(*factors))

    def _power(self, n: Piece, base: Term, exponent: Term) -> Term:
        if isinstance(exponent, Number) and exponent.value.denominator == 1:
            wrong = limits.power(coefficient(base)[0], int(exponent.value))
            if isinstance(base, SizeOf) and abs(exponent.value) > limits.EXPONENT:
                wrong = limits.integer_power(base.value, abs(int(exponent.value)))
            if wrong:
                raise complaint(self.text, n.span, wrong, limits.Beyond)
        return self._bounded(n, power(base, exponent))

    def _bounded(self, n: Piece, t: Term) -> Term:
        """The term, if its numbers and its length are within the limits."""
        if isinstance(t, Add) and len(t.args) > limits.ADDENDS or isinstance(t, Mul) and len(t.args) > limits.FACTORS:
            what = f"{len(t.args)} {'addends' if isinstance(t, Add) else 'factors'}"
            most = limits.ADDENDS if isinstance(t, Add) else limits.FACTORS
            raise complaint(self.text, n.span, f"{what}, once brackets are opened; expected at most {most}", limits.Beyond)
        exponent = (t.exponent,) if isinstance(t, Pow) else ()
        for a in (t, *(t.args if isinstance(t, (Add, Mul)) else ()), *exponent):
            wrong = limits.number(coefficient(a)[0])
            if wrong:
                raise complaint(self.text, n.span, wrong, limits.Beyond)
        return t

    def _compare(self, n: Compare, env: Env) -> Term:
        """``a < b <= c`` as a product of brackets."""
        factors = []
        for relation, left, right in zip(n.relations, n.sides, n.sides[1:]):
            sign = "==" if relation == "=" else relation
            a, b = self.poly(left, env), self.poly(right, env)
            if a is not None and b is not None:
                factors.append(bracket(sign, a - b))
            else:
                factors.append(bracket(sign, add(self.term(left, env), mul(MINUS_ONE, self.term(right, env)))))
        return self._bounded(n, mul(*factors))

    def _call(self, n: Application, env: Env) -> Term:
        """A reduction over indices, an integer function or a scalar function."""
        if n.body is not None:
            bound, inner = self._bind(n.items, env)
            body = self.term(n.body, inner)
            if n.name == "sum":
                return summation(bound, body)
            if n.name == "prod":
                return product(bound, body)
            if n.name in MATRICES and bound[0].size is not bound[1].size:
                what = f"{n.name} of a matrix of {bound[0].size} rows and {bound[1].size} columns; expected a square one"
                raise complaint(self.text, n.span, what)
            return Over(n.name, bound, body, tuple(self.position(p, env) for p in n.places))
        found = self.poly(n, env)
        if found is not None:
            return size_of(found)
        if n.name in EXTREMES and len(n.items) > 1:
            return self._bounded(n, EXTREMES[n.name]([self.term(x, env) for x in n.items]))
        if n.name in REDUCTIONS:
            raise self._beyond(n, f"expected indices and ':' as in {n.name}(i: x[i])")
        row = functions().get(n.name)
        if row is None:
            near = get_close_matches(n.name, [*functions(), *REDUCTIONS, *MATRICES], 1)
            raise complaint(
                self.text,
                n.span,
                f"there is no function {n.name!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(functions())}"),
            )
        if len(n.items) != row.arity:
            raise complaint(
                self.text, n.span, f"{n.name} takes {row.arity} argument{'s' * (row.arity != 1)}, found {len(n.items)}"
            )
        return func(n.name, *(self.term(x, env) for x in n.items))
