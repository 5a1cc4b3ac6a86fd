"""Terms: the closed set of nodes that mathematics is written in here.

A term is a number, a size, a reference ``x[n,k]``, an Iverson bracket ``[p ≥ 0]``, a sum, a product, a
power, a scalar function, ``Σ``, ``Π`` or an extreme over indices.  Terms are immutable and interned
(equal terms are one object), so identity is equality and caches keyed on terms are exact.  Build them with the lower-case
functions, which apply only laws that hold always: numbers are added up, ``0·t = 0``, factors free of
the bound indices leave a ``Σ``.

>>> from derivcheck.notation.sizes import Index, size
>>> n = Index("n", size("N"))
>>> print(summation([n], mul(number(2), ref("x", n))))
2*sum(n: x[n])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, cast
from weakref import WeakValueDictionary

from derivcheck.notation.sizes import (
    Atom,
    Entry,
    Index,
    Poly,
    PolyLike,
    as_poly,
    fresh,
    i_poly,
    nonnegative,
)

Rational = int | Fraction
_interned: WeakValueDictionary[Any, Any] = WeakValueDictionary()
NO_INDICES: frozenset[Index] = frozenset()
NO_NAMES: frozenset[str] = frozenset()


class Term:
    """A node.  ``free`` are its free indices, ``names`` the tensors that it refers to (also in positions)."""

    __slots__ = ("free", "names", "__weakref__")
    free: frozenset[Index]
    names: frozenset[str]

    def __str__(self) -> str:
        from derivcheck.notation.text import term_text

        return term_text(self)

    __repr__ = __str__

    @property
    def children(self) -> tuple[Term, ...]:
        """The terms directly inside."""
        return ()

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, s) for s in type(self).__slots__)


def _intern(cls: type, key: tuple[Any, ...], free: frozenset[Index], names: frozenset[str]) -> Any:
    found: Any = _interned.get((cls, key))
    if found is None:
        found = object.__new__(cls)
        for slot, value in zip(cls.__slots__, key):  # type: ignore[attr-defined]
            object.__setattr__(found, slot, value)
        found.free, found.names = free, names
        _interned[cls, key] = found
    return found


class Number(Term):
    """An exact rational number."""

    __slots__ = ("value",)
    value: Fraction

    def __new__(cls, value: Rational) -> Number:
        return cast(Number, _intern(cls, (Fraction(value),), NO_INDICES, NO_NAMES))


class SizeOf(Term):
    """An integer expression (a size, an index, an integer entry) used as a number."""

    __slots__ = ("value",)
    value: Poly

    def __new__(cls, value: Poly) -> SizeOf:
        return cast(SizeOf, _intern(cls, (value,), value.indices, value.names))


class Ref(Term):
    """The element ``name[at]`` of a tensor."""

    __slots__ = ("name", "at")
    name: str
    at: tuple[Poly, ...]

    def __new__(cls, name: str, at: tuple[Poly, ...]) -> Ref:
        free = NO_INDICES.union(*(p.indices for p in at))
        names = frozenset((name,)).union(*(p.names for p in at))
        return cast(Ref, _intern(cls, (name, at), free, names))


class Bracket(Term):
    """The Iverson bracket: 1 where ``operand relation 0`` holds, else 0.

    ``operand`` is an integer expression or a term; ``relation`` is ``==``, ``!=``, ``>=`` or ``>``.
    """

    __slots__ = ("relation", "operand")
    relation: str
    operand: Poly | Term

    def __new__(cls, relation: str, operand: Poly | Term) -> Bracket:
        free = operand.indices if isinstance(operand, Poly) else operand.free
        return cast(Bracket, _intern(cls, (relation, operand), free, operand.names))

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.operand,) if isinstance(self.operand, Term) else ()


class Add(Term):
    """A sum of terms."""

    __slots__ = ("args",)
    args: tuple[Term, ...]

    def __new__(cls, args: tuple[Term, ...]) -> Add:
        return cast(Add, _intern(cls, (args,), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args


class Mul(Term):
    """A product.  A bracket among the factors selects: where it is 0 the product is 0, whatever the rest."""

    __slots__ = ("args",)
    args: tuple[Term, ...]

    def __new__(cls, args: tuple[Term, ...]) -> Mul:
        return cast(Mul, _intern(cls, (args,), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args


class Pow(Term):
    """``base ** exponent``."""

    __slots__ = ("base", "exponent")
    base: Term
    exponent: Term

    def __new__(cls, base: Term, exponent: Term) -> Pow:
        both = (base, exponent)
        return cast(Pow, _intern(cls, both, _free(both), _names(both)))

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.base, self.exponent)


class Func(Term):
    """A scalar function by name (see :mod:`derivcheck.notation.functions`)."""

    __slots__ = ("name", "args")
    name: str
    args: tuple[Term, ...]

    def __new__(cls, name: str, args: tuple[Term, ...]) -> Func:
        return cast(Func, _intern(cls, (name, args), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args


class Over(Term):
    """A reduction over indices: ``kind`` is ``sum``, ``prod``, ``max``, ``min``, ``argmax`` or ``argmin``."""

    __slots__ = ("kind", "indices", "body")
    kind: str
    indices: tuple[Index, ...]
    body: Term

    def __new__(cls, kind: str, indices: tuple[Index, ...], body: Term) -> Over:
        bound = frozenset(indices)
        free = (body.free - bound).union(*(i.size.indices for i in indices))
        names = body.names.union(*(i.size.names for i in indices))
        return cast(Over, _intern(cls, (kind, indices, body), free, names))

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.body,)


def _free(args: Iterable[Term]) -> frozenset[Index]:
    return NO_INDICES.union(*(a.free for a in args))


def _names(args: Iterable[Term]) -> frozenset[str]:
    return NO_NAMES.union(*(a.names for a in args))


# -- building ---------------------------------------------------------------
def number(value: Rational | float) -> Number:
    """An exact number; a float is taken at its shortest decimal spelling (``1e-5`` is 1/100000)."""
    if isinstance(value, float):
        return Number(Fraction(repr(value)))
    return Number(value)


ZERO, ONE, MINUS_ONE = Number(0), Number(1), Number(-1)


def size_of(value: PolyLike | Atom) -> Term:
    """An integer expression as a number."""
    poly = as_poly(value)
    c = poly.constant
    return Number(c) if c is not None else SizeOf(poly)


def ref(name: str, *at: PolyLike | Index) -> Ref:
    """The element ``name[at]``."""
    return Ref(name, tuple(as_poly(p) for p in at))


def bracket(relation: str, operand: PolyLike | Term, least: int = 1) -> Term:
    """An Iverson bracket, decided where it is surely true or false.

    ``relation`` may also be ``<`` or ``<=``.
    """
    if isinstance(operand, Number):
        holds = {"==": operand.value == 0, "!=": operand.value != 0, ">=": operand.value >= 0, ">": operand.value > 0,
                 "<": operand.value < 0, "<=": operand.value <= 0}
        return ONE if holds[relation] else ZERO
    if isinstance(operand, SizeOf):
        operand = operand.value
    if isinstance(operand, Term):
        if relation in ("<", "<="):
            return Bracket(">" if relation == "<" else ">=", neg(operand))
        return Bracket(relation, operand)
    p = as_poly(operand)
    if relation == ">":
        relation, p = ">=", p - 1
    elif relation == "<":
        relation, p = ">=", -p - 1
    elif relation == "<=":
        relation, p = ">=", -p
    if relation == ">=":
        if nonnegative(p, least):
            return ONE
        if nonnegative(-p - 1, least):
            return ZERO
        return Bracket(">=", p)
    if p.constant is not None:
        return ONE if (p.constant == 0) == (relation == "==") else ZERO
    if nonnegative(p - 1, least) or nonnegative(-p - 1, least):
        return ZERO if relation == "==" else ONE
    if nonnegative(p, least) and nonnegative(-p, least):
        return ONE if relation == "==" else ZERO
    if p.terms[0][1] < 0:  # one spelling for [i−p = 0] and [p−i = 0]
        p = -p
    return Bracket(relation, p)


def opposite(term: Term) -> Term:
    """``1 − [c]`` of a bracket as a bracket; of anything else as a difference."""
    if isinstance(term, Number):
        return Number(1 - term.value)
    if isinstance(term, Bracket):
        if term.relation in ("==", "!="):
            return Bracket("!=" if term.relation == "==" else "==", term.operand)
        if isinstance(term.operand, Poly):
            return bracket(">=", -term.operand - 1)
        return bracket(">" if term.relation == ">=" else ">=", neg(term.operand))
    return add(ONE, neg(term))


def add(*args: Term) -> Term:
    """The sum, flat, with numbers added up and equal terms counted."""
    total = Fraction(0)
    counts: dict[frozenset[tuple[Term, int]] | Term, tuple[Fraction, Term]] = {}
    stack = list(reversed(args))
    while stack:
        t = stack.pop()
        if isinstance(t, Add):
            stack.extend(reversed(t.args))
            continue
        if isinstance(t, Number):
            total += t.value
            continue
        c, rest = coefficient(t)
        key: frozenset[tuple[Term, int]] | Term = frozenset(_counted(rest.args)) if isinstance(rest, Mul) else rest
        before = counts.get(key)
        counts[key] = (c if before is None else before[0] + c, rest if before is None else before[1])
    out = [mul(Number(c), rest) for c, rest in counts.values() if c]
    if total:
        out.append(Number(total))
    if not out:
        return ZERO
    if len(out) == 1:
        return out[0]
    if is_negative(out[0]):  # a sum starts with what is added: 1 - y, not -y + 1
        first = next((k for k, t in enumerate(out) if not is_negative(t)), 0)
        out.insert(0, out.pop(first))
    return Add(tuple(out))


def is_negative(term: Term) -> bool:
    """Whether a minus sign stands in front of the term."""
    lead = term.args[0] if isinstance(term, Mul) else term
    return isinstance(lead, Number) and lead.value < 0


def _counted(args: tuple[Term, ...]) -> list[tuple[Term, int]]:
    counts: dict[Term, int] = {}
    for a in args:
        counts[a] = counts.get(a, 0) + 1
    return list(counts.items())


def coefficient(term: Term) -> tuple[Fraction, Term]:
    """``(c, rest)`` with ``term = c·rest`` and no number left in ``rest``'s factors."""
    if isinstance(term, Number):
        return term.value, ONE
    if isinstance(term, Mul) and isinstance(term.args[0], Number):
        rest = term.args[1:]
        return term.args[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return Fraction(1), term


def mul(*args: Term) -> Term:
    """The product, flat, with numbers multiplied and equal bases gathered."""
    total = Fraction(1)
    powers: dict[Term, Term] = {}
    stack = list(reversed(args))
    while stack:
        t = stack.pop()
        if isinstance(t, Mul):
            stack.extend(reversed(t.args))
            continue
        if isinstance(t, Number):
            total *= t.value
            continue
        base, exponent = (t.base, t.exponent) if isinstance(t, Pow) else (t, ONE)
        before = powers.get(base)
        if before is None:
            powers[base] = exponent
        elif isinstance(base, Bracket):
            continue
        else:
            powers[base] = add(before, exponent)
    if not total:
        return ZERO
    out = [p for p in (power(b, e) for b, e in powers.items()) if p is not ONE]
    if any(isinstance(p, (Number, Mul)) for p in out):
        return mul(Number(total), *out)
    if total != 1:
        out.insert(0, Number(total))
    if not out:
        return ONE
    return out[0] if len(out) == 1 else Mul(tuple(out))


def neg(term: Term) -> Term:
    """``−term``."""
    if isinstance(term, Add):
        return add(*(neg(a) for a in term.args))
    return mul(MINUS_ONE, term)


def sub(left: Term, right: Term) -> Term:
    """``left − right``."""
    return add(left, neg(right))


def div(left: Term, right: Term) -> Term:
    """``left / right``."""
    return mul(left, power(right, MINUS_ONE))


def power(base: Term, exponent: Term | Rational) -> Term:
    """``base ** exponent``; whole powers of numbers, products and powers are carried out."""
    e = exponent if isinstance(exponent, Term) else Number(exponent)
    if isinstance(e, Number):
        if e.value == 0:
            return ONE
        if e.value == 1:
            return base
        if e.value.denominator == 1:
            k = int(e.value)
            if isinstance(base, Number) and (base.value or k > 0):
                return Number(base.value**k)
            if isinstance(base, Bracket) and k > 0:
                return base
            if isinstance(base, Mul):
                return mul(*(power(a, e) for a in base.args))
            if isinstance(base, Pow) and isinstance(base.exponent, Number) and _nests(base.exponent.value, k):
                return power(base.base, Number(base.exponent.value * k))
    if base is ONE:
        return ONE
    return Pow(base, e)


def _nests(inner: Fraction, outer: int) -> bool:
    """(b^inner)^outer = b^(inner·outer) where defined: not where it would give 0^0 or hide a pole."""
    return inner * outer != 0 and (inner > 0 or outer > 0)


def func(name: str, *args: Term) -> Term:
    """A scalar function of terms."""
    return Func(name, args)


def summation(indices: Iterable[Index], body: Term) -> Term:
    """``Σ`` over the indices; factors that are free of them stand in front."""
    return _reduction("sum", tuple(indices), body)


def product(indices: Iterable[Index], body: Term) -> Term:
    """``Π`` over the indices."""
    return _reduction("prod", tuple(indices), body)


def extremum(kind: str, indices: Iterable[Index], body: Term) -> Term:
    """``max``, ``min``, ``argmax`` or ``argmin`` over the indices (the first place among equals)."""
    ids = tuple(indices)
    return Over(kind, ids, body) if ids else body


def _reduction(kind: str, indices: tuple[Index, ...], body: Term) -> Term:
    if not indices or body is (ZERO if kind == "sum" else ONE):
        return body
    single = [i for i in indices if i.size.constant == 1]
    if single:  # a dimension of size 1 has one position
        rest = tuple(i for i in indices if i.size.constant != 1)
        return _reduction(kind, rest, substitute(body, dict.fromkeys(single, 0)))
    if kind == "prod":
        return Over("prod", indices, body)
    if isinstance(body, Over) and body.kind == "sum":
        bound = body.indices
        if not any(b.name == i.name and b.serial == i.serial for b in bound for i in indices):
            indices, body = indices + bound, body.body
    absent = [i for i in indices if i not in body.free and not any(i in j.size.indices for j in indices)]
    if absent:
        times = [size_of(i.size) for i in absent]
        return mul(*times, _reduction(kind, tuple(i for i in indices if i not in absent), body))
    bound_set = frozenset(indices)
    if isinstance(body, Mul):
        outside = [a for a in body.args if a.free.isdisjoint(bound_set)]
        if outside:
            inside = [a for a in body.args if not a.free.isdisjoint(bound_set)]
            return mul(*outside, _reduction(kind, indices, mul(*inside)))
    return Over("sum", indices, body)


# -- walking ----------------------------------------------------------------
def rebuild(term: Term, new: tuple[Term, ...]) -> Term:
    """The same node over other children, through the building functions."""
    if isinstance(term, Add):
        return add(*new)
    if isinstance(term, Mul):
        return mul(*new)
    if isinstance(term, Pow):
        return power(new[0], new[1])
    if isinstance(term, Func):
        return Func(term.name, new)
    if isinstance(term, Over):
        if term.kind in ("sum", "prod"):
            return _reduction(term.kind, term.indices, new[0])
        return Over(term.kind, term.indices, new[0])
    if isinstance(term, Bracket) and new:
        return bracket(term.relation, new[0])
    return term


def transform(term: Term, change: Callable[[Term], Term]) -> Term:
    """Apply ``change`` bottom up."""
    kids = term.children
    if kids:
        new = tuple(transform(k, change) for k in kids)
        if new != kids:
            term = rebuild(term, new)
    return change(term)


def subterms(term: Term) -> Iterable[Term]:
    """The term and everything inside, each occurrence once, top down."""
    seen: set[Term] = set()
    stack = [term]
    while stack:
        t = stack.pop()
        if t not in seen:
            seen.add(t)
            yield t
            stack.extend(reversed(t.children))


def refs(term: Term) -> list[Ref]:
    """The references in it (not those in positions), each once."""
    return [t for t in subterms(term) if isinstance(t, Ref)]


def bound_indices(term: Term) -> frozenset[Index]:
    """All indices that a Σ, Π or extreme inside binds."""
    found: set[Index] = set()
    for t in subterms(term):
        if isinstance(t, Over):
            found.update(t.indices)
    return frozenset(found)


def substitute(term: Term, values: Mapping[Any, PolyLike]) -> Term:
    """Replace free indices and sizes by integer expressions; bound indices step aside (no capture).

    >>> from derivcheck.notation.sizes import Index, size, i_poly
    >>> i, j = Index("i", size("N")), Index("j", size("N"))
    >>> print(substitute(summation([i], mul(ref("x", i), ref("w", j))), {j: i_poly(i)}))
    w[i]*sum(i_1: x[i_1])
    """
    if not values:
        return term
    arriving: frozenset[Index] = NO_INDICES.union(*(as_poly(v).indices for v in values.values()))
    return _substitute(term, dict(values), arriving, {})


def _substitute(term: Term, values: dict[Any, PolyLike], arriving: frozenset[Index], memo: dict[Term, Term]) -> Term:
    found = memo.get(term)
    if found is not None:
        return found
    new: Term
    if isinstance(term, Ref):
        new = Ref(term.name, tuple(p.substitute(values) for p in term.at))
    elif isinstance(term, SizeOf):
        new = size_of(term.value.substitute(values))
    elif isinstance(term, Bracket) and isinstance(term.operand, Poly):
        new = bracket(term.relation, term.operand.substitute(values))
    elif isinstance(term, Over):
        inner = dict(values)
        inner_memo = memo
        bound: list[Index] = []
        for i in term.indices:
            length = i.size.substitute(values)
            j = i if length is i.size else Index(i.name, length, i.serial)
            if any(a.name == j.name and a.serial == j.serial for a in arriving):
                j = fresh(j, [*arriving, *term.body.free, *bound_indices(term.body), *bound])
            bound.append(j)
            if i in inner or j is not i:
                inner_memo = {}
                inner.pop(i, None)
                if j is not i:
                    inner[i] = i_poly(j)
        body = _substitute(term.body, inner, arriving | frozenset(bound), inner_memo)
        new = _reduction(term.kind, tuple(bound), body) if term.kind in ("sum", "prod") else Over(term.kind, tuple(bound), body)
    elif term.children:
        new = rebuild(term, tuple(_substitute(k, values, arriving, memo) for k in term.children))
    else:
        new = term
    memo[term] = new
    return new


def rename(term: Term, names: Mapping[str, str]) -> Term:
    """Rename tensors, also where they stand in positions."""
    if term.names.isdisjoint(names):
        return term

    def change(t: Term) -> Term:
        if isinstance(t, Ref):
            return Ref(names.get(t.name, t.name), tuple(p.rename(names) for p in t.at))
        if isinstance(t, SizeOf):
            return size_of(t.value.rename(names))
        if isinstance(t, Bracket) and isinstance(t.operand, Poly):
            return bracket(t.relation, t.operand.rename(names))
        return t

    return transform(term, change)


def inline(term: Term, meanings: Mapping[str, tuple[tuple[Index, ...], Term]]) -> Term:
    """Replace each reference to a name in ``meanings`` by its definition at those positions."""
    if term.names.isdisjoint(meanings):
        return term

    used: frozenset[Index] = term.free | bound_indices(term)

    def change(t: Term) -> Term:
        if isinstance(t, Ref) and t.name in meanings:
            indices, body = meanings[t.name]
            body = freshen(body, used | t.free)
            return substitute(body, dict(zip(indices, t.at)))
        return t

    return transform(term, change)


def freshen(term: Term, used: Iterable[Index]) -> Term:
    """Give bound indices that clash with ``used`` other serials."""
    taken = list(used)

    def change(t: Term) -> Term:
        if not isinstance(t, Over):
            return t
        moves: dict[Any, PolyLike] = {}
        bound: list[Index] = []
        for i in t.indices:
            if any(i.name == u.name and i.serial == u.serial for u in taken):
                j = fresh(i, [*taken, *t.body.free, *bound_indices(t.body), *bound])
                moves[i] = i_poly(j)
                bound.append(j)
            else:
                bound.append(i)
        if not moves:
            return t
        return Over(t.kind, tuple(bound), substitute(t.body, moves))

    return transform(term, change)


def has_entries(poly: Poly) -> bool:
    """Whether an integer tensor stands in the position."""
    return any(isinstance(a, Entry) for a in poly.atoms()) or bool(poly.names)
