"""Integer expressions: polynomials with integer coefficients over atoms.

An atom is a :class:`Size` (``N``), an :class:`Index` that runs below a size, or one of those in
:mod:`derivcheck.notation.integers.atoms`: an element of an integer tensor (``ids[n]``), a floored quotient, an extreme.
Everything is interned: equal expressions are one object, so ``is`` compares them and a dictionary keyed on them is fast.

>>> N, out = size("N"), size("out")
>>> str(N * out + 2)
'N*out + 2'
>>> (N + out) - out is N
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, ClassVar, Union, cast
from weakref import WeakValueDictionary

PolyLike = Union["Poly", int]
Monomial = tuple[tuple["Atom", int], ...]
_interned: WeakValueDictionary[Any, Any] = WeakValueDictionary()
_kept = _interned.data  # type: ignore[attr-defined]  # without a call of Python, as it is asked at every step


class Atom:
    """What a polynomial is a polynomial of.

    Attributes:
        key: how it is printed; orders atoms.
        indices: the indices in it.
        names: the integer tensors that it reads.
    """

    __slots__ = ("key", "indices", "names", "__weakref__")
    fields: ClassVar[tuple[str, ...]] = ()
    tight: ClassVar[bool] = True  # as a factor it stands without parentheses
    key: str
    indices: frozenset[Index]
    names: frozenset[str]

    @property
    def parts(self) -> tuple[Poly, ...]:
        """The integer expressions directly inside, those that it is computed from."""
        return ()

    def rebuilt(self, parts: tuple[Poly, ...]) -> Poly:
        """The same of other parts, simplified."""
        return as_poly(self)

    def _text(self) -> str:
        raise NotImplementedError

    def _complete(self) -> None:
        """Set what follows from the fields."""
        self.key = self._text()
        self.indices = frozenset().union(*(p.indices for p in self.parts))
        self.names = frozenset().union(*(p.names for p in self.parts))

    def contains(self, atom: Atom) -> bool:
        """Whether it is the atom or reads it."""
        return self is atom or any(a.contains(atom) for p in self.parts for a in p.atoms())

    def sizes(self) -> frozenset[str]:
        """The names of all symbolic sizes in it."""
        return frozenset().union(*(p.sizes() for p in self.parts))

    def substituted(self, values: Mapping[Any, PolyLike]) -> Poly:
        """It, or what stands in it, replaced."""
        if self in values:
            return as_poly(values[self])
        parts = tuple(p.substitute(values) for p in self.parts)
        return as_poly(self) if parts == self.parts else self.rebuilt(parts)

    def renamed(self, names: Mapping[str, str]) -> Poly:
        """With integer tensors renamed."""
        return self.rebuilt(tuple(p.rename(names) for p in self.parts))

    def evaluated(self, value: Callable[[Atom], Any]) -> Any:
        """Its value: asked of ``value`` where it is not computed from its parts."""
        return value(self)

    def nonnegative(self, least: int) -> bool:
        """Whether it is surely at least 0, where sizes are at least ``least`` (False: not known)."""
        return False

    def not_above_zero(self) -> bool:
        """Whether it is surely at most 0 (False: not known)."""
        return False

    def __repr__(self) -> str:
        return self.key

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, f) for f in self.fields)


def interned(cls: type[Atom], *fields: Any) -> Any:
    """The one atom of that class with these fields."""
    kept = _kept.get((cls, *fields))
    found = None if kept is None else kept()
    if found is None:
        found = object.__new__(cls)
        for name, value in zip(cls.fields, fields):
            setattr(found, name, value)
        found._complete()
        _interned[(cls, *fields)] = found
    return found


class Size(Atom):
    """A symbolic size: a non-negative integer, the same wherever the name stands."""

    __slots__ = fields = ("name",)
    name: str

    def __new__(cls, name: str) -> Size:
        return cast(Size, interned(cls, name))

    def _text(self) -> str:
        return self.name

    def substituted(self, values: Mapping[Any, PolyLike]) -> Poly:
        found = values.get(self)
        return _alone(self) if found is None else as_poly(found)

    def sizes(self) -> frozenset[str]:
        return frozenset((self.name,))

    def nonnegative(self, least: int) -> bool:
        return True


class Index(Atom):
    """An index that runs over ``0 … size−1``; ``serial`` tells same-named indices apart."""

    __slots__ = fields = ("name", "size", "serial")
    name: str
    size: Poly
    serial: int

    def __new__(cls, name: str, size: PolyLike, serial: int = 0) -> Index:
        return cast(Index, interned(cls, name, as_poly(size), serial))

    def _text(self) -> str:
        return f"{self.name}_{self.serial}" if self.serial else self.name

    def _complete(self) -> None:
        self.key, self.indices, self.names = self._text(), frozenset((self,)), self.size.names

    def sizes(self) -> frozenset[str]:
        return self.size.sizes()

    def substituted(self, values: Mapping[Any, PolyLike]) -> Poly:
        found = values.get(self)
        if found is not None:
            return as_poly(found)
        length = self.size.substitute(values)
        return _alone(self if length is self.size else Index(self.name, length, self.serial))

    def nonnegative(self, least: int) -> bool:
        return True


class Poly:
    """An integer polynomial over atoms.  Build with ``+ - * //`` from :func:`size`, indices and ints."""

    __slots__ = ("terms", "indices", "names", "atom", "index", "_atoms", "_text", "_sizes", "__weakref__")
    floored: ClassVar[Callable[[Poly, Poly], Poly]]  # ``//``; set beside the atom that it makes, which needs polynomials
    terms: tuple[tuple[Monomial, int], ...]
    indices: frozenset[Index]
    names: frozenset[str]
    atom: Atom | None  # if this is one atom with coefficient 1
    index: Index | None  # if this is one index
    _atoms: tuple[Atom, ...]
    _text: str | None
    _sizes: frozenset[str] | None

    def __new__(cls, terms: Iterable[tuple[Monomial, int]]) -> Poly:
        """The polynomial of these terms; monomials are in order, so that equal ones are one object."""
        ordered = tuple(terms)
        if len(ordered) > 1:
            ordered = tuple(sorted(ordered, key=_term_order))
        return cls._of(ordered)

    @classmethod
    def _of(cls, ordered: tuple[tuple[Monomial, int], ...]) -> Poly:
        """The one polynomial of terms that are in order."""
        kept = _kept.get((cls, ordered))
        found = None if kept is None else kept()
        if found is None:
            found = object.__new__(cls)
            found.terms, found._text, found._sizes = ordered, None, None
            atoms = [a for m, _ in ordered for a, _ in m]
            found.indices = frozenset().union(*(a.indices for a in atoms))
            found.names = frozenset().union(*(a.names for a in atoms))
            lone = atoms[0] if len(atoms) == 1 and ordered == ((((atoms[0], 1),), 1),) else None
            found.atom, found.index = lone, lone if isinstance(lone, Index) else None
            found._atoms = tuple(dict.fromkeys(atoms))
            _interned[cls, ordered] = found
        return cast(Poly, found)

    def __reduce__(self) -> Any:
        return Poly, (self.terms,)

    def __add__(self, other: PolyLike) -> Poly:
        return _sum(self, as_poly(other))

    __radd__ = __add__

    def __neg__(self) -> Poly:
        return Poly._of(tuple((m, -c) for m, c in self.terms))

    def __sub__(self, other: PolyLike) -> Poly:
        return _difference(self, as_poly(other))

    def __rsub__(self, other: PolyLike) -> Poly:
        return _difference(as_poly(other), self)

    def __mul__(self, other: PolyLike) -> Poly:
        """The product, multiplied out."""
        right = as_poly(other)
        if self is _ONE or right is _ONE:
            return right if self is _ONE else self
        sums: dict[Monomial, int] = {}
        for m1, c1 in self.terms:
            for m2, c2 in right.terms:
                m = _times(m1, m2)
                sums[m] = sums.get(m, 0) + c1 * c2
        return Poly((m, c) for m, c in sums.items() if c)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Poly:
        result = _ONE
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: PolyLike) -> Poly:
        return Poly.floored(self, as_poly(other))

    def __mod__(self, other: PolyLike) -> Poly:
        return self - (self // other) * other

    @property
    def constant(self) -> int | None:
        """The value if there are no atoms, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    def atoms(self) -> tuple[Atom, ...]:
        """The atoms that stand in it directly, in order, each once."""
        return self._atoms

    def sizes(self) -> frozenset[str]:
        """The names of all symbolic sizes in it, also inside quotients and entries."""
        if self._sizes is None:
            self._sizes = frozenset().union(*(a.sizes() for m, _ in self.terms for a, _ in m))
        return self._sizes

    def linear_in(self, atom: Atom) -> tuple[int, Poly] | None:
        """``(c, rest)`` when this is ``c·atom + rest`` with an integer ``c`` and ``rest`` free of it.

        >>> i, N = Index("i", 3), size("N")
        >>> (2 * i_poly(i) + N).linear_in(i)
        (2, N)
        """
        c, rest = 0, []
        for m, k in self.terms:
            if m == ((atom, 1),):
                c = k
            elif any(a.contains(atom) for a, _ in m):
                return None
            else:
                rest.append((m, k))
        return c, Poly._of(tuple(rest))

    def substitute(self, values: Mapping[Any, PolyLike]) -> Poly:
        """Replace atoms by integer expressions, also inside entries, quotients and extremes."""
        if self.atom is not None:  # most positions and sizes
            return self.atom.substituted(values)
        if not self._atoms or not values:
            return self
        new = {a: a.substituted(values) for a in self._atoms}
        if all(p.atom is a for a, p in new.items()):
            return self
        return sum((math.prod((new[a] ** e for a, e in m), start=as_poly(c)) for m, c in self.terms), as_poly(0))

    def rename(self, names: Mapping[str, str]) -> Poly:
        """Rename integer tensors inside entries."""
        if self.names.isdisjoint(names):
            return self
        return self.substitute({a: a.renamed(names) for a in self.atoms() if not a.names.isdisjoint(names)})

    def evaluate(self, value: Callable[[Atom], Any]) -> Any:
        """Value with ``value(atom)`` for sizes, indices and entries; quotients and extremes are computed.

        ``value`` may return arrays: only ``+ * // -`` and comparisons are used.
        """
        total: Any = 0
        for m, c in self.terms:
            part: Any = c
            for a, e in m:
                v = a.evaluated(value)
                for _ in range(e):
                    part = part * v
            total = total + part
        return total

    def at(self, sizes: Mapping[str, int]) -> int:
        """The integer at given sizes.

        >>> (size("N") * 2 + 1).at({"N": 5})
        11
        """

        if isinstance(lone := self.atom, Size):  # most dimensions
            return int(sizes[lone.name])

        def look(a: Atom) -> int:
            if isinstance(a, Size):
                return sizes[a.name]
            raise KeyError(f"{a} is not a size")

        return int(self.evaluate(look))

    def __str__(self) -> str:
        """Its text, with what is added before what is taken away."""
        if self._text is None:
            parts = []
            for m, c in self.terms:
                factors = [(a.key if a.tight else f"({a.key})") + (f"^{e}" if e > 1 else "") for a, e in m]
                if abs(c) != 1 or not factors:
                    factors.insert(0, str(abs(c)))
                parts.append((c < 0, "*".join(factors)))
            parts.sort(key=lambda part: part[0])  # what is added first, what is taken away after it
            text = "".join((" - " if negative else " + ") + part for negative, part in parts)
            self._text = "-" * text.startswith(" -") + text[3:] or "0"
        return self._text

    __repr__ = __str__


def _term_order(term: tuple[Monomial, int]) -> tuple[int, int, str, tuple[int, ...], tuple[str, ...]]:
    return _order(term[0])


@lru_cache(maxsize=1 << 14)
def _order(m: Monomial) -> tuple[int, int, str, tuple[int, ...], tuple[str, ...]]:
    """A total order, so that equal polynomials are one object: N·k² and N²·k differ by their exponents alone."""
    exponents = tuple(e for _, e in m)
    lengths = tuple(str(a.size) for a, _ in m if isinstance(a, Index))
    return (-int(bool(m)), -sum(exponents), "*".join(a.key for a, _ in m), exponents, lengths)


# the same few are added again and again: N - 1 - i
@lru_cache(maxsize=1 << 13)
def _sum(left: Poly, right: Poly) -> Poly:
    if not left.terms or not right.terms:
        return left if left.terms else right
    sums = dict(left.terms)
    for m, c in right.terms:
        sums[m] = sums.get(m, 0) + c
    return Poly((m, c) for m, c in sums.items() if c)


@lru_cache(maxsize=1 << 13)
def _difference(left: Poly, right: Poly) -> Poly:
    return _sum(left, -right)


def _times(left: Monomial, right: Monomial) -> Monomial:
    """The product of two monomials, its atoms in order."""
    if not left:
        return right
    if not right:
        return left
    powers: dict[Atom, int] = dict(left)
    for a, e in right:
        powers[a] = powers.get(a, 0) + e
    return tuple(sorted(powers.items(), key=lambda t: (t[0].key, id(t[0]))))


def as_poly(value: PolyLike | Atom) -> Poly:
    """An integer, an atom or a polynomial as a polynomial."""
    if isinstance(value, Poly):
        return value
    if isinstance(value, Atom):
        return _alone(value)
    found = _numbers.get(value)
    return Poly((((), int(value)),) if value else ()) if found is None else found


@lru_cache(maxsize=1 << 13)
def _alone(atom: Atom) -> Poly:
    return Poly._of(((((atom, 1),), 1),))


_numbers = {c: Poly((((), c),) if c else ()) for c in range(-16, 65)}  # those that occur all the time, made once
_ONE = _numbers[1]


def size(name: str) -> Poly:
    """The symbolic size of that name, as a polynomial."""
    return as_poly(Size(name))


def i_poly(index: Index) -> Poly:
    """The position that is just this index."""
    return _alone(index)


def fresh(index: Index, used: Iterable[Index]) -> Index:
    """An index like this one that is not among ``used``: the smallest free serial, so that it is repeatable."""
    taken = {(u.name, u.serial) for u in used}
    serial = next(s for s in count(index.serial) if (index.name, s) not in taken)
    return index if serial == index.serial else Index(index.name, index.size, serial)
