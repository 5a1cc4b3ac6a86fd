"""Write an adjoint as a person would: in terms of the forward's own names, with common factors in front.

``exp(S[n,j])/Z[n]`` inside the adjoint of ``P[n,j] := exp(S[n,j])/Z[n]`` is ``P[n,j]``; ``P·P_bar − P·c`` is
``P·(P_bar − c)``.  Both are identities; nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add, mul, power
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import rebuild
from derivcheck.notation.terms.walk import factors

Binding = dict[Index, Poly]
_ONE = Fraction(1)


def in_own_names(term: Term, definition: Definition) -> Term:
    """Replace what the definition computes, wherever it stands in the term, by a reference to it.

    >>> from derivcheck.notation.integers.polynomials import size
    >>> from derivcheck.notation.terms.build import func, ref
    >>> i = Index("i", size("N"))
    >>> y = Definition("y", (i,), func("tanh", ref("x", i)))
    >>> print(in_own_names(add(Number(1), mul(Number(-1), power(func("tanh", ref("x", i)), 2))), y))
    1 - y[i]^2
    """
    if definition.recurrent or definition.stop or not isinstance(definition.term, (Mul, Pow, Func)):
        return term
    pattern = _powers(definition.term)
    if not pattern or (len(pattern) == 1 and isinstance(next(iter(pattern)), (Ref, SizeOf))):
        return term
    number = _number(definition.term)

    names, memo = definition.term.names, dict[Term, Term]()

    def changed(t: Term) -> Term:
        """The same bottom up, where the definition can stand at all."""
        if not names <= t.names:
            return t
        found = memo.get(t)
        if found is None:
            new = tuple([changed(k) for k in t.children])
            found = t if new == t.children else rebuild(t, new)
            if isinstance(found, (Mul, Pow, Func)) and names <= found.names:
                found = _replaced(found, pattern, number, definition)
            memo[t] = found
        return found

    return changed(term)


@lru_cache(maxsize=4096)
def _powers(term: Term) -> Mapping[Term, Fraction]:
    """A product as base → exponent; factors with symbolic exponents count as bases of exponent 1."""
    out: dict[Term, Fraction] = {}
    for a in factors(term):
        if isinstance(a, Number):
            continue
        if isinstance(a, Pow) and isinstance(a.exponent, Number):
            base, e = a.base, a.exponent.value
        else:
            base, e = a, _ONE
        out[base] = out[base] + e if base in out else e
    return out


def _number(term: Term) -> Fraction:
    if isinstance(term, Mul) and isinstance(term.args[0], Number):
        return term.args[0].value
    return _ONE


def _replaced(t: Term, pattern: Mapping[Term, Fraction], number: Fraction, d: Definition) -> Term:
    """The product with the body of a definition in it written by its name, as often as it stands there."""
    bases = list(pattern)
    for _ in range(8):  # each turn writes the name once more; a product has few such factors
        have = _powers(t)
        lead = _number(t)
        found = _find(bases, pattern, have, {}, d)
        if found is None:
            return t
        binding, used = found
        ratio = min((have[u] / pattern[b] for b, u in used), key=abs)
        if len(bases) == 1:
            if ratio.denominator != 1:
                return t
            times = int(ratio)
        else:
            times = 1
        rest = dict(have)
        for b, u in used:
            rest[u] = rest[u] - pattern[b] * times
        at = tuple(binding.get(i, i_poly(i)) for i in d.indices)
        own = power(Ref(d.name, at), times)
        t = mul(Number(lead / number**times), own, *(power(b, e) for b, e in rest.items() if e))
        if not isinstance(t, (Mul, Pow)):
            return t
    return t


def _find(
    bases: list[Term], pattern: Mapping[Term, Fraction], have: Mapping[Term, Fraction], binding: Binding, d: Definition
) -> tuple[Binding, list[tuple[Term, Term]]] | None:
    """The powers of a product that make up the pattern, and which element of the definition they are."""
    if not bases:
        return binding, []
    first = bases[0]
    wanted = pattern[first]
    for candidate, e in have.items():
        if type(candidate) is not type(first) or isinstance(candidate, Ref) and candidate.name == d.name:
            continue
        if e != wanted:
            fits = (abs(e) >= abs(wanted) and (e > 0) == (wanted > 0)) if len(pattern) > 1 else (e / wanted).denominator == 1
            if not fits:
                continue
        for b in match(first, candidate, dict(binding), frozenset(d.indices)):
            rest = _find(bases[1:], pattern, {k: v for k, v in have.items() if k is not candidate}, b, d)
            if rest is not None:
                return rest[0], [(first, candidate), *rest[1]]
    return None


def match(pattern: Term, term: Term, binding: Binding, open_: frozenset[Index]) -> Iterator[Binding]:
    """The bindings of the indices ``open_`` under which ``pattern`` is ``term``, up to names of bound indices."""
    if type(pattern) is not type(term):
        return
    if pattern is term:
        own = {i: i_poly(i) for i in pattern.free & open_}
        if all(binding.get(i, p) is p for i, p in own.items()):
            yield binding | own
        return
    if isinstance(pattern, Ref) and isinstance(term, Ref):
        if pattern.name == term.name and len(pattern.at) == len(term.at):
            new = _positions(pattern.at, term.at, binding, open_)
            if new is not None:
                yield new
    elif isinstance(pattern, SizeOf) and isinstance(term, SizeOf):
        new = _positions((pattern.value,), (term.value,), binding, open_)
        if new is not None:
            yield new
    elif isinstance(pattern, Bracket) and isinstance(term, Bracket):
        if pattern.relation != term.relation or type(pattern.operand) is not type(term.operand):
            return
        if isinstance(pattern.operand, Poly) and isinstance(term.operand, Poly):
            new = _positions((pattern.operand,), (term.operand,), binding, open_)
            if new is not None:
                yield new
        elif isinstance(pattern.operand, Term) and isinstance(term.operand, Term):
            yield from match(pattern.operand, term.operand, binding, open_)
    elif isinstance(pattern, Over) and isinstance(term, Over):
        same = pattern.kind == term.kind and len(pattern.indices) == len(term.indices)
        if same and all(i.size is j.size for i, j in zip(pattern.indices, term.indices)):
            inner = dict(binding) | {i: i_poly(j) for i, j in zip(pattern.indices, term.indices)}
            bound = frozenset(pattern.indices)
            for b in match(pattern.body, term.body, inner, open_ | bound):
                left = {i: p for i, p in b.items() if i not in bound} | {i: binding[i] for i in bound if i in binding}
                new = _positions(pattern.at, term.at, left, open_)
                if new is not None:
                    yield new
    elif isinstance(pattern, Func) and isinstance(term, Func) and pattern.name != term.name:
        return
    elif pattern.children and len(pattern.children) == len(term.children):
        yield from _children(pattern.children, term.children, binding, open_)


def _children(left: tuple[Term, ...], right: tuple[Term, ...], binding: Binding, open_: frozenset[Index]) -> Iterator[Binding]:
    if not left:
        yield binding
        return
    for b in match(left[0], right[0], binding, open_):
        yield from _children(left[1:], right[1:], b, open_)


def _positions(left: tuple[Poly, ...], right: tuple[Poly, ...], binding: Binding, open_: frozenset[Index]) -> Binding | None:
    """Bind the open indices so that the positions on the left become those on the right."""
    new = dict(binding)
    for p, q in zip(left, right):
        i = p.index
        if i is not None and i in open_:
            if i in new:
                if new[i] is not q:
                    return None
            elif q.index is not None and q.index.size is i.size:
                new[i] = q
            else:
                return None
        elif p.substitute(new) is q:
            new.update((k, i_poly(k)) for k in p.indices & open_ if k not in new)  # it stands for itself from now on
        else:
            return None
    return new


def factored(term: Term) -> Term:
    """Put factors that all addends share in front of the sum.

    >>> from derivcheck.notation.terms.build import ref
    >>> print(factored(add(mul(ref("P"), ref("g")), mul(Number(-1), ref("P"), ref("c")))))
    P*(g - c)
    """
    if not isinstance(term, Add):
        return term
    tables = [_powers(a) for a in term.args]
    common: list[tuple[Term, Fraction]] = []
    for base, e in tables[0].items():
        if isinstance(base, Add):
            continue
        lowest = [t.get(base) for t in tables]
        if all(x is not None and (x > 0) == (e > 0) for x in lowest):
            common.append((base, min((x for x in lowest if x is not None), key=abs)))
    number = abs(_number(term.args[0]))
    if any(isinstance(a, Number) or abs(_number(a)) != number for a in term.args):
        number = Fraction(1)
    if not common and number == 1:
        return term
    rests = []
    for a, table in zip(term.args, tables):
        rest = dict(table)
        for base, e in common:
            rest[base] = rest[base] - e
        rests.append(
            mul(
                Number((a.value if isinstance(a, Number) else _number(a)) / number),
                *(power(b, x) for b, x in rest.items() if x),
            )
        )
    return mul(Number(number), *(power(b, e) for b, e in common), add(*rests))
