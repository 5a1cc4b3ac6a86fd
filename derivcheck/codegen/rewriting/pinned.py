"""Sizes that hold at one number alone (``P == 64``) as that number: then blocks of that size are seen to fill a dimension."""

from __future__ import annotations

from dataclasses import replace

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


def at_sizes(program: Program, values: dict[Size, Poly]) -> Program:
    """The Program at these sizes, which its inputs' shapes say from now on."""
    if not values:
        return program

    def dims(given: tuple[Poly, ...]) -> tuple[Poly, ...]:
        return tuple(p.substitute(values) for p in given)

    def argument(a: Input) -> Input:
        return replace(a, dims=dims(a.dims), below=None if a.below is None else a.below.substitute(values))

    def definition(d: Definition) -> Definition:
        indices = tuple(Index(i.name, i.size.substitute(values), i.serial) for i in d.indices)
        spelling = d.spelling
        if spelling is not None and spelling.of is not None:
            spelling = replace(spelling, of=spelling.of.substitute(values))
        return replace(d, indices=indices, term=substitute(d.term, values), spelling=spelling)

    rest = tuple(r for r in program.requires if not (r.left.sizes() | r.right.sizes()) <= {s.name for s in values})
    return replace(
        program,
        arguments=tuple(map(argument, program.arguments)),
        definitions=tuple(map(definition, program.definitions)),
        requires=tuple(replace(r, left=r.left.substitute(values), right=r.right.substitute(values)) for r in rest),
    )
