"""The normal form of a term: a polynomial of closed atoms, equal for terms that are equal by the rules of algebra and sums.

Each rewriting is an identity over the reals under the conditions that the context collects.  Two terms with one normal
form are equal for every size; two normal forms that differ prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from time import perf_counter

from derivcheck.derivation.scalar import meaning
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.terms.nodes import MATRICES, Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.proof.expressions.atoms import EVERYWHERE, UNIT, Expression
from derivcheck.proof.expressions.context import NOTHING_KNOWN, PLAIN, Context, Facts, Mode, Rules, Unreduced
from derivcheck.proof.expressions.polynomials import add_into, constant, minus, number, plain, scaled
from derivcheck.proof.normal_form import (
    brackets,
    cholesky_factors,
    elementary,
    inverses,
    matrices,
    powers,
    reductions,
    substitution,
    sums,
    triangles,
)
from derivcheck.proof.normal_form.products import of_poly, product, times


def of_term(context: Context, term: Term) -> Expression:
    """The normal form of a term.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import mul, ref
    >>> from derivcheck.notation.terms.substitute import summation
    >>> context, i, j = new_context(), Index("i", size("N")), Index("j", size("N"))
    >>> one = of_term(context, summation([i], mul(ref("x", i), ref("y", i))))
    >>> one == of_term(context, summation([j], mul(ref("y", j), ref("x", j))))
    True
    """
    found = context.terms.get(term)
    if found is None:
        context.tick()
        found = context.terms[term] = _of_term(context, term)
    return found


def _of_term(context: Context, t: Term) -> Expression:
    """The normal form of a term from those of its parts."""
    if isinstance(t, Number):
        return number(plain(t.value))
    if isinstance(t, SizeOf):
        return of_poly(context, t.value)
    if isinstance(t, Ref):
        return context.element(t.name, t.at)
    if isinstance(t, Add):
        total: Expression = {}
        for a in t.args:
            add_into(total, of_term(context, a))
        return total
    if isinstance(t, Mul):
        return product(context, sorted((of_term(context, a) for a in t.args), key=len))
    if isinstance(t, Pow):
        return _power(context, of_term(context, t.base), of_term(context, t.exponent))
    if isinstance(t, Func):
        return elementary.apply(context, t.name, [of_term(context, a) for a in t.args])
    if isinstance(t, Bracket):
        return _bracket(context, t)
    if isinstance(t, Over):
        return _over(context, t)
    raise TypeError(f"not a term: {type(t).__name__}")


def _power(context: Context, base: Expression, exponent: Expression) -> Expression:
    known = constant(exponent)
    if known is not None:
        return powers.power(context, base, plain(Fraction(known)))
    if not base:
        raise Unreduced("a symbolic power of zero")
    context.used("u^v = exp(v·log u)")
    return elementary.exp(context, times(context, exponent, elementary.log(context, base)))


def _bracket(context: Context, t: Bracket) -> Expression:
    """A bracket of integers or of real numbers, each relation by the three that are kept: = 0, ≥ 0, > 0."""
    if isinstance(t.operand, Poly):
        if t.relation in ("==", "!="):
            found = brackets.equal(context, t.operand)
            return found if t.relation == "==" else _complement(found)
        return brackets.least(context, t.operand if t.relation == ">=" else t.operand - 1)
    if isinstance(t.operand, Ref) and context.facts.kinds.get(t.operand.name) == "bool":  # its elements are 0 and 1
        if t.relation == ">=":
            return {UNIT: 1}
        truth = of_term(context, t.operand)
        return _complement(truth) if t.relation == "==" else truth
    u = of_term(context, t.operand)
    if t.relation == ">":
        return brackets.above(context, u)
    if t.relation == ">=":
        return _complement(brackets.above(context, scaled(u, -1)))
    found = brackets.zero(context, u)
    return found if t.relation == "==" else _complement(found)


def _complement(u: Expression) -> Expression:
    return minus({UNIT: 1}, u)


def _over(context: Context, t: Over) -> Expression:
    """A sum or another reduction of a term."""
    body = of_term(context, t.body)
    if t.kind in MATRICES:
        return matrices.made_of(context, t.kind, t.indices, body, t.at)
    if t.kind != "sum":
        return reductions.reduced(context, t.kind, t.indices, body)
    bound: list[Index] = []
    for i in t.indices:
        if i.size.indices:  # a range that depends on another index: all integers, with brackets
            j = context.temporary(as_poly(EVERYWHERE))
            body = substitution.renamed(context, body, {i: j})
            ends = [brackets.least(context, i_poly(j)), brackets.least(context, i.size - 1 - i_poly(j))]
            body = product(context, [body, *ends])
            bound.append(j)
        else:
            bound.append(i)
    return sums.summed(context, bound, body)


def _by_definition(context: Context, name: str, args: list[Expression]) -> Expression:
    """A scalar function as its definition has it, the arguments in place of the references 000, 001, …"""
    start = perf_counter()
    means = meaning(name)
    if context.deadline is not None:  # loading SymPy is not the proof's time
        context.deadline += perf_counter() - start
    meanings: substitution.Meanings = {f"{k:03d}": ((), a) for k, a in enumerate(args)}
    return substitution.inlined(context, of_term(context, means), meanings)


RULES = Rules(
    settled=brackets.settled,
    reopened=powers.reopened,
    substituted=substitution.substituted,
    summed=sums.summed,
    reduced=reductions.reduced,
    made_of_matrix=matrices.made_of,
    in_sums=(inverses.contracted, cholesky_factors.factors_met, triangles.triangular),
    by_definition=_by_definition,
)


def new_context(
    mode: Mode = PLAIN, facts: Facts = NOTHING_KNOWN, top: Iterable[Index] = (), deadline: float | None = None
) -> Context:
    """A context with all rules.

    Args:
        mode: how far the normal form goes.
        facts: what is known of the tensors.
        top: the indices that no Σ binds.
        deadline: when to stop, as ``perf_counter`` tells the time.
    """
    return Context(RULES, mode, facts, top, deadline)
