"""Which sizes in a divisor may be 0 while something is computed.

The mean of an empty tensor has a gradient of no elements, or a sum of no elements: whatever a zero divisor gives there is
lost, and 1 is written in its place, so that no infinity meets a zero.  A divisor that vanishes on its own, the ``N // 4``
of ``x.sum()/(n // 4)`` at N = 3, divides as torch does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import MINUS_ONE
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import factors, subterms

Scope = tuple[Poly | Bracket, ...]  # the dimensions and the conditions under which a place is computed
_OTHERS = 16  # what other sizes are taken for; no size is 0 but the one looked at


def bare(definitions: Sequence[Definition], forward: Collection[str], outputs: Collection[str]) -> frozenset[Atom]:
    """The sizes, quotients of sizes and the like that may be 0 in a divisor whose value is used.

    Args:
        forward: the names of the forward's definitions: a factor beside a sum is a factor of the sum there, and the mean of
            nothing, which has a spelling of its own, is NaN; in a gradient it stands for a factor of each element, and of
            no elements there is nothing to divide.
    """
    if not any(isinstance(t, Pow) and _atoms(t) for d in definitions for t in subterms(d.term)):
        return frozenset()
    reads: dict[str, list[tuple[str, Scope]]] = {d.name: [] for d in definitions}
    divisors: list[tuple[str, Scope, Atom]] = []
    for d in definitions:
        for term, scope in _places(d.term, (), d.name in forward):
            if isinstance(term, Ref):
                reads[d.name].append((term.name, scope))
            elif isinstance(term, Pow):
                divisors += [(d.name, scope, a) for a in _atoms(term)]

    def used(atom: Atom) -> set[str]:
        """The definitions that an output is made of where the atom is 0, each in a place that is computed there."""
        there = {d.name for d in definitions if not any(_vanishes(p, atom) for p in d.dims)}
        found = there.intersection(outputs)
        waiting = list(found)
        while waiting:
            more = {n for n, scope in reads[waiting.pop()] if not any(_vanishes(s, atom) for s in scope)}
            waiting += (more & there) - found
            found |= more & there
        return found

    uses = {a: used(a) for a in {a for _, _, a in divisors} if not isinstance(a, Index)}
    return frozenset(
        a for name, scope, a in divisors if isinstance(a, Index) or name in uses[a] and not any(_vanishes(s, a) for s in scope)
    )


def _places(term: Term, scope: Scope, forward: bool) -> Iterator[tuple[Term, Scope]]:
    """Each element that is read and each quotient, with what it is computed under."""
    if isinstance(term, Ref) or isinstance(term, Pow) and isinstance(term.exponent, Number) and term.exponent.value < 0:
        yield term, scope
    for k in term.children:
        inside = scope
        if isinstance(term, Over):
            inside += tuple(i.size for i in term.indices)
        elif isinstance(term, Mul):
            beside = [b for b in term.children if b is not k]
            inside += tuple(b for b in beside if isinstance(b, Bracket))
            sums = [b for b in beside if isinstance(b, Over)]
            summed = tuple(i.size for s in sums for i in s.indices)
            if not forward or _is_mean(term, summed) and all(_is_of_one_factor(s) for s in sums):
                inside += summed
        yield from _places(k, inside, forward)


def _is_mean(product: Mul, summed: tuple[Poly, ...]) -> bool:
    """Whether the factors beside a sum divide by the number of its terms."""
    below = [
        k.base.value for k in product.children if isinstance(k, Pow) and k.exponent is MINUS_ONE and isinstance(k.base, SizeOf)
    ]
    total, divisor = math.prod(summed, start=as_poly(1)), math.prod(below, start=as_poly(1))
    return bool(summed) and len(total.terms) == len(divisor.terms) == 1 and total.terms[0][0] == divisor.terms[0][0]


def _is_of_one_factor(total: Over) -> bool:
    """Whether its terms are made element by element, so that ``mean`` spells it; a sum of products is made of others."""
    parts = total.body.args if isinstance(total.body, Add) else (total.body,)
    bound = frozenset(total.indices)
    wanted = total.body.free & bound
    return all(f.free & bound in (frozenset(), wanted) for t in parts for f in factors(t))


def _atoms(quotient: Pow) -> Iterable[Atom]:
    """What a product of sizes below a fraction is made of; other divisors are not taken for at least 1."""
    base = quotient.base
    if isinstance(base, SizeOf) and len(base.value.terms) == 1:
        return [a for a, _ in base.value.terms[0][0]]
    return ()


def _vanishes(scope: Poly | Bracket, atom: Atom) -> bool:
    """Whether nothing is computed where the atom is 0."""
    p = scope.operand if isinstance(scope, Bracket) else scope
    if not isinstance(p, Poly) or p.names:
        return False
    if not isinstance(scope, Bracket) and len(p.terms) == 1 and any(a == atom for a, _ in p.terms[0][0]):
        return True
    at_zero = p if isinstance(atom, Size) else Poly((m, c) for m, c in p.terms if all(a != atom for a, _ in m))
    try:
        value = at_zero.evaluate(lambda a: 0 if a == atom or isinstance(a, Index) else _OTHERS)
    except ZeroDivisionError:  # a quotient by what is 0 then
        return False
    if isinstance(scope, Bracket):
        return bool(value < 0 if scope.relation == ">=" else value <= 0 if scope.relation == ">" else False)
    return bool(value <= 0)
