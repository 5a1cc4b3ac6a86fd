"""``sigmoid(−z)`` is ``1 − sigmoid(z)``: beside ``sigmoid(z)`` it is written so where that is shorter."""

from __future__ import annotations

from derivcheck.notation.terms.build import ONE, add, mul, neg, sub
from derivcheck.notation.terms.nodes import Add, Func, Mul, Over, Term, is_negative
from derivcheck.notation.terms.substitute import reduction, transform
from derivcheck.notation.terms.walk import subterms

MOST = 16  # addends of a product that is multiplied out


def reflected(term: Term) -> Term:
    """The term with one sigmoid of each argument, multiplied out.

    >>> from derivcheck.notation.terms.build import ref
    >>> z, y = ref("z"), ref("y")
    >>> one, other = Func("sigmoid", (z,)), Func("sigmoid", (neg(z),))
    >>> print(reflected(sub(mul(sub(ONE, y), one), mul(y, other))))
    sigmoid(z) - y
    """
    inside = {t.args[0] for t in subterms(term) if isinstance(t, Func) and t.name == "sigmoid"}
    both = {u for u in inside if neg(u) in inside and _leads(u)}
    if not both:
        return term
    return multiplied_out(transform(term, lambda t: _other(t, both)))


def _leads(u: Term) -> bool:
    """Whether, of an argument and its negative, it is the one without a minus in front."""
    return not is_negative(u.args[0] if isinstance(u, Add) else u)


def _other(t: Term, both: set[Term]) -> Term:
    if isinstance(t, Func) and t.name == "sigmoid" and neg(t.args[0]) in both and t.args[0] not in both:
        return sub(ONE, Func("sigmoid", (neg(t.args[0]),)))
    return t


def multiplied_out(term: Term) -> Term:
    """Products of sums as sums of products, where they are few."""
    if isinstance(term, Add):
        return add(*map(multiplied_out, term.args))
    if isinstance(term, Over) and term.kind == "sum":
        return reduction("sum", term.indices, multiplied_out(term.body))
    if isinstance(term, Mul):
        found: list[Term] = [ONE]
        for a in map(multiplied_out, term.args):
            found = [mul(f, x) for f in found for x in (a.args if isinstance(a, Add) else (a,))]
            if len(found) > MOST:
                return term
        return add(*found)
    return term
