"""The Program: an ordered list of definitions ``name[i, j] := term`` over named dimensions.

A traced forward is a Program, its gradient is a Program, a backward written by hand is a Program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Definition, Input, Path
from derivcheck.notation.program.recurrence import groups
from derivcheck.notation.program.requirements import Requirement
from derivcheck.notation.program.text import program_text
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import rename

ASSUMES = "assumes "
NOT_TWICE = "no position is written to twice"  # a scatter that does not accumulate
NO_TIES = "no ties where the order decides"  # a sort


@dataclass(frozen=True)
class Program:
    """Definitions in order, with the inputs that they read and the outputs that they give.

    Attributes:
        arguments: the inputs with their dimensions.
        outputs: names of definitions (or inputs) that are returned.
        conditions: what must hold of the sizes or values, in words (``N >= 2 at user.py:12``).
        notes: how the Program was found, for the certificate (traces, assumptions).
        requires: those of the conditions that are relations between sizes; generated code refuses other sizes.
        dropped: terms in the inputs that the text or code has, and no definition: it is defined only where they are.
        only: what must be so of its floating-point inputs, ``("dtype", "torch.float64")``, where the code chose by it.
        scalar: the upstream gradient is one number (each output has no dimensions).
    """

    arguments: tuple[Input, ...]
    definitions: tuple[Definition, ...]
    outputs: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    structure: str = field(default="auto")  # "auto": one output alone, else a tuple; "tuple"
    requires: tuple[Requirement, ...] = ()
    dropped: tuple[Term, ...] = ()
    only: tuple[tuple[str, str], ...] = ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the Program assumes of the data, from its notes."""
        return tuple(n.removeprefix(ASSUMES) for n in self.notes if n.startswith(ASSUMES))

    @cached_property
    def groups(self) -> list[list[Definition]]:
        """The definitions in order, those that depend on each other together."""
        return groups(self.definitions)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in order."""
        return tuple(a.name for a in self.arguments)

    @property
    def scalar(self) -> bool:
        """Whether it has a single output without dimensions."""
        return len(self.outputs) == 1 and not self.dims(self.outputs[0])

    def argument(self, name: str) -> Input:
        """The input of that name."""
        for a in self.arguments:
            if a.name == name:
                return a
        raise InputError(f"there is no input {name!r}; the inputs are {', '.join(self.inputs)}")

    def definition(self, name: str) -> Definition:
        """The definition of that name."""
        for d in self.definitions:
            if d.name == name:
                return d
        raise InputError(f"nothing defines {name!r}; defined are {', '.join(d.name for d in self.definitions)}")

    def dims(self, name: str) -> tuple[Poly, ...]:
        """The sizes of an input or a definition."""
        for d in self.definitions:
            if d.name == name:
                return d.dims
        return self.argument(name).dims

    def kind(self, name: str) -> str:
        """``float``, ``int`` or ``bool`` of an input or a definition."""
        for d in self.definitions:
            if d.name == name:
                return d.kind
        return self.argument(name).kind

    @property
    def names(self) -> frozenset[str]:
        """All names of tensors in it."""
        return frozenset(self.inputs) | {d.name for d in self.definitions}

    def sizes(self) -> tuple[str, ...]:
        """The names of the symbolic sizes, in the order in which the inputs show them."""
        dims = [p for named in (self.arguments, self.definitions) for one in named for p in one.dims]
        return tuple(dict.fromkeys(s for p in dims for s in sorted(p.sizes())))

    def admits(self, sizes: Mapping[str, int]) -> bool:
        """Whether these sizes fulfil what is required of them."""
        return all(r.holds(sizes) for r in self.requires)

    def needed(self, outputs: Iterable[str]) -> Program:
        """The same Program with only the definitions that these outputs need.

        A call that reads one of the others, for its shape, is none any more: there the term is computed.
        """
        outputs = tuple(outputs)
        wanted = set(outputs)
        kept: set[str] = set()
        while True:  # recurrences may need each other, and what stands behind them
            more = [d for d in reversed(self.definitions) if d.name in wanted and d.name not in kept]
            if not more:
                left = kept.union(self.inputs)
                own = (d for d in self.definitions if d.name in kept)
                return replace(self, definitions=tuple(d.calling(left) for d in own), outputs=outputs)
            for d in more:
                kept.add(d.name)
                wanted |= d.term.names.union(*(p.names for p in d.dims))

    def rename(self, names: Mapping[str, str]) -> Program:
        """The same Program with tensors renamed."""
        names = {old: to for old, to in names.items() if old != to}
        if not names:
            return self

        def new(n: str) -> str:
            return names.get(n, n)

        definitions = tuple(
            replace(
                d,
                name=new(d.name),
                term=rename(d.term, names),
                spelling=d.spelling and d.spelling.renamed(names),
                paths=tuple(Path(new(p.through), rename(p.term, names)) for p in d.paths),
            )
            for d in self.definitions
        )
        arguments = tuple(replace(a, name=new(a.name)) for a in self.arguments)
        outputs, dropped = tuple(new(o) for o in self.outputs), tuple(rename(t, names) for t in self.dropped)
        return replace(self, arguments=arguments, definitions=definitions, outputs=outputs, dropped=dropped)

    def __str__(self) -> str:
        return program_text(self.arguments, self.definitions, self.outputs)
