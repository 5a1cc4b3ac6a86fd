"""What a normal form is a polynomial of: atoms, each of which is one object per meaning.

An *expression* is a dictionary ``monomial → coefficient``; a *monomial* is a frozen set of ``(atom, exponent)``
pairs with rational exponents; an *atom* is closed: the indices that a Σ inside binds bear canonical names, so two
equal sums are one atom.  Each kind of atom is a class:

    Element     x[n, k]
    Whole       a size, an index or an entry, N, i, ids[n], used as a number
    Equal       [p = 0] of an integer polynomial
    Least       [p ≥ 0] of an integer polynomial
    Above       [u > 0] of an expression
    Root        a prime, to a fractional power
    Exp         e^m of a monomial
    Base        an expression of many terms, to a negative or fractional power
    Apply       tanh(u), log(u)
    Sigma       Σ of a monomial, one connected component
    Reduction   Π, max, min, argmax, argmin of an expression
    MatrixAtom  det(A) or inv(A)[p, q] of the matrix with an expression as its element
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.atoms import Entry, Floor
from derivcheck.notation.integers.polynomials import Atom as Integer
from derivcheck.notation.integers.polynomials import Index, Poly, Size, as_poly
from derivcheck.proof.expressions.signatures import (
    Colours,
    either_sign,
    expression_signature,
    factor_parts,
    integer_signature,
    monomial_signature,
    poly_signature,
    refined,
    term_parts,
    word,
)

Rational = int | Fraction
Monomial = frozenset[tuple["ProofAtom", Rational]]
Expression = dict[Monomial, Rational]
Frozen = frozenset[tuple[Monomial, Rational]]  # an expression as a value that can stand inside an atom

UNIT: Monomial = frozenset()

# The size of an index that runs over all integers; brackets beside it say where.
EVERYWHERE = Size("ℤ")

_LETTERS = "ijklmnopqrstuvw"
LEVEL = 1000  # serials of bound indices: 1000 times how deep sums are nested in theirs, plus a place


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class ProofAtom:
    """An indivisible factor.  Interned by its :class:`~derivcheck.proof.expressions.context.Context`: equal is identical.

    Attributes:
        free: the free indices.
        names: the tensors in it, also those that stand in positions.
        elements: the tensors whose elements it holds.
        height: how deep sums are nested in it.
        divides: whether a quotient of integers stands in it.
        compares: whether a comparison of real numbers does.
        signature: what does not depend on how bound indices are called.
    """

    free: frozenset[Index] = field(init=False)
    names: frozenset[str] = field(init=False)
    elements: frozenset[str] = field(init=False)
    height: int = field(init=False)
    divides: bool = field(init=False)
    compares: bool = field(init=False)
    signature: int = field(init=False)

    def __post_init__(self) -> None:
        """What is known of it without looking inside again."""
        tensor, bound = self.tensor(), self.binds()
        elements = {tensor} if tensor is not None else set[str]()
        free, names, height = set[Index](), set(elements), 0
        divides, compares = False, isinstance(self, Above)
        for p in self.positions():
            free |= p.indices
            names |= p.names
            divides = divides or any(isinstance(x, Floor) for q in _with_entries(p) for x in q.atoms())
        for m in self.inside():
            for a, _ in m:
                free |= a.free
                names |= a.names
                elements |= a.elements
                height = max(height, a.height)
                divides, compares = divides or a.divides, compares or a.compares
        free -= set(bound)
        for i in bound:
            free |= i.size.indices
            names |= i.size.names
        set_ = object.__setattr__
        set_(self, "free", frozenset(free))
        set_(self, "names", frozenset(names))
        set_(self, "elements", frozenset(elements))
        set_(self, "height", height + (1 if bound else 0))
        set_(self, "divides", divides)
        set_(self, "compares", compares)
        set_(self, "signature", self._signature({}))

    def tensor(self) -> str | None:
        """The tensor of which it is an element."""
        return None

    def positions(self) -> tuple[Poly, ...]:
        """The integer polynomials that stand in it directly."""
        return ()

    def inside(self) -> Iterable[Monomial]:
        """The monomials of the expressions that stand in it."""
        return ()

    def binds(self) -> tuple[Index, ...]:
        """The indices that it binds."""
        return ()

    def every_position(self) -> Iterator[Poly]:
        """The integer polynomials in it: positions, brackets, integers used as numbers, also further inside."""
        for p in self.positions():
            yield from _with_entries(p)
        for m in self.inside():
            for a, _ in m:
                yield from a.every_position()

    def elements_of(self, name: str) -> Iterator[Element]:
        """The elements of a tensor in it."""
        if name in self.elements:
            for m in self.inside():
                for a, _ in m:
                    yield from a.elements_of(name)

    def coloured(self, colours: Colours) -> int:
        """The signature with colours in place of indices."""
        return self.signature if not colours or self.free.isdisjoint(colours) else self._signature(colours)

    def _signature(self, colours: Colours) -> int:
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Element(ProofAtom):
    """``x[n, k]``: an element of a tensor."""

    name: str
    at: tuple[Poly, ...]

    def tensor(self) -> str:
        return self.name

    def positions(self) -> tuple[Poly, ...]:
        return self.at

    def elements_of(self, name: str) -> Iterator[Element]:
        if name == self.name:
            yield self

    def _signature(self, colours: Colours) -> int:
        return hash((word(f"element {self.name}"), *(poly_signature(p, colours) for p in self.at)))

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.at))}]" if self.at else self.name


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class SymmetricElement(Element):
    """An element of a tensor of symmetric matrices: its last two positions have no order, and are sorted."""

    def _signature(self, colours: Colours) -> int:
        places = [poly_signature(p, colours) for p in self.at]
        return hash((word(f"symmetric {self.name}"), *places[:-2], sum(places[-2:])))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class WholeAtom(ProofAtom):
    """A size, an index or an entry that is used as a number."""

    integer: Integer

    def tensor(self) -> str | None:
        return self.integer.name if isinstance(self.integer, Entry) else None

    def positions(self) -> tuple[Poly, ...]:
        return (as_poly(self.integer),)

    def _signature(self, colours: Colours) -> int:
        return hash((word("whole"), integer_signature(self.integer, colours)))

    def __repr__(self) -> str:
        return str(self.integer)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Iverson(ProofAtom):
    """A bracket: 1 where what it says holds, else 0, so that its square is itself."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Equal(Iverson):
    """``[p = 0]`` of an integer polynomial."""

    poly: Poly

    def positions(self) -> tuple[Poly, ...]:
        return (self.poly,)

    def _signature(self, colours: Colours) -> int:
        return hash((word("equal"), poly_signature(self.poly, colours) + poly_signature(-self.poly, colours)))

    def __repr__(self) -> str:
        return f"[{self.poly} == 0]"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Least(Iverson):
    """``[p ≥ 0]`` of an integer polynomial."""

    poly: Poly

    def positions(self) -> tuple[Poly, ...]:
        return (self.poly,)

    def _signature(self, colours: Colours) -> int:
        return hash((word("least"), poly_signature(self.poly, colours)))

    def __repr__(self) -> str:
        return f"[{self.poly} >= 0]"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Above(Iverson):
    """``[u > 0]`` of an expression."""

    terms: Frozen

    def inside(self) -> Iterable[Monomial]:
        return (m for m, _ in self.terms)

    def _signature(self, colours: Colours) -> int:
        return hash((word("above"), expression_signature(self.terms, colours)))

    def __repr__(self) -> str:
        return f"[{expression_text(dict(self.terms))} > 0]"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Root(ProofAtom):
    """A prime, which stands to a fractional power."""

    prime: int

    def _signature(self, colours: Colours) -> int:
        return hash((word("root"), self.prime))

    def __repr__(self) -> str:
        return str(self.prime)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Exp(ProofAtom):
    """``e^m`` of a monomial; its coefficient is the exponent of the atom."""

    monomial: Monomial

    def inside(self) -> Iterable[Monomial]:
        return (self.monomial,)

    def _signature(self, colours: Colours) -> int:
        return hash((word("exp"), monomial_signature(self.monomial, colours)))

    def __repr__(self) -> str:
        return f"exp({monomial_text(self.monomial, 1)})"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Base(ProofAtom):
    """An expression of many terms, which stands to a negative or fractional power."""

    terms: Frozen

    def inside(self) -> Iterable[Monomial]:
        return (m for m, _ in self.terms)

    def _signature(self, colours: Colours) -> int:
        return hash((word("base"), either_sign(self.terms, colours)))

    def __repr__(self) -> str:
        return f"({expression_text(dict(self.terms))})"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Apply(ProofAtom):
    """A scalar function of expressions."""

    function: str
    args: tuple[Frozen, ...]

    def inside(self) -> Iterable[Monomial]:
        return (m for terms in self.args for m, _ in terms)

    def _signature(self, colours: Colours) -> int:
        of = either_sign if functions()[self.function].parity else expression_signature
        return hash((word(f"apply {self.function}"), *(of(terms, colours) for terms in self.args)))

    def __repr__(self) -> str:
        args = ", ".join(expression_text(dict(terms)) for terms in self.args)
        return f"{self.function}({args})" if args else self.function


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Sigma(ProofAtom):
    """Σ of a monomial over bound indices, which its factors connect."""

    bound: tuple[Index, ...]
    monomial: Monomial

    def inside(self) -> Iterable[Monomial]:
        return (self.monomial,)

    def binds(self) -> tuple[Index, ...]:
        return self.bound

    def _signature(self, colours: Colours) -> int:
        inner = refined(self.bound, factor_parts(self.monomial), colours)
        return hash((word("sigma"), monomial_signature(self.monomial, {**colours, **inner})))

    def __repr__(self) -> str:
        return f"sum({_lettered(monomial_text(self.monomial, 1), self.bound)})"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Reduction(ProofAtom):
    """Π, an extreme, or the place of one (``prod``, ``max``, ``argmax`` …) of an expression over bound indices."""

    kind: str
    bound: tuple[Index, ...]
    terms: Frozen

    def inside(self) -> Iterable[Monomial]:
        return (m for m, _ in self.terms)

    def binds(self) -> tuple[Index, ...]:
        return self.bound

    def _signature(self, colours: Colours) -> int:
        inner = refined(self.bound, term_parts(self.terms), colours)
        return hash((word(f"over {self.kind}"), expression_signature(self.terms, {**colours, **inner})))

    def __repr__(self) -> str:
        return f"{self.kind}({_lettered(expression_text(dict(self.terms)), self.bound)})"


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class MatrixAtom(ProofAtom):
    """A determinant, or the element ``at`` of an inverse or a Cholesky factor; ``bound`` are row and column of the matrix."""

    kind: str
    bound: tuple[Index, Index]
    terms: Frozen
    at: tuple[Poly, ...]

    def positions(self) -> tuple[Poly, ...]:
        return self.at

    def inside(self) -> Iterable[Monomial]:
        return (m for m, _ in self.terms)

    def binds(self) -> tuple[Index, ...]:
        return self.bound

    def _signature(self, colours: Colours) -> int:
        rows, columns = (word("row"), word("column"))
        inner = expression_signature(self.terms, {**colours, self.bound[0]: rows, self.bound[1]: columns})
        other = expression_signature(self.terms, {**colours, self.bound[0]: columns, self.bound[1]: rows})
        places = [poly_signature(p, colours) for p in self.at]
        same = inner == other and self.kind == "inv"  # of a symmetric matrix the positions have no order
        return hash((word(f"matrix {self.kind}"), inner, sum(places) if same else hash(tuple(places))))

    def __repr__(self) -> str:
        body = _lettered(expression_text(dict(self.terms)), self.bound)
        at = f"[{', '.join(map(str, self.at))}]" if self.at else ""
        return f"{self.kind}({body}){at}"


def _with_entries(p: Poly) -> Iterator[Poly]:
    yield p
    for x in p.atoms() if p.names else ():
        if isinstance(x, Entry):
            for q in x.at:
                yield from _with_entries(q)


def unlimited(index: Index) -> bool:
    """Whether the index runs over all integers."""
    return index.size.atom is EVERYWHERE


# -- text ------------------------------------------------------------------------------
def _lettered(text: str, bound: tuple[Index, ...]) -> str:
    """``i, j: x[i, j]``: what is bound with letters that nothing else in the text is called by, and the text."""
    around = text
    for j in bound:
        around = around.replace(j.key, " ")
    taken = set(re.findall(r"[^\W\d]\w*'*", around))
    own = []
    for j in bound:
        level, place = divmod(j.serial, LEVEL)
        strokes = "" if level <= 1 else "'" * (level - 1)
        turned = _LETTERS[place % len(_LETTERS) :] + _LETTERS
        own.append(next((x + strokes for x in turned if x + strokes not in taken), turned[0] + strokes))
        taken.add(own[-1])
        text = text.replace(j.key, own[-1])
    return f"{', '.join(own)}: {text}"


def monomial_text(m: Monomial, c: Rational) -> str:
    """A monomial with its coefficient."""
    parts: list[str] = []
    for a, e in m:
        text = repr(a)
        if e != 1:
            text += f"^{e}" if isinstance(e, int) and e > 0 else f"^({e})"
        parts.append(text)
    parts.sort()
    if c != 1 or not parts:
        parts.insert(0, str(c) if isinstance(c, int) or c.denominator == 1 else f"({c})")
    return "*".join(parts)


def expression_text(u: Expression, limit: int = 8, width: int = 160) -> str:
    """An expression; a long one is cut short."""
    if not u:
        return "0"
    parts = sorted((monomial_text(m, c) for m, c in u.items()), key=lambda t: (not t[0].isalpha(), t))
    kept = parts[:limit]
    while len(kept) > 1 and sum(map(len, kept)) > width:
        kept.pop()
    text = " + ".join(p if len(p) <= 2 * width else f"{p[: 2 * width]}…" for p in kept)
    text = text.replace("+ -1*", "- ").replace("+ -", "- ")
    return text if len(parts) == len(kept) else f"{text} + … ({len(parts)} terms)"
