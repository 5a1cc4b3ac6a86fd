"""Integer expressions: the sizes of dimensions and the positions of elements.

A :class:`Poly` is a polynomial with integer coefficients over atoms: a :class:`Size` (``N``, ``in``),
an :class:`Index` that runs below a size, an :class:`Entry` of an integer tensor (``ids[n]``), a
floored quotient, or a maximum/minimum.  Everything is interned: equal expressions are one object, so
``is`` compares them and a dictionary keyed on them is fast.

>>> N, out = size("N"), size("out")
>>> str(N * out + 2)
'N*out + 2'
>>> (N + out) - out is N
True
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Union, cast
from weakref import WeakValueDictionary

PolyLike = Union["Poly", int]
Monomial = tuple[tuple["Atom", int], ...]
_interned: WeakValueDictionary[Any, Any] = WeakValueDictionary()


class Atom:
    """What a polynomial is a polynomial of.  Interned; ``key`` orders atoms."""

    __slots__ = ("key", "indices", "names", "__weakref__")
    key: str
    indices: frozenset[Index]
    names: frozenset[str]

    def __repr__(self) -> str:
        return self.key

    def __reduce__(self) -> Any:
        raise NotImplementedError


class Size(Atom):
    """A symbolic size: a non-negative integer, the same wherever the name stands."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str) -> Size:
        found = _interned.get((cls, name))
        if found is None:
            found = object.__new__(cls)
            found.name, found.key, found.indices, found.names = name, name, frozenset(), frozenset()
            _interned[cls, name] = found
        return cast(Size, found)

    def __reduce__(self) -> Any:
        return Size, (self.name,)


class Index(Atom):
    """An index that runs over ``0 … size−1``; ``serial`` tells same-named indices apart."""

    __slots__ = ("name", "size", "serial")
    name: str
    size: Poly
    serial: int

    def __new__(cls, name: str, size: PolyLike, serial: int = 0) -> Index:
        length = as_poly(size)
        found = _interned.get((cls, name, length, serial))
        if found is None:
            found = object.__new__(cls)
            found.name, found.size, found.serial = name, length, serial
            found.key = name if not serial else f"{name}_{serial}"
            found.indices, found.names = frozenset((found,)), length.names
            _interned[cls, name, length, serial] = found
        return cast(Index, found)

    def __reduce__(self) -> Any:
        return Index, (self.name, self.size, self.serial)


class Entry(Atom):
    """An element of an integer tensor used as a position: ``ids[n]``."""

    __slots__ = ("name", "at")
    name: str
    at: tuple[Poly, ...]

    def __new__(cls, name: str, at: Iterable[PolyLike]) -> Entry:
        where = tuple(as_poly(p) for p in at)
        found = _interned.get((cls, name, where))
        if found is None:
            found = object.__new__(cls)
            found.name, found.at = name, where
            found.key = f"{name}[{', '.join(map(str, where))}]"
            found.indices = frozenset().union(*(p.indices for p in where))
            found.names = frozenset((name,)).union(*(p.names for p in where))
            _interned[cls, name, where] = found
        return cast(Entry, found)

    def __reduce__(self) -> Any:
        return Entry, (self.name, self.at)


class Floor(Atom):
    """``numerator // denominator``, rounded towards minus infinity."""

    __slots__ = ("numerator", "denominator")
    numerator: Poly
    denominator: Poly

    def __new__(cls, numerator: Poly, denominator: Poly) -> Floor:
        found = _interned.get((cls, numerator, denominator))
        if found is None:
            found = object.__new__(cls)
            found.numerator, found.denominator = numerator, denominator
            found.key = f"{_wrapped(numerator)}//{_wrapped(denominator)}"
            found.indices = numerator.indices | denominator.indices
            found.names = numerator.names | denominator.names
            _interned[cls, numerator, denominator] = found
        return cast(Floor, found)

    def __reduce__(self) -> Any:
        return Floor, (self.numerator, self.denominator)


class Extreme(Atom):
    """``max`` or ``min`` of integer expressions."""

    __slots__ = ("kind", "args")
    kind: str
    args: tuple[Poly, ...]

    def __new__(cls, kind: str, args: Iterable[PolyLike]) -> Extreme:
        parts = tuple(sorted({as_poly(a) for a in args}, key=str))
        if cls is not Extreme:
            parts = tuple(sorted((as_poly(a) for a in args), key=str))
        found = _interned.get((cls, kind, parts))
        if found is None:
            found = object.__new__(cls)
            found.kind, found.args = kind, parts
            found.key = f"{kind}({', '.join(map(str, parts))})"
            found.indices = frozenset().union(*(p.indices for p in parts))
            found.names = frozenset().union(*(p.names for p in parts))
            _interned[cls, kind, parts] = found
        return cast(Extreme, found)

    def __reduce__(self) -> Any:
        return Extreme, (self.kind, self.args)


_FUNCTIONS: dict[str, Callable[..., int]] = {
    "gcd": math.gcd,
    "isqrt": math.isqrt,
    "bit_length": int.bit_length,
    "exp2": lambda n: 1 << n,
    "bit_or": operator.or_,
    "bit_and": operator.and_,
    "bit_xor": operator.xor,
}


class Applied(Extreme):
    """Another function of integer expressions, the same whichever their order: ``gcd``, ``isqrt``, ``bit_length``, ``exp2``
    (2 to the power), ``bit_or``, ``bit_and``, ``bit_xor``.  Nothing is known of it but its value at numbers."""

    def __reduce__(self) -> Any:
        return Applied, (self.kind, self.args)


class Poly:
    """An integer polynomial over atoms.  Build with ``+ - * //`` from :func:`size`, indices and ints."""

    __slots__ = ("terms", "indices", "names", "_text", "_sizes", "__weakref__")
    terms: tuple[tuple[Monomial, int], ...]
    indices: frozenset[Index]
    names: frozenset[str]
    _text: str | None
    _sizes: frozenset[str] | None

    def __new__(cls, terms: Iterable[tuple[Monomial, int]]) -> Poly:
        ordered = tuple(terms)
        if len(ordered) > 1:
            ordered = tuple(sorted(ordered, key=_term_order))
        found = _interned.get((cls, ordered))
        if found is None:
            found = object.__new__(cls)
            found.terms, found._text, found._sizes = ordered, None, None
            atoms = [a for m, _ in ordered for a, _ in m]
            found.indices = frozenset().union(*(a.indices for a in atoms))
            found.names = frozenset().union(*(a.names for a in atoms))
            _interned[cls, ordered] = found
        return cast(Poly, found)

    def __reduce__(self) -> Any:
        return Poly, (self.terms,)

    # -- arithmetic --------------------------------------------------------
    def __add__(self, other: PolyLike) -> Poly:
        right = as_poly(other)
        if not self.terms or not right.terms:
            return self if self.terms else right
        sums = dict(self.terms)
        for m, c in right.terms:
            sums[m] = sums.get(m, 0) + c
        return Poly((m, c) for m, c in sums.items() if c)

    __radd__ = __add__

    def __neg__(self) -> Poly:
        return Poly((m, -c) for m, c in self.terms)

    def __sub__(self, other: PolyLike) -> Poly:
        return self + (-as_poly(other))

    def __rsub__(self, other: PolyLike) -> Poly:
        return as_poly(other) + (-self)

    def __mul__(self, other: PolyLike) -> Poly:
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
        right = as_poly(other)
        exact = exact_quotient(self, right)
        if exact is not None:
            return exact
        a, b = self.constant, right.constant
        if a is not None and b is not None and b != 0:
            return as_poly(a // b)
        return _floor(self, right)

    def __mod__(self, other: PolyLike) -> Poly:
        return self - (self // other) * other

    # -- looking inside ----------------------------------------------------
    @property
    def constant(self) -> int | None:
        """The value if there are no atoms, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def atom(self) -> Atom | None:
        """The atom if this is one atom with coefficient 1, else None."""
        if len(self.terms) == 1 and self.terms[0][1] == 1:
            m = self.terms[0][0]
            if len(m) == 1 and m[0][1] == 1:
                return m[0][0]
        return None

    @property
    def index(self) -> Index | None:
        """The index if this is one index, else None."""
        found = self.atom
        return found if isinstance(found, Index) else None

    def atoms(self) -> list[Atom]:
        """The atoms that stand in it directly, in order, each once."""
        return list(dict.fromkeys(a for m, _ in self.terms for a, _ in m))

    def sizes(self) -> frozenset[str]:
        """The names of all symbolic sizes in it, also inside quotients and entries."""
        if self._sizes is None:
            self._sizes = frozenset().union(*(_sizes_of(a) for m, _ in self.terms for a, _ in m))
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
            elif any(_contains(a, atom) for a, _ in m):
                return None
            else:
                rest.append((m, k))
        return c, Poly(rest)

    def substitute(self, values: Mapping[Any, PolyLike]) -> Poly:
        """Replace atoms by integer expressions, also inside entries, quotients and extremes."""
        if not values or not self.terms:
            return self
        new = {a: _substituted(a, values) for a in self.atoms()}
        if all(p.atom is a for a, p in new.items()):
            return self
        total = as_poly(0)
        for m, c in self.terms:
            part = as_poly(c)
            for a, e in m:
                part = part * new[a] ** e
            total = total + part
        return total

    def rename(self, names: Mapping[str, str]) -> Poly:
        """Rename integer tensors inside entries."""
        if self.names.isdisjoint(names):
            return self
        return self.substitute({a: _renamed(a, names) for a in self.atoms() if not a.names.isdisjoint(names)})

    def evaluate(self, value: Callable[[Atom], Any]) -> Any:
        """Value with ``value(atom)`` for sizes, indices and entries; quotients and extremes are computed.

        ``value`` may return arrays: only ``+ * // -`` and comparisons are used.
        """
        total: Any = 0
        for m, c in self.terms:
            part: Any = c
            for a, e in m:
                if isinstance(a, Floor):
                    v = a.numerator.evaluate(value) // a.denominator.evaluate(value)
                elif isinstance(a, Applied):
                    v = _FUNCTIONS[a.kind](*(int(p.evaluate(value)) for p in a.args))
                elif isinstance(a, Extreme):
                    v = None
                    for p in a.args:
                        w = p.evaluate(value)
                        if v is None:
                            v = w
                        else:
                            less = w < v if a.kind == "min" else w > v
                            v = w * less + v * (1 - less) if not isinstance(less, bool) else (w if less else v)
                else:
                    v = value(a)
                for _ in range(e):
                    part = part * v
            total = total + part
        return total

    def at(self, sizes: Mapping[str, int]) -> int:
        """The integer at given sizes.

        >>> (size("N") * 2 + 1).at({"N": 5})
        11
        """

        def look(a: Atom) -> int:
            if isinstance(a, Size):
                return sizes[a.name]
            raise KeyError(f"{a} is not a size")

        return int(self.evaluate(look))

    def __str__(self) -> str:
        if self._text is None:
            self._text = _text(self)
        return self._text

    __repr__ = __str__


def _term_order(term: tuple[Monomial, int]) -> tuple[int, int, str, tuple[int, ...], tuple[str, ...]]:
    """A total order, so that equal polynomials are one object: N·k² and N²·k differ by their exponents alone."""
    m = term[0]
    exponents = tuple(e for _, e in m)
    lengths = tuple(str(a.size) for a, _ in m if isinstance(a, Index))
    return (-int(bool(m)), -sum(exponents), "*".join(a.key for a, _ in m), exponents, lengths)


def _times(left: Monomial, right: Monomial) -> Monomial:
    if not left:
        return right
    if not right:
        return left
    powers: dict[Atom, int] = dict(left)
    for a, e in right:
        powers[a] = powers.get(a, 0) + e
    return tuple(sorted(powers.items(), key=lambda t: (t[0].key, id(t[0]))))


def _atom_poly(atom: Atom) -> Poly:
    return Poly(((((atom, 1),), 1),))


def as_poly(value: PolyLike | Atom) -> Poly:
    """An integer, an atom or a polynomial as a polynomial."""
    if isinstance(value, Poly):
        return value
    if isinstance(value, Atom):
        return _atom_poly(value)
    found = _numbers.get(value)
    return Poly((((), int(value)),) if value else ()) if found is None else found


_numbers = {c: Poly((((), c),) if c else ()) for c in range(-16, 65)}
_ONE = _numbers[1]


def size(name: str) -> Poly:
    """The symbolic size of that name, as a polynomial."""
    return _atom_poly(Size(name))


def i_poly(index: Index) -> Poly:
    """The position that is just this index."""
    return _atom_poly(index)


def entry(name: str, *at: PolyLike) -> Poly:
    """The element ``name[at]`` of an integer tensor, as a position."""
    return _atom_poly(Entry(name, at))


def extreme(kind: str, *args: PolyLike) -> Poly:
    """``max(args)`` or ``min(args)``; a number where all are numbers."""
    polys = list(dict.fromkeys(as_poly(a) for a in args))
    constants = [p.constant for p in polys]
    if all(c is not None for c in constants):
        known = [c for c in constants if c is not None]
        return as_poly(max(known) if kind == "max" else min(known))
    if len(polys) == 1:
        return polys[0]
    for i, p in enumerate(polys):  # max(N, N - 3) is N
        if all(nonnegative(p - q if kind == "max" else q - p) for j, q in enumerate(polys) if j != i):
            return p
    return _atom_poly(Extreme(kind, polys))


def applied(kind: str, *args: PolyLike) -> Poly:
    """Another function of integers, of an expression: see :class:`Applied`; a number where all are numbers.

    >>> str(applied("exp2", applied("bit_length", size("N") - 1)))
    'exp2(bit_length(N - 1))'
    >>> applied("gcd", size("N"), 4).at({"N": 6})
    2
    """
    polys = [as_poly(a) for a in args]
    known = [p.constant for p in polys]
    if all(c is not None for c in known):
        return as_poly(_FUNCTIONS[kind](*known))
    return _atom_poly(Applied(kind, polys))


@lru_cache(maxsize=4096)
def exact_quotient(numerator: Poly, denominator: Poly) -> Poly | None:
    """``numerator / denominator`` when the division leaves nothing over, else None.

    >>> h, d = size("h"), size("d")
    >>> exact_quotient(h * d, d)
    h
    """
    if not denominator.terms:
        return None
    if numerator is denominator:
        return as_poly(1)
    rest, result = numerator, as_poly(0)
    lead, c0 = denominator.terms[0]
    for _ in range(16):
        if not rest.terms:
            return result
        for m, c in rest.terms:
            q = _monomial_quotient(m, lead)
            if q is not None and c % c0 == 0:
                step = Poly(((q, c // c0),))
                result, rest = result + step, rest - step * denominator
                break
        else:
            return None
    return None


@lru_cache(maxsize=4096)
def _floor(numerator: Poly, denominator: Poly) -> Poly:
    """``numerator // denominator`` with whole multiples taken out: ``(h*d + e)//d`` is ``h`` for an index e below d."""
    whole, rest = as_poly(0), as_poly(0)
    for m, c in numerator.terms:
        part = Poly(((m, c),))
        q = exact_quotient(part, denominator)
        if q is None:
            rest = rest + part
        else:
            whole = whole + q
    if not nonnegative(denominator - 1):
        return _atom_poly(Floor(numerator, denominator))
    if nonnegative(rest) and nonnegative(denominator - 1 - rest):
        return whole
    inner = rest.atom
    if isinstance(inner, Floor) and nonnegative(inner.denominator - 1):
        return whole + _floor(inner.numerator, inner.denominator * denominator)
    return whole + _atom_poly(Floor(rest, denominator))


def _monomial_quotient(m: Monomial, by: Monomial) -> Monomial | None:
    powers = dict(m)
    for a, e in by:
        powers[a] = powers.get(a, 0) - e
        if powers[a] < 0:
            return None
    return tuple((a, e) for a, e in sorted(powers.items(), key=lambda t: (t[0].key, id(t[0]))) if e)


def _contains(atom: Atom, wanted: Atom) -> bool:
    if atom is wanted:
        return True
    parts: tuple[Poly, ...] = ()
    if isinstance(atom, Entry):
        parts = atom.at
    elif isinstance(atom, Floor):
        parts = (atom.numerator, atom.denominator)
    elif isinstance(atom, Extreme):
        parts = atom.args
    return any(_contains(a, wanted) for p in parts for a in p.atoms())


def _substituted(atom: Atom, values: Mapping[Any, PolyLike]) -> Poly:
    if atom in values:
        return as_poly(values[atom])
    if isinstance(atom, Entry):
        at = tuple(p.substitute(values) for p in atom.at)
        return _atom_poly(atom if at == atom.at else Entry(atom.name, at))
    if isinstance(atom, Floor):
        n, d = atom.numerator.substitute(values), atom.denominator.substitute(values)
        return _atom_poly(atom) if n is atom.numerator and d is atom.denominator else n // d
    if isinstance(atom, Applied):
        return applied(atom.kind, *(p.substitute(values) for p in atom.args))
    if isinstance(atom, Extreme):
        args = tuple(p.substitute(values) for p in atom.args)
        return _atom_poly(atom) if args == atom.args else extreme(atom.kind, *args)
    if isinstance(atom, Index):
        length = atom.size.substitute(values)
        return _atom_poly(atom if length is atom.size else Index(atom.name, length, atom.serial))
    return _atom_poly(atom)


def _renamed(atom: Atom, names: Mapping[str, str]) -> Poly:
    if isinstance(atom, Entry):
        return _atom_poly(Entry(names.get(atom.name, atom.name), tuple(p.rename(names) for p in atom.at)))
    if isinstance(atom, Floor):
        return atom.numerator.rename(names) // atom.denominator.rename(names)
    if isinstance(atom, Applied):
        return applied(atom.kind, *(p.rename(names) for p in atom.args))
    if isinstance(atom, Extreme):
        return extreme(atom.kind, *(p.rename(names) for p in atom.args))
    return _atom_poly(atom)


def _sizes_of(atom: Atom) -> frozenset[str]:
    if isinstance(atom, Size):
        return frozenset((atom.name,))
    if isinstance(atom, Index):
        return atom.size.sizes()
    if isinstance(atom, Entry):
        return frozenset().union(*(p.sizes() for p in atom.at))
    if isinstance(atom, Floor):
        return atom.numerator.sizes() | atom.denominator.sizes()
    if isinstance(atom, Extreme):
        return frozenset().union(*(p.sizes() for p in atom.args))
    return frozenset()


def lower_bound(poly: Poly, least: int = 1) -> Poly | None:
    """A lower bound over all values of the indices in it, free of indices; None where it is not affine.

    Sizes are taken to be at least ``least`` (an empty range has no element to be wrong at).
    """
    bound = poly
    for i in sorted(poly.indices, key=lambda a: a.key):
        found = _degree_one(bound, i)
        if found is None:
            return None
        slope, rest = found
        if nonnegative(slope, least):
            bound = rest
        elif nonnegative(-slope, least):
            bound = rest + slope * (i.size - 1)
        else:
            return None
    return bound


def _degree_one(poly: Poly, i: Index) -> tuple[Poly, Poly] | None:
    """``(slope, rest)`` with ``poly = slope·i + rest``, both free of ``i``; None where it is not of that form."""
    slope, rest = [], []
    for m, c in poly.terms:
        if (i, 1) in m:
            others = tuple((a, e) for a, e in m if a is not i)
            if any(i in a.indices for a, _ in others):
                return None
            slope.append((others, c))
        elif any(i in a.indices for a, _ in m):
            return None
        else:
            rest.append((m, c))
    return Poly(slope), Poly(rest)


@lru_cache(maxsize=8192)
def nonnegative(poly: Poly, least: int = 1) -> bool:
    """Whether the expression is surely at least 0 wherever its indices have values (False: not known).

    >>> n = Index("n", size("N"))
    >>> nonnegative(size("N") - 1 - i_poly(n)), nonnegative(i_poly(n) - 1)
    (True, False)
    """
    bound = lower_bound(poly, least)
    if bound is None:
        return False
    # A size that code read of a tensor of its own ("?3.0") may be 0 where those of the inputs are not.
    shifted = bound.substitute({a: as_poly(a) + least for a in bound.atoms() if isinstance(a, Size) and a.name[0] != "?"})
    for m, c in shifted.terms:
        if c < 0 and not (len(m) == 1 and m[0][1] == 1 and _not_above_zero(m[0][0])):
            return False
        if c > 0 and any(not isinstance(a, Size) and not _atom_nonnegative(a, least) for a, _ in m):
            return False
    return True


def _not_above_zero(atom: Atom) -> bool:
    """Whether it is a quotient that is at most 0 at all sizes: ``-((-N)//2)`` counts every second."""
    return isinstance(atom, Floor) and nonnegative(-atom.numerator, 0) and nonnegative(atom.denominator - 1, 0)


def _atom_nonnegative(atom: Atom, least: int) -> bool:
    if isinstance(atom, Floor):
        return nonnegative(atom.numerator) and nonnegative(atom.denominator)
    if isinstance(atom, Applied):
        return not atom.kind.startswith("bit_") or atom.kind == "bit_length" or all(nonnegative(p) for p in atom.args)
    if isinstance(atom, Extreme):
        return (any if atom.kind == "max" else all)(nonnegative(p, least) for p in atom.args)
    return isinstance(atom, Index)


def surely_within(need: Poly, length: Poly, least: int = 1) -> bool:
    """Whether ``need`` is at most ``length`` for every size; ``N//2`` is at most ``N``.

    >>> surely_within(size("N") // 2, size("N")), surely_within(as_poly(2), size("N"))
    (True, False)
    """
    whole = need.atom if isinstance(need.atom, Extreme) and not isinstance(need.atom, Applied) else None
    if whole is not None:
        return (any if whole.kind == "min" else all)(surely_within(p, length, least) for p in whole.args)
    halves = {a: a.numerator for a in need.atoms() if isinstance(a, Floor) and nonnegative(a.numerator)}
    grown = need.substitute(halves) if all(c > 0 for _, c in need.terms) else need
    return nonnegative(length - need, least) or nonnegative(length - grown, least)


def fresh(index: Index, used: Iterable[Index]) -> Index:
    """An index like this one that is not among ``used``: the smallest free serial, so that it is repeatable."""
    taken = {(u.name, u.serial) for u in used}
    serial = index.serial
    while (index.name, serial) in taken:
        serial += 1
    return index if serial == index.serial else Index(index.name, index.size, serial)


def _wrapped(poly: Poly) -> str:
    text = str(poly)
    simple = poly.constant is not None and poly.constant >= 0 or poly.atom is not None
    return text if simple else f"({text})"


def _text(poly: Poly) -> str:
    parts = []
    for m, c in poly.terms:
        factors = [(f"({a.key})" if isinstance(a, Floor) else a.key) + (f"^{e}" if e > 1 else "") for a, e in m]
        magnitude = abs(c)
        if magnitude != 1 or not factors:
            factors.insert(0, str(magnitude))
        parts.append((c < 0, "*".join(factors)))
    if not parts:
        return "0"
    parts.sort(key=lambda part: part[0])  # what is added first, what is taken away after it
    text = ("-" if parts[0][0] else "") + parts[0][1]
    for negative, part in parts[1:]:
        text += (" - " if negative else " + ") + part
    return text
