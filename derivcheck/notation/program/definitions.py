"""Inputs and definitions: what a Program is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.terms.nodes import Term


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

    Attributes:
        part: which of the call's results it is, where the call has several; ``then``: what is done with it, as text.
        of: the integer expression of the definition that the call returns, where it is not the definition itself.

    >>> Spelling("torch.softmax({}, dim=-1)", ("S",)).text()
    'torch.softmax(S, dim=-1)'
    """

    template: str
    names: tuple[str, ...]
    part: int | None = None
    of: Poly | None = None
    then: str = ""

    def renamed(self, names: Mapping[str, str]) -> Spelling:
        """The same call of tensors that are called otherwise."""
        of = None if self.of is None else self.of.rename(names)
        return Spelling(self.template, tuple(names.get(n, n) for n in self.names), self.part, of, self.then)

    def text(self, names: Mapping[str, str] | None = None) -> str:
        """The torch expression, with tensors renamed where ``names`` says so."""
        return self.template.format(*(n if names is None else names.get(n, n) for n in self.names))


@dataclass(frozen=True)
class Site:
    """Where in somebody's code a definition is computed.

    Attributes:
        file, line: the file's path, and the line.
        function: the function whose body it stands in.
        call: equal for what stands in the same call of that function.
        span: first and last line, first and last column of the expression, where they are known.
    """

    file: str
    line: int
    function: str
    call: int = 0
    span: tuple[int | None, int | None, int | None, int | None] | None = None


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
        sites: of traced code, where it stands and what called that, innermost first; no part of what it means.
        variable: the variable that the user's code assigns it to, as written there; "" where it assigns none.
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
    sites: tuple[Site, ...] = field(default=(), compare=False, repr=False)
    variable: str = field(default="", compare=False, repr=False)

    @property
    def dims(self) -> tuple[Poly, ...]:
        """The sizes of its dimensions."""
        return tuple(i.size for i in self.indices)

    @property
    def recurrent(self) -> bool:
        """Whether it refers to itself (a scan)."""
        return self.name in self.term.names

    def calling(self, names: set[str]) -> Definition:
        """The same where only these tensors are left: without a call that reads another, be it for its shape alone."""
        return self if self.spelling is None or names.issuperset(self.spelling.names) else replace(self, spelling=None)


@dataclass(frozen=True)
class Path:
    """One path of the chain rule: what flows from the adjoint of ``through`` into this one."""

    through: str
    term: Term
