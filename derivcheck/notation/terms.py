"""Terms: the closed set of nodes that mathematics is written in here.

A term is a number, a size, a reference ``x[n,k]``, an Iverson bracket ``[p ≥ 0]``, a sum, a product, a
power, a scalar function, ``Σ``, ``Π`` or an extreme over indices.  Terms are immutable and interned (equal terms are
one object), so identity is equality and caches keyed on terms are exact.  Build them with the lower-case functions, which
apply only laws that hold always: numbers are added up, ``0·t = 0``, factors free of the bound indices leave a ``Σ``.

>>> from derivcheck.notation.sizes import Index, size
>>> n = Index("n", size("N"))
>>> print(summation([n], mul(number(2), ref("x", n))))
2*sum(n: x[n])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, cast
from weakref import WeakValueDictionary

from derivcheck.notation.dropped import drop
from derivcheck.notation.sizes import Atom, Index, Poly, PolyLike, as_poly

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
        key: frozenset[tuple[Term, int]] | Term = frozenset(Counter(rest.args).items()) if isinstance(rest, Mul) else rest
        before = counts.get(key)
        counts[key] = (c if before is None else before[0] + c, rest if before is None else before[1])
    out = [mul(Number(c), rest) for c, rest in counts.values() if c]
    drop(*(rest for c, rest in counts.values() if not c))
    if total:
        out.append(Number(total))
    if len(out) < 2:
        return out[0] if out else ZERO
    if is_negative(out[0]):  # a sum starts with what is added: 1 - y, not -y + 1
        first = next((k for k, t in enumerate(out) if not is_negative(t)), 0)
        out.insert(0, out.pop(first))
    return Add(tuple(out))


def is_negative(term: Term) -> bool:
    """Whether a minus sign stands in front of the term."""
    lead = term.args[0] if isinstance(term, Mul) else term
    return isinstance(lead, Number) and lead.value < 0


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
        else:
            drop(*(Pow(base, e) for e in (before, exponent) if restricts(e)))
            powers[base] = before if isinstance(base, Bracket) else add(before, exponent)
    if not total:
        drop(*(b if e is ONE else Pow(b, e) for b, e in powers.items()))
        return ZERO
    out = [p for p in (power(b, e) for b, e in powers.items()) if p is not ONE]
    if any(isinstance(p, (Number, Mul)) for p in out):
        return mul(Number(total), *out)
    if total != 1:
        out.insert(0, Number(total))
    return ONE if not out else out[0] if len(out) == 1 else Mul(tuple(out))


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
            drop(base)
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
                drop(base)
                return power(base.base, Number(base.exponent.value * k))
    if base is ONE:
        return ONE
    return Pow(base, e)


def restricts(exponent: Term) -> bool:
    """Whether a power with that exponent is not defined everywhere."""
    return not isinstance(exponent, Number) or exponent.value < 0 or exponent.value.denominator != 1


def _nests(inner: Fraction, outer: int) -> bool:
    """(b^inner)^outer = b^(inner·outer) where defined: not where it would give 0^0 or hide a pole."""
    return inner * outer != 0 and (inner > 0 or outer > 0)


def func(name: str, *args: Term) -> Term:
    """A scalar function of terms."""
    return Func(name, args)


def summation(indices: Iterable[Index], body: Term) -> Term:
    """``Σ`` over the indices; factors that are free of them stand in front."""
    return reduction("sum", tuple(indices), body)


def product(indices: Iterable[Index], body: Term) -> Term:
    """``Π`` over the indices."""
    return reduction("prod", tuple(indices), body)


def extremum(kind: str, indices: Iterable[Index], body: Term) -> Term:
    """``max``, ``min``, ``argmax`` or ``argmin`` over the indices (the first place among equals)."""
    ids = tuple(indices)
    return Over(kind, ids, body) if ids else body


def reduction(kind: str, indices: tuple[Index, ...], body: Term) -> Term:
    """``Σ`` or ``Π`` by its kind, ``sum`` or ``prod``."""
    if not indices or body is (ZERO if kind == "sum" else ONE):
        return body
    single = [i for i in indices if i.size.constant == 1]
    if single:  # a dimension of size 1 has one position
        from derivcheck.notation.substitution import substitute  # it builds terms by the functions here

        rest = tuple(i for i in indices if i.size.constant != 1)
        return reduction(kind, rest, substitute(body, dict.fromkeys(single, 0)))
    if kind == "prod":
        return Over("prod", indices, body)
    if isinstance(body, Over) and body.kind == "sum":
        bound = body.indices
        if not any(b.name == i.name and b.serial == i.serial for b in bound for i in indices):
            indices, body = indices + bound, body.body
    absent = [i for i in indices if i not in body.free and not any(i in j.size.indices for j in indices)]
    if absent:
        times = [size_of(i.size) for i in absent]
        return mul(*times, reduction(kind, tuple(i for i in indices if i not in absent), body))
    bound_set = frozenset(indices)
    if isinstance(body, Mul):
        outside = [a for a in body.args if a.free.isdisjoint(bound_set)]
        if outside:
            inside = [a for a in body.args if not a.free.isdisjoint(bound_set)]
            return mul(*outside, reduction(kind, indices, mul(*inside)))
    return Over("sum", indices, body)
