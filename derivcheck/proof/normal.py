"""The normal form of a term: a polynomial of closed atoms, equal for terms that are equal by the rules of algebra and sums.

Each rewriting is an identity over the reals under the conditions that the space collects.  Two terms with one normal
form are equal for every size; two normal forms that differ prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from derivcheck.notation.integers.atoms import Floor, exact_quotient
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.proof import brackets, elementary, polynomials, powers, sums
from derivcheck.proof.atoms import EVERYWHERE, UNIT, Atom, Expression, Monomial, Rational, free_in, whole
from derivcheck.proof.ranges import polys
from derivcheck.proof.space import Unreduced, constant, unlimited
from derivcheck.proof.substitution import moved

if TYPE_CHECKING:
    from derivcheck.proof.space import Space


def of_term(space: Space, term: Term) -> Expression:
    """The normal form of a term.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import mul, ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> from derivcheck.proof.space import Space
    >>> space, i, j = Space(), Index("i", size("N")), Index("j", size("N"))
    >>> one = of_term(space, summation([i], mul(ref("x", i), ref("y", i))))
    >>> one == of_term(space, summation([j], mul(ref("y", j), ref("x", j))))
    True
    """
    found = space.terms.get(term)
    if found is None:
        space.tick()
        found = space.terms[term] = _of_term(space, term)
    return found


def _of_term(space: Space, t: Term) -> Expression:
    if isinstance(t, Number):
        return polynomials.number(_plain(t.value))
    if isinstance(t, SizeOf):
        return polynomials.of_poly(space, t.value)
    if isinstance(t, Ref):
        return space.one("element", t.name, t.at)
    if isinstance(t, Add):
        total: Expression = {}
        for a in t.args:
            polynomials.add_into(total, of_term(space, a))
        return total
    if isinstance(t, Mul):
        return polynomials.product(space, sorted((of_term(space, a) for a in t.args), key=len))
    if isinstance(t, Pow):
        return _power(space, of_term(space, t.base), of_term(space, t.exponent))
    if isinstance(t, Func):
        return elementary.apply(space, t.name, [of_term(space, a) for a in t.args])
    if isinstance(t, Bracket):
        return _bracket(space, t)
    if isinstance(t, Over):
        return _over(space, t)
    raise TypeError(f"not a term: {type(t).__name__}")


def _plain(value: Fraction) -> Rational:
    return int(value) if value.denominator == 1 else value


def _power(space: Space, base: Expression, exponent: Expression) -> Expression:
    known = constant(exponent)
    if known is not None:
        return powers.power(space, base, _plain(Fraction(known)))
    if not base:
        raise Unreduced("a symbolic power of zero")
    space.used("u^v = exp(v·log u)")
    return elementary.exp(space, polynomials.times(space, exponent, elementary.log(space, base)))


def _bracket(space: Space, t: Bracket) -> Expression:
    if isinstance(t.operand, Poly):
        if t.relation in ("==", "!="):
            found = brackets.equal(space, t.operand)
            return found if t.relation == "==" else _complement(found)
        return brackets.least(space, t.operand if t.relation == ">=" else t.operand - 1)
    if isinstance(t.operand, Ref) and space.kinds.get(t.operand.name) == "bool":  # its elements are 0 and 1
        if t.relation == ">=":
            return {UNIT: 1}
        truth = of_term(space, t.operand)
        return _complement(truth) if t.relation == "==" else truth
    u = of_term(space, t.operand)
    if t.relation == ">":
        return brackets.above(space, u)
    if t.relation == ">=":
        return _complement(brackets.above(space, polynomials.scaled(u, -1)))
    found = brackets.zero(space, u)
    return found if t.relation == "==" else _complement(found)


def _complement(u: Expression) -> Expression:
    return polynomials.plus({UNIT: 1}, polynomials.scaled(u, -1))


def _over(space: Space, t: Over) -> Expression:
    body = of_term(space, t.body)
    if t.kind != "sum":
        return sums.reduced(space, t.kind, t.indices, body)
    bound: list[Index] = []
    for i in t.indices:
        if i.size.indices:  # a range that depends on another index: all integers, with brackets
            j = space.temporary(as_poly(EVERYWHERE))
            body = moved(space, body, {i: i_poly(j)})
            ends = [brackets.least(space, i_poly(j)), brackets.least(space, i.size - 1 - i_poly(j))]
            body = polynomials.product(space, [body, *ends])
            bound.append(j)
        else:
            bound.append(i)
    return sums.summed(space, bound, body)


def in_digits(space: Space, expression: Expression) -> Expression:
    """A free index below ``H·d`` of which ``i // d`` is used is written as ``h·d + e``: every place is, in one way."""
    for m in expression:
        for a, _ in m:
            for p in polys(a):
                for x in p.atoms():
                    if not isinstance(x, Floor) or x.denominator.indices:
                        continue
                    i = x.numerator.index
                    if i is None or unlimited(i) or i not in free_in(expression):
                        continue
                    high = exact_quotient(i.size, x.denominator)
                    if high is None:
                        continue
                    space.used("i = h·d + e")
                    h, e = space.temporary(high), space.temporary(x.denominator)
                    space.top |= {h, e}
                    return in_digits(space, moved(space, expression, {i: x.denominator * i_poly(h) + i_poly(e)}))
    return expression


def vanishes(space: Space, expression: Expression) -> bool:
    """Whether the expression is zero: by itself, or once its denominators are cleared."""
    if not expression:
        return True
    return all(not part for part in cleared(space, in_digits(space, expression)))


def cleared(space: Space, expression: Expression) -> list[Expression]:
    """The expression times its denominators, one part per class of fractional exponents."""
    done: list[Expression] = []
    stack: list[tuple[Expression, frozenset[Atom]]] = [(expression, frozenset())]
    while stack:
        space.tick()
        u, settled = stack.pop()
        base = _denominator(u, settled)
        if base is None:
            done.append(u)
            continue
        space.used("times the denominators")
        classes: dict[Rational, dict[Monomial, Rational]] = {}
        for m, c in u.items():
            e = dict(m).get(base, 0)
            classes.setdefault(Fraction(e) % 1, {})[m] = c
        for part in classes.values():
            lowest = min(Fraction(dict(m).get(base, 0)) for m in part)
            total: Expression = {}
            for m, c in part.items():
                own = dict(m)
                lift = Fraction(own.pop(base, 0)) - lowest
                assert whole(lift)
                raised = powers.power(space, dict(base.data[0]), int(lift))
                own_: Expression = {frozenset(own.items()): c}
                polynomials.add_into(total, polynomials.times(space, own_, raised))
            stack.append((total, settled | {base}))
    return done


def _denominator(u: Expression, settled: Iterable[Atom]) -> Atom | None:
    found: dict[Atom, int] = {}
    for m in u:
        for a, e in m:
            if a.kind == "base" and e < 0 and a not in settled:
                found[a] = max(found.get(a, 0), a.height)
    if not found:
        return None
    return min(found, key=lambda a: a.signature)
