"""A loss as a sum over the rows of a batch: what some of the rows add to it, once the counts of the whole batch are known.

The rows of a batch lie in several processes, and each computes on its own.  Where the loss is ``Σ_n f(row n) / count``, the
parts of the gradient add, if each divides by the count of the *whole* batch.  So the loss of a Program is rewritten: each sum
over rows that carries no gradient (how many targets are not ignored), and the number of rows, becomes an input, the same
everywhere.  What is left is linear in sums over rows, or it is refused: a batch norm, a contrast between rows, a root
of a mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from derivcheck.errors import InputError
from derivcheck.notation.integers.atoms import Entry, exact_quotient
from derivcheck.notation.integers.polynomials import Atom, Index, Poly, Size, as_poly, i_poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, mul, number, power, ref, size_of
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import rebuild, reduction, substitute, transform
from derivcheck.notation.terms.walk import factors, polys

ADVICE = "train in one process"
SUM, OTHER = "", None  # of RowSum.share
Shares = frozenset[str | None]


@dataclass(frozen=True)
class RowSum:
    """A loss that adds over rows.

    Attributes:
        loss: the Program of a part's addend: the loss's own inputs, and ``rows``, ``once`` and the names of ``counts``.
        counts: the Program of a part's own counts, which are added up before; None where the number of rows is all.
        rows: the input that is the number of rows of the whole batch.
        once: the input that is 1 for one of the parts and 0 for the others: what does not depend on rows is added once.
        share: the count that the loss is divided by, ``rows`` or a count's name; ``""`` where it is a sum; None where there
            are several: then no weights make the parts' own losses the whole batch's.
    """

    loss: Program
    counts: Program | None
    rows: str
    once: str
    share: str | None


def row_sum(program: Program, batch: Iterable[str], wrt: Iterable[str]) -> RowSum:
    """The loss of ``program`` as a sum over the first dimension of the inputs in ``batch``.

    Args:
        program: its output is one number.
        wrt: the inputs that a gradient is taken in.

    Raises:
        InputError: it is no such sum; the operator, and its place in the user's code, are named.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("L := sum(n, i: (w[i]*x[n,i])^2)/(N*in)", dims={"w": "in", "x": "N in"})
    >>> print(row_sum(p, ["x"], ["w"]).loss.definition("L").term)
    sum(n, i: w[i]^2*x[n, i]^2)/(rows*in)
    """
    return _RowSums(program, tuple(batch), frozenset(wrt)).result()


@dataclass(frozen=True)
class _RowAxis:
    """Where the rows of a tensor are: dimension ``at`` has ``each`` positions a row, one after the other or, ``apart``, one in
    each block of as many as there are rows."""

    at: int
    each: Poly
    apart: bool = False


class _RowSums:
    """The work of :func:`row_sum`: each definition is a row's own, a sum over rows, or the same in every part."""

    def __init__(self, program: Program, batch: tuple[str, ...], wrt: frozenset[str]) -> None:
        """Find the size that counts rows, and what a gradient flows through; raises where there is no such size."""
        self.program = program
        lengths = {program.dims(n)[0] for n in batch}
        length = next(iter(lengths))
        if len(lengths) != 1 or not isinstance(length.atom, Size):
            told = ", ".join(f"{n} has {program.dims(n)[0]}" for n in batch)
            raise InputError(
                f"several processes share the rows of a batch, and the code does not fit every number ({told}); {ADVICE}"
            )
        self.size = length.atom
        self.axes: dict[str, _RowAxis] = {n: _RowAxis(0, as_poly(1)) for n in batch}
        self.summed: dict[str, Shares] = {}  # the counts that a sum's addends are divided by
        self.moving = self._moving(wrt)
        self.counts: dict[str, Definition] = {}
        self.taken = set(program.names)
        self.rows, self.once = self._name("rows"), self._name("once")
        self.added_once = False
        self.scaled: set[str] = set()  # definitions that read a count
        self.here: Definition = program.definitions[0]

    def result(self) -> RowSum:
        """The rewritten loss."""
        self._sizes_are_not_asked()
        definitions: list[Definition] = []
        for group in self.program.groups:
            self._axes_of(group)
            definitions += [found for d in group if (found := self._definition(d)) is not None]
        output = self.program.outputs[0]
        if output not in self.summed:
            raise self._refused("it does not depend on the rows, or not by a sum over them")
        more = [Input(n, (), role="constant") for n in (self.rows, self.once)]
        more += [Input(n, d.dims, role="constant") for n, d in self.counts.items()]
        arguments = (*self.program.arguments, *more)
        loss = replace(self.program, arguments=arguments, definitions=tuple(definitions), dropped=(), conditions=())
        counts = None
        if self.counts:
            own = [d for d in self.program.definitions if d.name in self.axes or d.name in self._read_by_counts()]
            counts = replace(
                self.program,
                definitions=(*own, *self.counts.values()),
                outputs=tuple(self.counts),
                structure="tuple",
                dropped=(),
                conditions=(),
            ).needed(self.counts)
        shares = self.summed[output]
        share = next(iter(shares)) if len(shares) == 1 else OTHER
        if share == SUM and self.added_once:
            share = OTHER
        return RowSum(loss.needed((output,)), counts, self.rows, self.once, share)

    # -- what a definition is --------------------------------------------------------
    def _moving(self, wrt: frozenset[str]) -> frozenset[str]:
        """What a gradient flows through."""
        found, before = set(wrt), -1
        while len(found) != before:
            before = len(found)
            found |= {d.name for d in self.program.definitions if not d.stop and not d.term.names.isdisjoint(found)}
        return frozenset(found)

    def _sizes_are_not_asked(self) -> None:
        """Code that chose by the number of rows chose by the whole batch's."""
        for r in self.program.requires:
            if not r.always and self.size.name in (r.left - r.right).sizes():
                raise self._refused(f"the code chooses by the number of rows ({r})")

    def _axes_of(self, group: list[Definition]) -> None:
        """Which of the definitions have rows, and where: those with a dimension of whole rows."""
        for d in group:
            self.here = d
            found = [(k, each) for k, i in enumerate(d.indices) if (each := self._each(i.size)) is not None]
            if len(found) > 1:
                raise self._refused("every row meets every other")
            if found:
                self.axes[d.name] = _RowAxis(*found[0])

    def _each(self, length: Poly) -> Poly | None:
        """How many positions a row has in a dimension of this length; None: it does not run over rows."""
        if not any(a.contains(self.size) for a in length.atoms()):
            return None
        each = exact_quotient(length, as_poly(self.size))
        if each is None:
            raise self._refused(f"a dimension of {length} is no whole number of positions for each row")
        return each

    def _definition(self, d: Definition) -> Definition | None:
        """The definition as a part computes it; None where it has become a count."""
        self.here = d
        if d.name in self.axes:
            term = self._rows_of(d)
        elif not self._reads_rows(d.term):
            term = self._shared(d.term)
        elif d.name in self.moving:
            term, self.summed[d.name] = self._linear(d.term)
        elif isinstance(d.term, Over) and self._over_rows(d.term):
            self._own_sum(d.term, counted=True)
            self.counts[d.name] = d
            return None
        else:
            term = self._shared(d.term)
        if not term.names.isdisjoint({self.rows, *self.counts} | self.scaled):
            self.scaled.add(d.name)
        return d if term is d.term else replace(d, term=term, spelling=None)

    def _rows_of(self, d: Definition) -> Term:
        """The term of a definition that has rows; where they are is settled."""
        axis = self.axes[d.name]
        try:
            return self._row(d.term, d.indices[axis.at], axis)
        except InputError:
            if axis.each is as_poly(1):
                raise
            self.axes[d.name] = replace(axis, apart=True)
            try:
                return self._row(d.term, d.indices[axis.at], self.axes[d.name])
            except InputError:
                pass
            raise

    def _reads_rows(self, term: Term) -> bool:
        return not term.names.isdisjoint(self.axes.keys() | self.summed.keys())

    def _over_rows(self, term: Over) -> bool:
        return term.kind == "sum" and any(self._each(i.size) is not None for i in term.indices)

    # -- a row's own -----------------------------------------------------------------
    def _row(self, term: Term, index: Index, axis: _RowAxis) -> Term:
        """A row's own term, with the number of rows read from its input; refused where it reads another row than ``index``
        says, or asks which row it is."""
        term = transform(term, self._counted)
        n, seen = index, term
        if axis.each is not as_poly(1):
            n, s = (
                Index(f"{index.name}_row", as_poly(self.size), index.serial),
                Index(f"{index.name}_at", axis.each, index.serial),
            )
            place = i_poly(s) * as_poly(self.size) + i_poly(n) if axis.apart else i_poly(n) * axis.each + i_poly(s)
            seen = substitute(term, {index: place})
        self._walk(seen, n)
        return term

    def _counted(self, term: Term) -> Term:
        return self._number_of_rows(term.value) if isinstance(term, SizeOf) and self._asks(term.value) else term

    def _walk(self, term: Term, n: Index) -> None:
        """Look at every read, position and range of a row's term."""
        if isinstance(term, Ref):
            if term.name in self.summed:
                raise self._refused(f"a row reads {term.name}, which is made of all rows, as a batch norm's mean is")
            self._read(term.name, term.at, n)
        else:
            for p in polys(term):
                self._position(p, n)
        if isinstance(term, Over):
            for i in term.indices:
                self._position(i.size, n)
        for child in term.children:
            self._walk(child, n)

    def _read(self, name: str, at: tuple[Poly, ...], n: Index) -> None:
        """An element is read: of the same row, or of a tensor without rows."""
        axis = self.axes.get(name)
        for k, p in enumerate(at):
            if axis is not None and k == axis.at:
                block = as_poly(self.size) if axis.apart else axis.each
                row, rest = (p % block, p // block) if axis.apart else (p // block, p % block)
                if row is not i_poly(n):
                    raise self._refused(f"a row reads {name} of another row")
                p = rest
            self._position(p, n)

    def _position(self, p: Poly, n: Index) -> None:
        """An integer expression that may depend on a row's integers, and not on which row it is."""
        for a in p.atoms():
            if a is n:
                raise self._refused("it asks which row it is")
            if a is self.size:
                raise self._refused("it asks how many rows there are")
            if isinstance(a, Entry):
                self._read(a.name, a.at, n)
            elif not isinstance(a, Index):
                for part in a.parts:
                    self._position(part, n)

    # -- sums over rows --------------------------------------------------------------
    def _own_sum(self, term: Over, counted: bool = False) -> Term:
        """A sum whose addends are rows' own; one that is counted has to know no count."""
        over = [i for i in term.indices if self._each(i.size) is not None]
        if len(over) != 1:
            raise self._refused("every row meets every other")
        each = self._each(over[0].size)
        assert each is not None
        try:
            body = self._row(term.body, over[0], _RowAxis(0, each))
        except InputError:
            if each is as_poly(1):
                raise
            body = self._row(term.body, over[0], _RowAxis(0, each, apart=True))
        for i in term.indices:
            if i is not over[0]:
                self._position(i.size, over[0])
        if counted and not body.names.isdisjoint({self.rows, *self.counts} | self.scaled):
            raise self._refused("a row reads what is made of all rows, as a batch norm does")
        return reduction("sum", term.indices, body)

    def _linear(self, term: Term) -> tuple[Term, Shares]:
        """The part's addend, ``term`` with what is the same everywhere made inputs; and the counts that divide it."""
        if not self._reads_rows(term):
            self.added_once = True
            return mul(ref(self.once), self._shared(term)), frozenset()
        if isinstance(term, Add):
            parts = [self._linear(a) for a in term.args]
            return add(*(t for t, _ in parts)), frozenset().union(*(s for _, s in parts))
        if isinstance(term, Ref) and term.name in self.summed:
            return term, self.summed[term.name]
        if isinstance(term, Over) and term.kind == "sum" and not term.names.isdisjoint(self.moving):
            if self._over_rows(term):
                found = self._own_sum(term)
                return found, frozenset({self._share(factors(found))})
            inner, shares = self._linear(term.body)
            return reduction("sum", term.indices, inner), shares
        own = [f for f in factors(term) if self._reads_rows(f) and not f.names.isdisjoint(self.moving)]
        if not own:
            self.added_once = True
            return mul(ref(self.once), self._shared(term)), frozenset()
        if not isinstance(term, Mul) or len(own) > 1:
            raise self._refused("it is no sum over rows, divided by a count")
        others = [self._shared(f) for f in term.args if f is not own[0]]
        inner, shares = self._linear(own[0])
        count = self._share(others)
        return mul(*others, inner), frozenset(s if count == SUM else count if s == SUM else OTHER for s in shares)

    def _share(self, others: Iterable[Term]) -> str | None:
        """The count that stands below the line."""
        known = {self.rows, *self.counts} | self.scaled
        found = [f for o in others for f in factors(o) if not f.names.isdisjoint(known)]
        if not found:
            return SUM
        below = found[0].base if len(found) == 1 and isinstance(found[0], Pow) and found[0].exponent is number(-1) else None
        return below.name if isinstance(below, Ref) and not below.at and below.name not in self.scaled else OTHER

    # -- the same everywhere ---------------------------------------------------------
    def _shared(self, term: Term) -> Term:
        """``term`` with sums over rows, and the number of rows, read from inputs."""
        if isinstance(term, Over) and self._reads_rows(term) and self._over_rows(term):
            self._own_sum(term, counted=True)
            return self._count(term)
        if isinstance(term, SizeOf) and self._asks(term.value):
            return self._number_of_rows(term.value)
        if isinstance(term, Ref) and (term.name in self.axes or term.name in self.summed):
            raise self._refused("it is no sum over rows, divided by a count")
        if any(self._asks(p) for p in polys(term)) or (
            isinstance(term, Over) and any(self._asks(i.size) for i in term.indices)
        ):
            raise self._refused("it asks how many rows there are")
        kids = term.children
        if not kids or isinstance(term, Bracket) and isinstance(term.operand, Poly):
            return term
        new = tuple(map(self._shared, kids))
        return term if new == kids else rebuild(term, new)

    def _asks(self, p: Poly) -> bool:
        """Whether the number of rows stands in it (the range of an index in it is no question)."""

        def asks(a: Atom) -> bool:
            return a is self.size or (not isinstance(a, Index) and any(self._asks(q) for q in a.parts))

        return any(map(asks, p.atoms()))

    def _number_of_rows(self, p: Poly) -> Term:
        """``N*out`` as a number, the N being the whole batch's."""
        addends = []
        for m, c in p.terms:
            powers = dict(m)
            times = powers.pop(self.size, 0)
            rest = Poly(((tuple(powers.items()), c),))
            if self._asks(rest):
                raise self._refused("it asks how many rows there are")
            addends.append(mul(size_of(rest), power(ref(self.rows), number(times))))
        return add(*addends)

    def _count(self, term: Over) -> Term:
        """The input that stands for a sum over rows without gradient."""
        known = next((n for n, d in self.counts.items() if d.term is term), None)
        indices = tuple(sorted(term.free, key=lambda i: i.key))
        if known is None:
            known = self._name("count")
            self.counts[known] = Definition(known, indices, term, rule=self.here.rule, place=self.here.place)
        return ref(known, *indices)

    def _read_by_counts(self) -> frozenset[str]:
        """What counts read, and what that reads."""
        found: set[str] = set()
        waiting = [d.term for d in self.counts.values()]
        while waiting:
            names = waiting.pop().names - found
            found |= names
            waiting += [d.term for d in self.program.definitions if d.name in names]
        return frozenset(found)

    def _name(self, word: str) -> str:
        k = 1
        name = word
        while name in self.taken:
            k += 1
            name = f"{word}_{k}"
        self.taken.add(name)
        return name

    def _refused(self, why: str) -> InputError:
        d = self.here
        where = f"{d.rule or d.name} at {d.place}" if d.place else d.rule or d.name
        return InputError(f"several processes add gradients over rows, and {where} does not add: {why}; {ADVICE}")
