"""Syntax trees of index text to terms, once every index has its size."""

from __future__ import annotations

from difflib import get_close_matches

from derivcheck.notation.brackets import bracket
from derivcheck.notation.functions import functions
from derivcheck.notation.program import Definition
from derivcheck.notation.resolve import Axis, Resolver, index_key
from derivcheck.notation.sizes import Index, Poly, as_poly, entry, extreme, i_poly, size
from derivcheck.notation.syntax import (
    WHOLE,
    At,
    Call,
    Chain,
    Compare,
    Define,
    Item,
    Name,
    Negative,
    Node,
    Num,
    Power,
    Star,
    complaint,
)
from derivcheck.notation.terms import MINUS_ONE, Over, Term, add, func, mul, number, power, product, ref, size_of, summation

REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin")
Env = dict[str, Index]


class Reader:
    """Syntax tree to terms, the sizes being resolved; without a resolver every name is a size."""

    def __init__(self, text: str, resolver: Resolver | None) -> None:
        self.text, self.resolver = text, resolver
        self.powers: list[tuple[Term, Term]] = []  # as written: they may cancel

    def definition(self, d: Define) -> Definition:
        """One definition."""
        assert self.resolver is not None
        axes = self.resolver.heads[d.name]
        indices = tuple(self._index(a) for a in axes)
        kind = self.resolver.kinds[d.name]
        env = {a.key: i for a, i in zip(axes, indices)}
        term = self.term(d.body, env)
        return Definition(d.name, indices, term, stop=bool(d.mark) or kind != "float", kind=kind, rule="given")

    def _index(self, axis: Axis) -> Index:
        name, serial = index_key(axis.key)
        return Index(name, axis.size, serial)

    def _bind(self, items: tuple[Node, ...], env: Env) -> tuple[tuple[Index, ...], Env]:
        assert self.resolver is not None
        inner = dict(env)
        bound = []
        for x in items:
            i = self._index(self.resolver.bound[x.span])
            inner[i.key] = i
            bound.append(i)
        return tuple(bound), inner

    # -- integer expressions ---------------------------------------------------
    def poly(self, n: Node, env: Env) -> Poly | None:
        """The node as an integer expression; None where it is not one."""
        if isinstance(n, Num):
            return as_poly(n.value.numerator) if n.value.denominator == 1 else None
        if isinstance(n, Name):
            if n.name in env:
                return i_poly(env[n.name])
            r = self.resolver
            if r is None or n.name in r.sizes:
                return size(n.name)
            return entry(n.name) if r.kind(n.name) == "int" else None
        if isinstance(n, Item):
            return self.poly(n.value, env)
        if isinstance(n, At):
            if self.resolver is None or self.resolver.kind(n.name) != "int":
                return None
            return entry(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            inner = self.poly(n.operand, env)
            return None if inner is None else -inner
        if isinstance(n, Chain):
            return self._chain(n, env)
        if isinstance(n, Power):
            base, exponent = self.poly(n.base, env), self.poly(n.exponent, env)
            if base is None or exponent is None or exponent.constant is None or exponent.constant < 0:
                return None
            return base**exponent.constant
        if isinstance(n, Call) and n.body is None:
            if n.name == "size" and len(n.items) == 1:
                item = n.items[0]
                inside = item.value if isinstance(item, Item) else item
                if isinstance(inside, Name) and inside.name in env:
                    return env[inside.name].size
                raise complaint(self.text, n.span, "size(…) takes the name of an index that is bound here")
            if n.name in ("max", "min"):
                args = [self.poly(x, env) for x in n.items]
                known = [a for a in args if a is not None]
                return extreme(n.name, *known) if known and len(known) == len(args) else None
        return None

    def _chain(self, n: Chain, env: Env) -> Poly | None:
        if "/" in n.operators:
            return None
        total = self.poly(n.operands[0], env)
        for op, x in zip(n.operators, n.operands[1:]):
            right = self.poly(x, env)
            if total is None or right is None:
                return None
            if op in ("//", "%") and not right.terms:
                raise complaint(self.text, x.span, "a whole division by zero")
            total = WHOLE[op](total, right)
        return total

    def position(self, n: Node, env: Env) -> Poly:
        """A position in brackets."""
        if isinstance(n, Star):
            raise complaint(self.text, n.span, f"the star group *{n.name} stands only in rows, where its rank is known")
        if isinstance(n, Item) and n.below is not None:
            raise complaint(self.text, n.span, "found '<' in a position; a size is given where an index is bound")
        found = self.poly(n, env)
        if found is None:
            raise complaint(
                self.text,
                n.span,
                f"found {self.text[n.span[0] : n.span[1]]!r} as a position, expected an integer "
                "expression of indices, sizes and integer tensors",
            )
        return found

    # -- terms -------------------------------------------------------------------
    def term(self, n: Node, env: Env) -> Term:
        """The node as a term."""
        if isinstance(n, Num):
            return number(n.value)
        if isinstance(n, Item):
            return self.term(n.value, env)
        if isinstance(n, Name):
            found = self.poly(n, env)
            if found is not None:
                return size_of(found)
            if self.resolver is not None and n.name in self.resolver.seen:
                return ref(n.name)
            return func(n.name)
        if isinstance(n, At):
            found = self.poly(n, env)
            return size_of(found) if found is not None else ref(n.name, *(self.position(p, env) for p in n.places))
        if isinstance(n, Negative):
            return mul(MINUS_ONE, self.term(n.operand, env))
        if isinstance(n, Power):
            return self._power(self.term(n.base, env), self.term(n.exponent, env))
        if isinstance(n, Chain):
            return self._arithmetic(n, env)
        if isinstance(n, Compare):
            return self._compare(n, env)
        if isinstance(n, Call):
            return self._call(n, env)
        raise complaint(self.text, n.span, "a star group stands only in brackets and before ':'")

    def _arithmetic(self, n: Chain, env: Env) -> Term:
        if n.operators[0] in "+-":
            parts = [self.term(n.operands[0], env)]
            for op, x in zip(n.operators, n.operands[1:]):
                part = self.term(x, env)
                parts.append(part if op == "+" else mul(MINUS_ONE, part))
            return add(*parts)
        if "//" in n.operators or "%" in n.operators:
            found = self._chain(n, env)
            if found is None:
                raise complaint(self.text, n.span, "'//' and '%' stand between integer expressions")
            return size_of(found)
        factors = [self.term(n.operands[0], env)]
        for op, x in zip(n.operators, n.operands[1:]):
            part = self.term(x, env)
            factors.append(part if op == "*" else self._power(part, MINUS_ONE))
        return mul(*factors)

    def _power(self, base: Term, exponent: Term) -> Term:
        self.powers.append((base, exponent))
        return power(base, exponent)

    def _compare(self, n: Compare, env: Env) -> Term:
        factors = []
        for relation, left, right in zip(n.relations, n.sides, n.sides[1:]):
            sign = "==" if relation == "=" else relation
            a, b = self.poly(left, env), self.poly(right, env)
            if a is not None and b is not None:
                factors.append(bracket(sign, a - b))
            else:
                factors.append(bracket(sign, add(self.term(left, env), mul(MINUS_ONE, self.term(right, env)))))
        return mul(*factors)

    def _call(self, n: Call, env: Env) -> Term:
        if n.body is not None:
            bound, inner = self._bind(n.items, env)
            body = self.term(n.body, inner)
            if n.name == "sum":
                return summation(bound, body)
            return product(bound, body) if n.name == "prod" else Over(n.name, bound, body)
        found = self.poly(n, env)
        if found is not None:
            return size_of(found)
        if n.name in REDUCTIONS:
            raise complaint(self.text, n.span, f"expected indices and ':' as in {n.name}(i: x[i])")
        row = functions().get(n.name)
        if row is None:
            near = get_close_matches(n.name, [*functions(), *REDUCTIONS], 1)
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
