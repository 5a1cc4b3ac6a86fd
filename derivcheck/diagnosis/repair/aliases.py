"""Variables that are an input under another name: ``g = grad_output`` computes nothing, and may be the line all the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from derivcheck.diagnosis.repair.pieces import CodePiece
from derivcheck.diagnosis.repair.spots import RepairSpot, Spots
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition, Site
from derivcheck.notation.terms.build import ref


def aliases(spots: Spots, pieces: Sequence[CodePiece], names: Sequence[str]) -> Iterator[RepairSpot]:
    """The assignments of an input, read nowhere else, that alone could make these gradients right."""
    system, program = spots.system(names), spots.program
    if system is None or program is None:
        return
    for piece in pieces:
        for function in (n for n in ast.walk(piece.tree) if isinstance(n, ast.FunctionDef)):
            read = [n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
            for n in ast.walk(function):
                if not isinstance(n, ast.Assign) or not isinstance(n.value, ast.Name):
                    continue
                name = n.value.id
                if name not in program.inputs or program.kind(name) != "float" or sum(x.id == name for x in read) != 1:
                    continue
                if (solution := system.solve([name])) is not None:
                    indices = tuple(Index(f"i{k}", p) for k, p in enumerate(program.dims(name)))
                    v = n.value
                    span = (v.lineno, v.end_lineno, v.col_offset, v.end_col_offset)
                    site = Site(piece.file, n.lineno, function.name, span=span)
                    yield RepairSpot(Definition(name, indices, ref(name, *indices)), site, solution, spots.value(name))
