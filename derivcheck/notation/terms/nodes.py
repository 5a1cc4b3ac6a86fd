"""Terms: the closed set of nodes that mathematics is written in here.

A term is a number, a size, a reference ``x[n,k]``, an Iverson bracket ``[p ≥ 0]``, a sum, a product, a power, a scalar
function, ``Σ``, ``Π`` or an extreme over indices, or what is made of a whole matrix: an element of its inverse, its
determinant.  Terms are immutable and interned (equal terms are one object), so
identity is equality and caches keyed on terms are exact.  Build them by :mod:`derivcheck.notation.terms.build`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, cast
from weakref import WeakValueDictionary

from derivcheck.notation.integers.polynomials import Index, Poly

Rational = int | Fraction
_interned: WeakValueDictionary[Any, Any] = WeakValueDictionary()
_kept = _interned.data  # type: ignore[attr-defined]  # without a call of Python, as it is asked at every step
NO_INDICES: frozenset[Index] = frozenset()
NO_NAMES: frozenset[str] = frozenset()
SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly a text binds
Spelled = tuple[str, int]
MATRICES = {"inv": 2, "cholesky": 2, "det": 0, "logdet": 0, "logabsdet": 0}  # of a square matrix, with how many positions


class Term:
    """A node.  ``free`` are its free indices, ``names`` the tensors that it refers to (also in positions)."""

    __slots__ = ("free", "names", "__weakref__")
    free: frozenset[Index]
    names: frozenset[str]

    @property
    def children(self) -> tuple[Term, ...]:
        """The terms directly inside."""
        return ()

    def spelled(self, bind: Binder) -> Spelled:
        """Its index text, and how tightly that binds; ``bind`` spells the indices of a reduction."""
        raise NotImplementedError

    def text(self, level: int = SUM, bind: Binder | None = None) -> str:
        """Its index text, in parentheses where it binds less than ``level``."""
        text, own = self.spelled(bind or _keys)
        return f"({text})" if own < level else text

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, s) for s in type(self).__slots__)


def _known(cls: type, *key: Any) -> Any:
    """The node of that class with these parts, if there is one."""
    kept = _kept.get((cls, key))
    return None if kept is None else kept()


def _intern(cls: type, key: tuple[Any, ...], free: frozenset[Index], names: frozenset[str]) -> Any:
    """A new node of that class with these parts, from now on the one."""
    found: Any = object.__new__(cls)
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
        exact = value if type(value) is Fraction else Fraction(value)
        if exact.denominator == 1 and (small := _whole.get(exact.numerator)) is not None:  # without the hash of a fraction
            return small
        return cast(Number, _known(cls, exact) or _intern(cls, (exact,), NO_INDICES, NO_NAMES))

    def spelled(self, bind: Binder) -> Spelled:
        if self.value < 0:
            return str(self.value), SUM
        return str(self.value), ATOM if self.value.denominator == 1 else PRODUCT


_whole: dict[int, Number] = {}
_whole.update((n, Number(n)) for n in range(-16, 17))


class SizeOf(Term):
    """An integer expression (a size, an index, an integer entry) used as a number."""

    __slots__ = ("value",)
    value: Poly

    def __new__(cls, value: Poly) -> SizeOf:
        return cast(SizeOf, _known(cls, value) or _intern(cls, (value,), value.indices, value.names))

    def spelled(self, bind: Binder) -> Spelled:
        text = str(self.value)
        if self.value.atom is not None:  # a floored quotient stands in brackets already
            return text, ATOM
        return text, SUM if len(self.value.terms) > 1 or text.startswith("-") else PRODUCT


class Ref(Term):
    """The element ``name[at]`` of a tensor."""

    __slots__ = ("name", "at")
    name: str
    at: tuple[Poly, ...]

    def __new__(cls, name: str, at: tuple[Poly, ...]) -> Ref:
        found = _known(cls, name, at)
        if found is None:
            free = NO_INDICES.union(*(p.indices for p in at))
            found = _intern(cls, (name, at), free, frozenset((name,)).union(*(p.names for p in at)))
        return cast(Ref, found)

    def spelled(self, bind: Binder) -> Spelled:
        return self.name + listed(self.at), ATOM


class Bracket(Term):
    """The Iverson bracket: 1 where ``operand relation 0`` holds, else 0.

    ``operand`` is an integer expression or a term; ``relation`` is ``==``, ``!=``, ``>=`` or ``>``.
    """

    __slots__ = ("relation", "operand")
    relation: str
    operand: Poly | Term

    def __new__(cls, relation: str, operand: Poly | Term) -> Bracket:
        found = _known(cls, relation, operand)
        if found is None:
            free = operand.indices if isinstance(operand, Poly) else operand.free
            found = _intern(cls, (relation, operand), free, operand.names)
        return cast(Bracket, found)

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.operand,) if isinstance(self.operand, Term) else ()

    def spelled(self, bind: Binder) -> Spelled:
        operand = str(self.operand) if isinstance(self.operand, Poly) else self.operand.text(SUM, bind)
        return f"[{operand} {self.relation} 0]", ATOM


class Add(Term):
    """A sum of terms."""

    __slots__ = ("args",)
    args: tuple[Term, ...]

    def __new__(cls, args: tuple[Term, ...]) -> Add:
        return cast(Add, _known(cls, args) or _intern(cls, (args,), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args

    def spelled(self, bind: Binder) -> Spelled:
        out = ""
        for a in self.args:
            text = a.text(SUM if is_negative(a) else PRODUCT, bind)
            out += text if not out else (f" - {text[1:]}" if text.startswith("-") else f" + {text}")
        return out, SUM


class Mul(Term):
    """A product.  A bracket among the factors selects: where it is 0 the product is 0, whatever the rest."""

    __slots__ = ("args",)
    args: tuple[Term, ...]

    def __new__(cls, args: tuple[Term, ...]) -> Mul:
        return cast(Mul, _known(cls, args) or _intern(cls, (args,), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args

    def spelled(self, bind: Binder) -> Spelled:
        """What divides stands below one stroke; a minus sign stands in front."""
        above: list[str] = []
        below: list[str] = []
        sign = ""
        for a in self.args:
            if isinstance(a, Number):
                sign = "-" if a.value < 0 else sign
                top, bottom = abs(a.value.numerator), a.value.denominator
                above += [str(top)] if top != 1 else []
                below += [str(bottom)] if bottom != 1 else []
            elif isinstance(a, Pow) and isinstance(a.exponent, Number) and a.exponent.value < 0:
                inner = Pow(a.base, Number(-a.exponent.value)) if a.exponent.value != -1 else a.base
                below.append(inner.text(POWER, bind))
            else:
                above.append(a.text(POWER, bind))
        text = "*".join(above) or "1"
        if below:
            text += "/" + (below[0] if len(below) == 1 else f"({'*'.join(below)})")
        return sign + text, SUM if sign else PRODUCT


class Pow(Term):
    """``base ** exponent``."""

    __slots__ = ("base", "exponent")
    base: Term
    exponent: Term

    def __new__(cls, base: Term, exponent: Term) -> Pow:
        both = (base, exponent)
        return cast(Pow, _known(cls, base, exponent) or _intern(cls, both, _free(both), _names(both)))

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.base, self.exponent)

    def spelled(self, bind: Binder) -> Spelled:
        if self.exponent is Number(-1):
            return f"1/{self.base.text(ATOM, bind)}", PRODUCT
        return f"{self.base.text(ATOM, bind)}^{self.exponent.text(ATOM, bind)}", POWER


class Func(Term):
    """A scalar function by name (see :mod:`derivcheck.notation.functions`)."""

    __slots__ = ("name", "args")
    name: str
    args: tuple[Term, ...]

    def __new__(cls, name: str, args: tuple[Term, ...]) -> Func:
        return cast(Func, _known(cls, name, args) or _intern(cls, (name, args), _free(args), _names(args)))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args

    def spelled(self, bind: Binder) -> Spelled:
        inside = ", ".join(a.text(SUM, bind) for a in self.args)
        return f"{self.name}({inside})" if self.args else self.name, ATOM


class Over(Term):
    """A reduction over indices: ``kind`` is ``sum``, ``prod``, ``max``, ``min``, ``argmax`` or ``argmin``.

    Or what is made of the matrix whose rows and columns the two indices are, of a kind in :data:`MATRICES`: its
    determinant, or the element ``at`` of its inverse.
    """

    __slots__ = ("kind", "indices", "body", "at")
    kind: str
    indices: tuple[Index, ...]
    body: Term
    at: tuple[Poly, ...]

    def __new__(cls, kind: str, indices: tuple[Index, ...], body: Term, at: tuple[Poly, ...] = ()) -> Over:
        """The one node of these parts; positions are those of a kind that has an element."""
        if len(at) != MATRICES.get(kind, 0):
            raise TypeError(f"{kind} has {len(at)} positions; expected {MATRICES.get(kind, 0)}")
        found = _known(cls, kind, indices, body, at)
        if found is None:
            bound = frozenset(indices)
            free = (body.free - bound).union(*(i.size.indices for i in indices), *(p.indices for p in at))
            names = body.names.union(*(i.size.names for i in indices), *(p.names for p in at))
            found = _intern(cls, (kind, indices, body, at), free, names)
        return cast(Over, found)

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.body,)

    def spelled(self, bind: Binder) -> Spelled:
        return f"{self.kind}({bind(self)}: {self.body.text(SUM, bind)}){listed(self.at)}", ATOM


def _free(args: Iterable[Term]) -> frozenset[Index]:
    return NO_INDICES.union(*(a.free for a in args))


def _names(args: Iterable[Term]) -> frozenset[str]:
    return NO_NAMES.union(*(a.names for a in args))


def is_negative(term: Term) -> bool:
    """Whether a minus sign stands in front of the term."""
    lead = term.args[0] if isinstance(term, Mul) else term
    return isinstance(lead, Number) and lead.value < 0


Binder = Callable[[Over], str]


def _keys(term: Over) -> str:
    return ", ".join(i.key for i in term.indices)


def listed(parts: Iterable[object]) -> str:
    """``[n, k]``, or nothing where there is nothing to list."""
    inside = ", ".join(map(str, parts))
    return f"[{inside}]" if inside else ""
