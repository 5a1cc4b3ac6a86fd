"""The Builder: collects the definitions that rows give, names them and their indices, and broadcasts.

>>> from derivcheck.notation.integers.polynomials import size
>>> from derivcheck.notation.terms.build import mul
>>> from derivcheck.notation.terms.substitute import summation
>>> b = Builder(sizes=["N", "in", "out"])
>>> x, w = Value("x", (size("N"), size("in"))), Value("w", (size("out"), size("in")))
>>> n, o, i = b.indices((size("N"), size("out"), size("in")))
>>> y = b.define("y", (n, o), summation([i], mul(x[n, i], w[o, i])))
>>> print(b.definitions[0].name, b.definitions[0].indices, b.definitions[0].term)
y (n, o) sum(i: x[n, i]*w[o, i])
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.atoms import surely_within
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, PolyLike, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition, Spelling
from derivcheck.notation.program.requirements import Requirement, simplest
from derivcheck.notation.terms.build import func, mul, neg, number, size_of
from derivcheck.notation.terms.nodes import Bracket, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import substitute
from derivcheck.operators.language.values import Value, as_integer, broadcast_dims, promoted, spread

_RESERVED = {"torch", "math", "grad_output", "sum", "prod", "max", "min", "argmax", "argmin", "size", "input_shape"}


@dataclass(frozen=True)
class KnownResults:
    """What is known of an operator's results before its row says what they are.

    Attributes:
        dims: the dimensions of each; else they follow from the arguments.
        kinds: ``float``, ``int`` or ``bool`` for each.
        hints: the name that the user's code gives each.
        place: ``file.py:line`` of the user's code.
    """

    dims: Sequence[tuple[Poly, ...]] | None = None
    kinds: Sequence[str] | None = None
    hints: Sequence[str | None] = ()
    place: str | None = None


NOTHING_KNOWN = KnownResults()


class Builder:
    """Collects definitions, each with its own name, readable indices, rule and place.

    Args:
        names: names that are taken (inputs, parameters).
        sizes: the names of symbolic sizes, which no index may bear.
        reserved: names that the user's code gives to tensors, kept free for them.
        traced: the sizes at which the code was seen to run; what holds at all of them may be required of all others.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        sizes: Iterable[str] = (),
        reserved: Iterable[str] = (),
        traced: Sequence[Mapping[str, int]] = (),
    ) -> None:
        """Start without definitions; see the class for the names that are taken."""
        self.traced = traced
        self.definitions: list[Definition] = []
        self.conditions: list[str] = []
        self.requires: list[Requirement] = []
        self.assumptions: list[str] = []
        self.scatters: list[Any] = []  # what is put in place, for operators.indexing.distinct to look at in the end
        self._taken: set[str] = set(names)
        self._sizes: set[str] = set(sizes)
        self._reserved: set[str] = set(reserved)
        self._variables: dict[str, str] = {}  # what the user's code calls it, by name
        self.begin("", "", "z")

    # -- one operator ----------------------------------------------------------
    def begin(self, operator: str, rule: str, gives: str, known: KnownResults = NOTHING_KNOWN) -> None:
        """Start an operator: what ``give`` and ``refuse`` refer to; its indices are named afresh."""
        self.operator, self.rule, self.gives, self.place = operator, rule, gives, known.place
        self.out_dims, self.out_kinds, self.hints = known.dims, known.kinds, tuple(known.hints)
        self._indices: list[Index] = []

    def refuse(self, reason: str, instead: str = "") -> NoReturn:
        """Refuse this form of the operator."""
        raise UnsupportedOperation(self.operator, reason, self.place, instead)

    def condition(self, text: str) -> None:
        """State what must hold of sizes or arguments (``N >= 2``)."""
        if text not in self.conditions:
            self.conditions.append(text)

    def require(self, left: PolyLike, relation: str, right: PolyLike) -> None:
        """State what must hold of sizes, where they do not decide it: generated code refuses others."""
        needs = simplest(Requirement(as_poly(left), relation, as_poly(right)))
        if (needs.left - needs.right).constant is None and needs not in self.requires:
            self.requires.append(needs)
            self.condition(str(needs))

    def holds(self, left: PolyLike, relation: str, right: PolyLike) -> bool:
        """Whether it holds of sizes at all sizes that were traced; False where none were."""
        needs = Requirement(as_poly(left), relation, as_poly(right))
        try:
            return bool(self.traced) and all(needs.holds(a) for a in self.traced)
        except (KeyError, ZeroDivisionError):
            return False

    def room(self, length: Poly, need: PolyLike) -> None:
        """Require that ``length`` is at least ``need``, unless it surely is."""
        if not surely_within(as_poly(need), length):
            self.require(length, ">=", need)

    def assume(self, text: str) -> None:
        """State what is assumed of the data (no ties)."""
        if text not in self.assumptions:
            self.assumptions.append(text)

    def dims(self, computed: Sequence[Poly], k: int = 0) -> tuple[Poly, ...]:
        """The dimensions of result ``k``: those that are known from outside, else those computed here."""
        if self.out_dims is not None and k < len(self.out_dims):
            known = self.out_dims[k]
            if len(known) == len(computed):
                for mine, theirs in zip(computed, known):
                    if mine is not theirs:  # spelled as it is known; that it is the same is required where it is not plain
                        self.require(mine, "==", theirs)
                return tuple(known)
        return tuple(computed)

    def kind(self, computed: str, k: int = 0) -> str:
        """The kind of result ``k``."""
        return self.out_kinds[k] if self.out_kinds is not None and k < len(self.out_kinds) else computed

    # -- names -------------------------------------------------------------------
    def unique(self, hint: str) -> str:
        """An identifier like ``hint`` that is not taken; it is taken from now on."""
        base = re.sub(r"\W", "_", hint, flags=re.ASCII).strip("_") or "z"
        if base[0].isdigit():
            base = f"z_{base}"
        name, k = base, 0
        taken = self._taken | self._sizes | _RESERVED
        if hint not in self.hints:
            taken = taken | self._reserved | {i.name for i in self._indices}
        while name in taken or keyword.iskeyword(name) or name in functions():
            k += 1
            name = f"{base}_{k}"
        self._taken.add(name)
        if hint in self.hints:
            self._variables[name] = hint
        return name

    def indices(self, dims: Sequence[Poly], hints: Sequence[str] | None = None) -> tuple[Index, ...]:
        """Indices over ``dims`` with readable names, distinct from all others of the operator at hand.

        >>> from derivcheck.notation.integers.polynomials import as_poly, size
        >>> Builder(sizes=["N", "T", "d"]).indices((size("N"), size("T"), size("T"), size("d"), as_poly(3)))
        (n, t, s, e, i)
        """
        found = []
        for axis, d in enumerate(dims):
            names = {i.name for i in self._indices}
            first = hints[axis] if hints is not None else ""
            for letter in _letters(d, first):
                if (
                    letter not in names
                    and letter not in self._sizes
                    and letter not in self._taken
                    and letter not in self._reserved
                    and letter not in d.sizes()
                ):
                    break
            else:
                k = 1
                while f"i{k}" in names | self._sizes | self._taken:
                    k += 1
                letter = f"i{k}"
            index = Index(letter, d)
            self._indices.append(index)
            found.append(index)
        return tuple(found)

    def index(self, length: Poly, hint: str = "") -> Index:
        """One index over ``length``."""
        return self.indices((length,), (hint,))[0]

    # -- definitions ---------------------------------------------------------------
    def define(
        self,
        hint: str,
        indices: Sequence[Index],
        term: Term,
        *,
        stop: bool = False,
        kind: str = "float",
        spelling: Spelling | None = None,
    ) -> Value:
        """Add ``hint[indices] := term`` under a free name."""
        return self.put(self.unique(hint), indices, term, stop=stop, kind=kind, spelling=spelling)

    def put(
        self,
        name: str,
        indices: Sequence[Index],
        term: Term,
        *,
        stop: bool = True,
        kind: str = "float",
        spelling: Spelling | None = None,
    ) -> Value:
        """Define a name that :meth:`unique` gave before; no gradient flows through it where ``stop`` is not taken back.

        Definitions may refer to each other, and to themselves at earlier positions.  What is made of positions alone melts into
        its uses.
        """
        halted = stop or kind != "float"
        variable = self._variables.get(name, "")
        if kind == "int":
            whole = as_integer(term)
            term = term if whole is None else size_of(whole)
        self.definitions.append(
            Definition(name, tuple(indices), term, halted, kind, self.rule, self.place, spelling, variable=variable)
        )
        dims = tuple(i.size for i in indices)
        melts = not term.names or kind == "int" and isinstance(term, SizeOf) or kind == "bool" and _of_positions(term)
        return Value(name, dims, kind, (tuple(indices), term) if melts else None)

    def named(self, k: int = 0) -> str:
        """The name for result ``k``: the user's own where there is one."""
        return (self.hints[k] if k < len(self.hints) else None) or self.gives

    def hinted(self, k: int = 0) -> bool:
        """Whether the user's code names result ``k``."""
        return k < len(self.hints) and self.hints[k] is not None

    def recur(self, hint: str, indices: Sequence[Index], term: Callable[[Value], Term], kind: str = "float") -> Value:
        """Add a definition that refers to itself at earlier positions: ``term`` is given the Value to be defined."""
        name = self.unique(hint)
        return self.put(name, indices, term(Value(name, tuple(i.size for i in indices), kind)), stop=False, kind=kind)

    def give(
        self,
        indices: Sequence[Index],
        term: Term,
        k: int = 0,
        *,
        kind: str = "float",
        stop: bool = False,
        spelling: Spelling | None = None,
    ) -> Value:
        """Define result ``k`` of the operator, under the user's own name for it where there is one."""
        indices, term = self._known(indices, term, k)
        return self.define(self.named(k), indices, term, stop=stop, kind=self.kind(kind, k), spelling=spelling)

    def _known(self, indices: Sequence[Index], term: Term, k: int) -> tuple[Sequence[Index], Term]:
        """The same over indices whose sizes are spelled as they are known from outside (``H`` for a quotient that is H)."""
        dims = self.dims([i.size for i in indices], k)
        moved = [i if i.size is d else Index(i.name, d, i.serial) for i, d in zip(indices, dims)]
        moves = {i: i_poly(j) for i, j in zip(indices, moved) if i is not j}
        return moved, substitute(term, moves) if moves else term

    def held(self, hint: str, value: Value) -> Value:
        """The same values with no gradient through them (``detach``)."""
        if value.kind != "float" or value.closed is not None and not value.closed[1].names:
            return value
        own = self.indices(value.dims)
        self._indices = [i for i in self._indices if i not in own]
        return self.define(hint, own, value[own], stop=True)

    def spell(self, template: str, *values: Value) -> Spelling | None:
        """How torch computes it directly from tensors; None where one of them melted into its uses."""
        return None if any(v.closed is not None for v in values) else Spelling(template, tuple(v.name for v in values))

    def torch(self, template: str, *operands: Any) -> Spelling | None:
        """torch's own call of floating-point tensors and numbers; None where an operand is of another kind."""
        given: list[str] = []
        for v in operands:
            if isinstance(v, Value):
                given.append("{}" if v.kind == "float" else "")
            elif isinstance(v, (int, float, Fraction)) and not isinstance(v, bool):
                given.append(repr(v) if isinstance(v, (int, float)) else repr(float(v)))
            else:
                given.append("")
        values = [v for v in operands if isinstance(v, Value)]
        if "" in given or not values:
            return None
        return self.spell(template.format(*given), *values)

    # -- arithmetic ------------------------------------------------------------------
    def scaled(self, factor: Any, term: Term) -> Term:
        """A term times a scalar argument, such as ``alpha``."""
        return term if factor == 1 else mul(self.number(factor), term)

    def number(self, value: Any) -> Term:
        """A scalar argument as a term."""
        if isinstance(value, Term):
            return value
        if isinstance(value, Value):
            if any(d.constant != 1 for d in value.dims):
                self.refuse(f"a tensor of rank {value.rank} stands where a number is expected")
            return value[(0,) * value.rank]
        if isinstance(value, (Poly, Atom)):
            return size_of(value)
        if isinstance(value, float) and not math.isfinite(value):
            if math.isnan(value):
                self.refuse("a constant is NaN")
            return func("inf") if value > 0 else neg(func("inf"))
        if isinstance(value, complex):
            self.refuse("complex numbers have no row")
        return number(value)

    def elements(self, *operands: Any, dims: Sequence[Poly] | None = None) -> tuple[tuple[Index, ...], tuple[Term, ...]]:
        """Indices of the broadcast result, and each operand's element there; numbers stay numbers."""
        shape = self.dims(broadcast_dims(*(o.dims for o in operands if isinstance(o, Value)))) if dims is None else tuple(dims)
        at = self.indices(shape)
        return at, tuple(o[spread(o.dims, at)] if isinstance(o, Value) else self.number(o) for o in operands)

    def elementwise(
        self,
        f: Callable[..., Term],
        *operands: Any,
        kind: str | None = None,
        stop: bool = False,
        spelling: Spelling | None = None,
    ) -> Value:
        """The result of a scalar function of broadcast operands."""
        at, terms = self.elements(*operands)
        return self.give(at, f(*terms), kind=kind or promoted(*operands), stop=stop, spelling=spelling)


_FAVOURITES: Mapping[str, str] = {"in": "i", "out": "o", "T": "ts", "S": "s", "L": "tl"}


def _of_positions(term: Term) -> bool:
    """A condition on positions and integer entries alone, or an element of a boolean tensor."""
    return isinstance(term, Bracket) and (
        isinstance(term.operand, Poly) or term.relation == "!=" and isinstance(term.operand, Ref)
    )


def _letters(length: Poly, first: str) -> Iterable[str]:
    """Names for an index over ``length``, best first: its own hint, the size's letter, then its neighbours."""
    if first:
        yield first
    atom = length.atom
    names = sorted(length.sizes())
    if atom is None and len(names) != 1:
        yield from "ijkpqrsuvmabcefgt"
        return
    name = str(atom) if atom is not None else names[0]
    yield from _FAVOURITES.get(name, "")
    letter = name[0].lower()
    if letter.isalpha() and letter.isascii():
        yield letter
        yield from {"n": "mpq", "i": "jk", "o": "pq", "t": "srq"}.get(letter, "")
        for k in range(1, 26):
            yield chr((ord(letter) - 97 + k) % 26 + 97)
    yield from "ijkpqrsuvmabcefgt"
