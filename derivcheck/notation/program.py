"""The Program: an ordered list of definitions ``name[i, j] := term`` over named dimensions.

A traced forward is a Program, its gradient is a Program, a backward written by hand is a Program.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from derivcheck.errors import InputError
from derivcheck.notation.sizes import Extreme, Index, Poly, as_poly, nonnegative, surely_within
from derivcheck.notation.substitution import rename
from derivcheck.notation.terms import Term

_RELATIONS = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A tensor that a Program reads.

    Attributes:
        dims: its sizes, one per dimension.
        kind: ``float``, ``int`` or ``bool``; only ``float`` inputs have gradients.
        below: for an ``int`` input used as a position, the size that its entries stay below, or None.
        role: ``argument``, ``parameter``, ``buffer``, ``constant`` or ``upstream`` (a grad_output).
    """

    name: str
    dims: tuple[Poly, ...]
    kind: str = "float"
    below: Poly | None = None
    role: str = "argument"


@dataclass(frozen=True)
class Spelling:
    """How torch itself computes a definition: a template with ``{}`` per name and ``{s:EXPR}``-free text.

    >>> Spelling("torch.softmax({}, dim=-1)", ("S",)).text()
    'torch.softmax(S, dim=-1)'
    """

    template: str
    names: tuple[str, ...]

    def text(self, names: Mapping[str, str] | None = None) -> str:
        """The torch expression, with tensors renamed where ``names`` says so."""
        return self.template.format(*(n if names is None else names.get(n, n) for n in self.names))


@dataclass(frozen=True)
class Definition:
    """``name[indices] := term``.

    Attributes:
        stop: no gradient flows through it (``detach``, integer and boolean results, witnesses).
        kind: ``float``, ``int`` or ``bool``.
        rule: the operator or rule that it comes from, for the reader (``linear``, ``chain rule``).
        place: ``file.py:line`` in the user's code, or None.
        spelling: how torch computes it directly, where that is better than what is generated from the term.
        paths: for an adjoint, its contributions, one per path of the chain rule; ``term`` is their sum, tidied.
    """

    name: str
    indices: tuple[Index, ...]
    term: Term
    stop: bool = False
    kind: str = "float"
    rule: str = ""
    place: str | None = None
    spelling: Spelling | None = None
    paths: tuple[Path, ...] = ()

    @property
    def dims(self) -> tuple[Poly, ...]:
        """The sizes of its dimensions."""
        return tuple(i.size for i in self.indices)

    @property
    def recurrent(self) -> bool:
        """Whether it refers to itself (a scan)."""
        return self.name in self.term.names


@dataclass(frozen=True)
class Path:
    """One path of the chain rule: what flows from the adjoint of ``through`` into this one."""

    through: str
    term: Term


@dataclass(frozen=True)
class Requirement:
    """``left relation right``: what must hold of the sizes for a Program to mean what it was derived from.

    >>> from derivcheck.notation.sizes import as_poly, size
    >>> needs = Requirement(size("N"), ">=", as_poly(3))
    >>> str(needs), needs.holds({"N": 2})
    ('N >= 3', False)
    """

    left: Poly
    relation: str
    right: Poly

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it holds at these sizes."""
        return bool(_RELATIONS[self.relation](self.left.at(sizes), self.right.at(sizes)))

    @property
    def always(self) -> bool:
        """Whether it surely holds where every size is at least 1."""
        return self.at_every_size(1)

    def at_every_size(self, least: int) -> bool:
        """Whether it surely holds where every size is at least ``least``."""
        gap = {">": self.left - self.right - 1, ">=": self.left - self.right, "<": self.right - self.left - 1}
        gap |= {"<=": self.right - self.left, "!=": self.left - self.right - 1, "==": as_poly(-1)}
        within = self.relation == ">=" and surely_within(self.right, self.left, least)
        return (
            within
            or self.relation == "<="
            and surely_within(self.left, self.right, least)
            or nonnegative(gap[self.relation], least)
        )

    def implied(self, others: Iterable[Requirement]) -> bool:
        """Whether ``left >= right`` surely holds where one of the others does.

        >>> from derivcheck.notation.sizes import as_poly, size
        >>> Requirement(size("N"), ">=", as_poly(1)).implied([Requirement(size("N"), ">=", as_poly(2))])
        True
        """
        gap = self.left - self.right
        return self.relation == ">=" and any(r.relation == ">=" and nonnegative(gap - r.left + r.right, 0) for r in others)

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"


_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def simplest(needs: Requirement) -> Requirement:
    """``min(a, b) == a`` as ``a <= b``; a number on the right.

    >>> from derivcheck.notation.sizes import as_poly, extreme, size
    >>> print(simplest(Requirement(extreme("min", size("N"), 4), "==", as_poly(4))))
    N >= 4
    >>> print(simplest(Requirement(-size("M"), ">", -size("N"))))
    M < N
    """
    for one, other in ((needs.left, needs.right), (needs.right, needs.left)):
        atom = one.atom
        if needs.relation == "==" and isinstance(atom, Extreme) and len(atom.args) == 2 and other in atom.args:
            rest = atom.args[1] if atom.args[0] is other else atom.args[0]
            return simplest(Requirement(rest, ">=" if atom.kind == "min" else "<=", other))
    if needs.right.constant == 0 and any(c > 0 for _, c in needs.left.terms):
        taken = Poly((m, -c) for m, c in needs.left.terms if c < 0)
        needs = Requirement(needs.left + taken, needs.relation, taken)
    if all(c < 0 for p in (needs.left, needs.right) for _, c in p.terms):
        needs = Requirement(-needs.left, _TURNED[needs.relation], -needs.right)
    if needs.left.constant is not None and needs.right.constant is None:
        return Requirement(needs.right, _TURNED[needs.relation], needs.left)
    return needs


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
        found: dict[str, None] = {}
        for a in self.arguments:
            for p in a.dims:
                for atom in p.atoms():
                    found.update(dict.fromkeys(sorted(_size_names(p))) if atom else {})
        for d in self.definitions:
            for p in d.dims:
                found.update(dict.fromkeys(sorted(_size_names(p))))
        return tuple(found)

    def admits(self, sizes: Mapping[str, int]) -> bool:
        """Whether these sizes fulfil what is required of them."""
        return all(r.holds(sizes) for r in self.requires)

    def needed(self, outputs: Iterable[str]) -> Program:
        """The same Program with only the definitions that these outputs need."""
        outputs = tuple(outputs)
        wanted = set(outputs)
        kept: set[str] = set()
        while True:  # recurrences may need each other, and what stands behind them
            more = [d for d in reversed(self.definitions) if d.name in wanted and d.name not in kept]
            if not more:
                return replace(self, definitions=tuple(d for d in self.definitions if d.name in kept), outputs=outputs)
            for d in more:
                kept.add(d.name)
                wanted |= d.term.names.union(*(p.names for p in d.dims))

    def rename(self, names: Mapping[str, str]) -> Program:
        """The same Program with tensors renamed."""

        def new(n: str) -> str:
            return names.get(n, n)

        definitions = tuple(
            replace(
                d,
                name=new(d.name),
                term=rename(d.term, names),
                spelling=d.spelling and Spelling(d.spelling.template, tuple(new(n) for n in d.spelling.names)),
                paths=tuple(Path(new(p.through), rename(p.term, names)) for p in d.paths),
            )
            for d in self.definitions
        )
        arguments = tuple(replace(a, name=new(a.name)) for a in self.arguments)
        outputs, dropped = tuple(new(o) for o in self.outputs), tuple(rename(t, names) for t in self.dropped)
        return replace(self, arguments=arguments, definitions=definitions, outputs=outputs, dropped=dropped)

    def __str__(self) -> str:
        from derivcheck.notation.text import program_text

        return program_text(self)


def _size_names(poly: Poly) -> frozenset[str]:
    return poly.sizes()
