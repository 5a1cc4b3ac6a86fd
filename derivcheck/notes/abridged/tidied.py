"""Terms that were put together, as a person would have written them at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from derivcheck.notation.integers.atoms import Floor
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.brackets import opposite
from derivcheck.notation.terms.build import MINUS_ONE, add, mul, neg, power
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, SizeOf, Term, is_negative
from derivcheck.notation.terms.substitute import reduction, substitute, transform
from derivcheck.notation.terms.walk import factors, subterms

FEW = 12  # elements of axes that a sum may be written out over
INFINITY = Func("inf", ())


def tidied(term: Term) -> Term:
    """A term that was put together: brackets of brackets, and minus signs that stand in front of all addends.

    >>> from derivcheck.notation.terms.build import number, ref
    >>> print(tidied(mul(number(-2), add(mul(number(-1), ref("a")), mul(number(-1), ref("b"))))))
    2*(a + b)
    """
    return transform(term, _tidy)


def _tidy(t: Term) -> Term:
    """One node of :func:`tidied`."""
    if isinstance(t, Bracket) and t.relation in ("==", "!=") and isinstance(t.operand, Bracket):
        if INFINITY in subterms(t.operand):  # inf − inf is no number, and neither above 0 nor not
            return t
        return t.operand if t.relation == "!=" else opposite(t.operand)
    if isinstance(t, Over) and t.kind == "sum" and (found := _picked(t) or _chosen(t)) is not None:
        return tidied(found)
    if isinstance(t, Over) and t.kind == "sum" and isinstance(t.body, Add) and all(map(is_negative, t.body.args)):
        return neg(Over("sum", t.indices, add(*map(neg, t.body.args))))
    if isinstance(t, Func) and t.name == "exp" and (found := _masked(t)) is not None:
        return found
    if isinstance(t, Add) and any(_minus_sum(a) is not None for a in t.args):
        return add(*(x for a in t.args for x in _spread(a)))
    if isinstance(t, Pow) and isinstance(t.base, Pow) and isinstance(t.base.base, SizeOf) and t.exponent is MINUS_ONE:
        return power(t.base.base, neg(t.base.exponent))  # 1/(1/(N − 1)): where it is a number
    if isinstance(t, Mul) and (rest := [a for a in t.args if not _said_by_root(a, t)]) != list(t.args):
        return mul(*rest)
    if isinstance(t, Mul):
        turned = [a for a in t.args if isinstance(a, Add) and all(map(is_negative, a.args))]
        if turned:
            rest = [a for a in t.args if a not in turned]
            return mul(Number((-1) ** len(turned)), *rest, *(add(*(mul(Number(-1), x) for x in a.args)) for a in turned))
    return t


def _said_by_root(a: Term, t: Mul) -> bool:
    """Whether it is ``1/[u > 0]`` beside ``1/√u``."""
    if not isinstance(a, Pow) or not isinstance(a.base, Bracket) or a.base.relation != ">":
        return False
    roots = [p for p in t.args if isinstance(p, Pow) and p.base is a.base.operand and isinstance(p.exponent, Number)]
    return any(isinstance(p.exponent, Number) and p.exponent.value < 0 for p in roots)


def _picked(t: Over) -> Term | None:
    """``Σ_k [k = 1]·f(k)`` as ``f(1)``, where 1 is surely one of the places."""
    for k in t.indices:
        for at, used in _places(t, k):
            if at.indices.isdisjoint(t.indices) and nonnegative(at, 0) and nonnegative(k.size - 1 - at, 0):
                rest = mul(*(f for f in factors(t.body) if f not in used))
                return reduction("sum", tuple(i for i in t.indices if i is not k), substitute(rest, {k: at}))
    parts = factors(t.body)
    for a in parts:  # Σ_j [⌊j/2⌋ = i]·([j mod 2 = 0]·f(j) + [j mod 2 = 1]·g(j)): each addend picks one place
        if isinstance(a, Add) and len(a.args) <= FEW and any(isinstance(f, Bracket) for x in a.args for f in factors(x)):
            rest = mul(*(f for f in parts if f is not a))
            found = [_picked(Over("sum", t.indices, mul(rest, x))) for x in a.args]
            if None not in found:
                return add(*(x for x in found if x is not None))
    return None


def _chosen(t: Over) -> Term | None:
    """``Σ_j g(j)·(a·[j = 0] + b·[j = 2])`` as ``a·g(0) + b·g(2)``, and ``Σ_{i,j} [3·i + j = 5]·f(i,j)`` as ``f(1,2)``."""
    few = {i for i in t.indices if i.size.constant is not None}
    if not few or math.prod(i.size.constant or 1 for i in few) > FEW:
        return None
    parts = factors(t.body)
    for b in parts:
        if (found := _only(b, few)) is not None:
            rest = substitute(mul(*(f for f in parts if f is not b)), found)
            return reduction("sum", tuple(i for i in t.indices if i not in found), rest)
    for a in parts:
        if isinstance(a, Add) and all(any(_only(f, few) is not None for f in factors(x)) for x in a.args):
            rest = mul(*(f for f in parts if f is not a))
            return add(*(reduction("sum", t.indices, mul(rest, x)) for x in a.args))
    return None


def _only(b: Term, few: set[Index]) -> dict[Index, int] | None:
    """The one place, of few, where a condition holds."""
    if not isinstance(b, Bracket) or b.relation != "==" or not isinstance(b.operand, Poly) or not b.operand.indices <= few:
        return None
    own = sorted(b.operand.indices, key=lambda i: i.key)
    ways = [dict(zip(own, at)) for at in itertools.product(*(range(i.size.constant or 1) for i in own))]
    found = [w for w in ways if b.operand.substitute(dict(w)).constant == 0]
    return found[0] if own and len(found) == 1 else None


def _masked(t: Func) -> Term | None:
    """``exp(u·[c] − ∞·[not c])`` as ``exp(u)·[c]``."""
    u = t.args[0]
    if not isinstance(u, Add) or len(u.args) != 2:
        return None
    for kept, gone in (u.args, u.args[::-1]):
        guards = [b for b in factors(gone) if isinstance(b, Bracket)]
        if len(guards) == 1 and set(factors(gone)) == {MINUS_ONE, INFINITY, guards[0]}:
            c = opposite(guards[0])
            if c in factors(kept):
                return mul(Func("exp", (mul(*(f for f in factors(kept) if f is not c)),)), c)
    return None


def _places(t: Over, k: Index) -> Iterator[tuple[Poly, list[Bracket]]]:
    """The place that conditions ask for, ``[k = a]``, or ``[⌊k/c⌋ = a]·[k mod c = b]``; and the conditions."""
    asked = [b for b in factors(t.body) if isinstance(b, Bracket) and b.relation == "==" and isinstance(b.operand, Poly)]
    wholes: list[tuple[Bracket, Floor, Poly]] = []
    for b in asked:
        assert isinstance(b.operand, Poly)
        found = b.operand.linear_in(k)
        if found is not None and abs(found[0]) == 1 and k not in found[1].indices:
            yield -found[1] * found[0], [b]
        for a in b.operand.atoms():
            own = b.operand.linear_in(a)
            if isinstance(a, Floor) and a.numerator is i_poly(k) and own is not None and abs(own[0]) == 1:
                if k not in own[1].indices:
                    wholes.append((b, a, -own[1] * own[0]))
    for b, a, whole in wholes:
        for r in asked:
            assert isinstance(r.operand, Poly)
            rest = i_poly(k) - a.denominator * as_poly(a)
            for digit in (rest - r.operand, rest + r.operand):
                if r is not b and k not in digit.indices:
                    yield a.denominator * whole + digit, [b, r]


def _minus_sum(t: Term) -> Add | None:
    """The sum that a term is with a minus in front."""
    if isinstance(t, Mul) and len(t.args) == 2 and t.args[0] is MINUS_ONE and isinstance(t.args[1], Add):
        return t.args[1]
    return None


def _spread(t: Term) -> tuple[Term, ...]:
    """The addends of minus a sum; anything else as it is."""
    whole = _minus_sum(t)
    return (t,) if whole is None else tuple(neg(a) for a in whole.args)
