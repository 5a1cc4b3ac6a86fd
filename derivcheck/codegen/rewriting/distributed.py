"""``P·(g − Σ g·P)`` as ``g·P − P·Σ g·P``: the product is there for its sum, and one pass takes the rest from it.

For code that runs: each addend is rounded, where before their difference was, so that the last digit may be another one; people
read the factor in front.
"""

from __future__ import annotations

from collections import Counter

from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Ref, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import factors


def distributed(term: Term) -> Term:
    """The term with such products multiplied out, where what is summed is the product.

    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.notation.terms.build import ref, sub
    >>> from derivcheck.notation.terms.substitute import summation
    >>> m, k = Index("m", size("M")), Index("k", size("M"))
    >>> inner = sub(ref("g", m), summation([k], mul(ref("g", k), ref("P", k))))
    >>> print(distributed(mul(ref("P", m), inner)))
    g[m]*P[m] - P[m]*sum(k: g[k]*P[k])
    """
    return transform(term, lambda t: _multiplied_out(t) if isinstance(t, Mul) else t)


def _multiplied_out(t: Mul) -> Term:
    """The product itself where it is none of these."""
    for inner in t.args:
        outside = [f for f in t.args if f is not inner]
        if isinstance(inner, Add) and len(inner.args) == 2 and all(isinstance(f, Ref) for f in outside):
            for one, other in (inner.args, inner.args[::-1]):
                product = _summed(other, Counter([*outside, *factors(one)]))
                if product is not None:
                    return add(product, mul(*outside, other)) if one is inner.args[0] else add(mul(*outside, other), product)
    return t


def _summed(t: Term, product: Counter[Term]) -> Term | None:
    """The product of these factors as it stands, over one of their indices, in the sum that the term is a number times of."""
    sums = [f for f in factors(t) if not isinstance(f, Number)]
    (over, *others) = sums or [t]
    if others or not isinstance(over, Over) or over.kind != "sum" or len(over.indices) != 1:
        return None
    (bound,) = over.indices
    own = {i for f in product for i in f.free if i.size is bound.size and i not in over.free}
    bodies = (substitute(over.body, {bound: i_poly(i)}) for i in own)
    return next((b for b in bodies if Counter(factors(b)) == product), None)
