"""One-hot definitions: ``z[n, c] := −[c = t[n]]·s[n]`` stands in its uses, where sums pick and the rest goes into places."""

from __future__ import annotations

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Over, Term
from derivcheck.notation.terms.substitute import summation, transform
from derivcheck.notation.terms.walk import factors


def is_one_hot(t: Term, indices: tuple[Index, ...]) -> bool:
    """Whether it is a product with a bracket that compares one of these indices with an entry of a tensor."""
    return any(
        isinstance(b, Bracket) and b.relation == "==" and isinstance(b.operand, Poly) and b.operand.names and _alone(b, indices)
        for b in factors(t)
    )


def _alone(b: Bracket, indices: tuple[Index, ...]) -> bool:
    assert isinstance(b.operand, Poly)
    lines = ((i, b.operand.linear_in(i)) for i in indices if i in b.operand.indices)
    return any(line is not None and line[0] in (1, -1) and i not in line[1].indices for i, line in lines)


def one_hot(d: Definition) -> Term | None:
    """The definition as a sum whose addends are one-hot or do not run along that index; None where it is not sparse so."""
    if d.kind != "float" or d.recurrent or d.spelling is not None or not d.indices:
        return None
    addends = opened(d.term, d.indices)
    hot = [a for a in addends if is_one_hot(a, d.indices)]
    if not hot:
        return None
    along = {i for a in hot for b in factors(a) if isinstance(b, Bracket) and is_one_hot(b, d.indices) for i in b.free}
    along &= {i for i in d.indices if not all(i in f.free for a in hot for f in factors(a) if not isinstance(f, Bracket))}
    rest = [a for a in addends if a not in hot]
    if any(not _thin(f, d.indices) for a in hot for f in factors(a)) or any(a.free >= set(d.indices) for a in rest):
        return None
    return add(*addends) if along else None


def _thin(f: Term, indices: tuple[Index, ...]) -> bool:
    """Whether a factor is cheap to compute where it is used: no sum inside that runs with all the indices."""
    return not (isinstance(f, Over) and f.free >= set(indices))


def opened(term: Term, indices: tuple[Index, ...]) -> list[Term]:
    """The addends of a term, products with a sum that holds a one-hot multiplied out."""
    if isinstance(term, Add):
        return [x for a in term.args for x in opened(a, indices)]
    if isinstance(term, Mul):
        for f in term.args:
            if isinstance(f, Add) and any(is_one_hot(x, indices) for a in f.args for x in opened(a, indices)):
                rest = [x for x in term.args if x is not f]
                return [x for a in f.args for x in opened(mul(a, *rest), indices)]
    return [term]


def picks(term: Term) -> Term:
    """Sums over products that hold a one-hot, one for each addend, so that each picks."""

    def change(t: Term) -> Term:
        if isinstance(t, Over) and t.kind == "sum":
            parts = opened(t.body, t.indices)
            if len(parts) > 1 and any(is_one_hot(p, t.indices) for p in parts):
                return add(*(summation(t.indices, p) for p in parts))
        return t

    return transform(term, change)
