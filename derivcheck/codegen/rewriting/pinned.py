"""Sizes that hold at one number alone (``P == 64``) as that number: then blocks of that size are seen to fill a dimension."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from derivcheck.notation.integers.polynomials import Index, Poly, Size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.substitute import substitute


def pinned_sizes(program: Program) -> dict[Size, Poly]:
    """The sizes that the Program's requirements set equal to a number."""
    found: dict[Size, Poly] = {}
    for r in program.requires:
        for one, other in ((r.left, r.right), (r.right, r.left)):
            if r.relation == "==" and isinstance(one.atom, Size) and one is Poly(((((one.atom, 1),), 1),)):
                if other.constant is not None:
                    found[one.atom] = other
    return found


def pinned(forward: Program, adjoint: Program | None) -> tuple[Program, Program | None]:
    """A Program and its gradient with these sizes as numbers, which the inputs' shapes say from now on."""
    values = pinned_sizes(forward)
    if not values:
        return forward, adjoint
    for a, b, found in _RECENT:
        if a is forward and b is adjoint:
            return found
    at_sizes = _AtSizes(values)
    new = at_sizes.program(forward), at_sizes.program(adjoint) if adjoint is not None else None
    _RECENT.append((forward, adjoint, new))
    return new


_RECENT: deque[tuple[Program, Program | None, tuple[Program, Program | None]]] = deque(maxlen=4)


class _AtSizes:
    """Programs with numbers for sizes; definitions and terms that several have are made once."""

    def __init__(self, values: dict[Size, Poly]) -> None:
        self.values = values
        self.definitions: dict[int, Definition] = {}
        self.terms: dict[Any, Any] = {}

    def program(self, program: Program) -> Program:
        """A Program of these."""
        values, names = self.values, {s.name for s in self.values}
        rest = (r for r in program.requires if not (r.left.sizes() | r.right.sizes()) <= names)
        return replace(
            program,
            arguments=tuple(map(self._argument, program.arguments)),
            definitions=tuple(map(self._definition, program.definitions)),
            requires=tuple(replace(r, left=r.left.substitute(values), right=r.right.substitute(values)) for r in rest),
        )

    def _argument(self, a: Input) -> Input:
        dims = tuple(p.substitute(self.values) for p in a.dims)
        return replace(a, dims=dims, below=None if a.below is None else a.below.substitute(self.values))

    def _definition(self, d: Definition) -> Definition:
        """One definition; the gradient's Program has the forward's."""
        found = self.definitions.get(id(d))
        if found is None:
            indices = tuple(Index(i.name, i.size.substitute(self.values), i.serial) for i in d.indices)
            spelling = d.spelling
            if spelling is not None and spelling.of is not None:
                spelling = replace(spelling, of=spelling.of.substitute(self.values))
            term = substitute(d.term, self.values, self.terms)
            found = self.definitions[id(d)] = replace(d, indices=indices, term=term, spelling=spelling)
        return found
