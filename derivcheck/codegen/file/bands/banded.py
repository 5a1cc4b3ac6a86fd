"""The loop over bands: results are written into their places, sums are added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from derivcheck.codegen.file.bands.placed import PlacedWriter
from derivcheck.codegen.file.scope import Scope
from derivcheck.codegen.graph.lean import LeanWriter
from derivcheck.codegen.graph.nodes import FLOAT, Node
from derivcheck.codegen.graph.numbers import UNARY
from derivcheck.notation.integers.polynomials import Index, Poly

NUMBERS = 1 << 16  # of a tensor in a band, where a few are made in it: all of these stay in the cache
COLUMNS = 32  # at least in a band, where the next row lies far away
FEW = 2  # from so many made beside the results on; of one the band has twice as many numbers, of none four times
BANDS = 64  # at most, where they are added up one after the other: so many rounding errors


class Slice(NamedTuple):
    """``name``: a band of ``whole`` along the dimension ``at``."""

    name: str
    whole: Node
    at: int


class BandResult(NamedTuple):
    """A tensor of the shape ``dims`` that is put together along the dimension ``at``; without one, added up."""

    name: str
    dims: tuple[Poly, ...]
    at: int | None


class Target(NamedTuple):
    """A tensor that is there already; ``added``: the results are added to it."""

    variable: str
    added: bool


@dataclass
class Banded:
    """A loop.

    Attributes:
        length: how many rows the band at hand has; its size is that of all.
        items: what is computed in it, loops among them.
        slices: the bands that it reads.
        results: what it makes.
        read: what it reads from outside.
        rows: how many elements a row of the largest tensors has.
        numbers: how many elements a band of them has, known when it has been written.
    """

    length: Index
    items: Sequence[tuple[str, Node | Banded]]
    slices: tuple[Slice, ...]
    results: tuple[BandResult, ...]
    read: tuple[Node, ...]
    rows: tuple[Poly, ...]
    numbers: int = 0

    def nodes(self) -> list[Node]:
        """What it reads, as one operation."""
        return [Node("loop", self.read, (self.length,), (), FLOAT, frozenset())]

    def names(self) -> list[str]:
        """What it defines."""
        return [r.name for r in self.results]

    def _are_columns(self) -> bool:
        """Whether its bands are of columns: of too few of them the processor has little to do at a time."""
        return any(s.whole.rank > 1 and s.at == s.whole.rank - 1 for s in self.slices)

    def write(self, writer: LeanWriter, scope: Scope, targets: Mapping[str, Target] | None = None) -> None:
        """Write the loop; ``targets`` are results that have a place already."""
        known = dict(targets or {})
        for r in self.results:
            _prepare(r, writer, scope, known)
        spell, names = writer.spelling.numbers, scope.names
        size = spell.poly(self.length.size)
        step, start, rows = names.new("step"), names.new("start"), names.new("rows")
        scope.loops[self.length] = rows
        most = spell.use("max")
        numbers = dict.fromkeys(("1", *(spell.poly(p) for p in self.rows)))
        biggest = f"{most}({', '.join(numbers)})" if len(numbers) > 1 else "1"
        summed = any(r.at is None for r in self.results)
        least = f"-(-{spell.poly(self.length.size, UNARY)} // {BANDS}), " if summed else ""
        lines = [f"{rows} = {spell.use('min')}({step}, {size} - {start})"]
        for s in self.slices:
            whole = scope.variables[s.whole.params[0]]
            scope.variables[s.name] = names.new(f"{whole}_rows")
            lines.append(f"{scope.variables[s.name]} = {whole}.narrow({s.at}, {start}, {rows})")
        lines += self._body(writer, scope, known, f"{start}, {rows}")
        writer.line(f"{step} = {most}({least}{COLUMNS if self._are_columns() else 1}, {self.numbers} // {biggest})")
        writer.line(f"for {start} in {spell.use('range')}(0, {size}, {step}):")
        for line in lines:
            writer.line(f"    {line}")

    def _body(self, writer: LeanWriter, scope: Scope, known: Mapping[str, Target], span: str) -> list[str]:
        """What is computed for one band: the places of its results, their values, and what has not gone into its place."""
        inner = PlacedWriter(writer.spelling, scope.names)
        outer = dict(scope.variables)
        nodes = {name: item for name, item in self.items if isinstance(item, Node)}
        loops = [item for _, item in self.items if isinstance(item, Banded)]
        places: dict[str, Target] = {}
        for r in self.results:
            variable, added = known[r.name]
            if r.at is not None:
                whole, variable = variable, scope.names.new(f"{variable}_rows")
                inner.line(f"{variable} = {whole}.narrow({r.at}, {span})")
                if r.name in nodes and not added:
                    inner.place(nodes[r.name], variable)
                for k, loop in enumerate(loops):
                    for made in loop.results:
                        if made.name == r.name and made.at is not None and not added:
                            inner.place_of_loop(made.dims, variable, k)
            places[r.name] = Target(variable, added or r.at is None)
        for name in nodes:
            scope.variables[name] = scope.names.new(name)
        targets = {name: place for name, place in places.items() if name not in nodes}
        scope.variables.update((name, place.variable) for name, place in targets.items())  # a band of it is read here, too
        write(inner, self.items, scope, self.names(), targets)
        for name, (variable, added) in places.items():
            if name in nodes and not inner.placed(nodes[name], variable):
                inner.line(f"{variable}.{'add_' if added else 'copy_'}({scope.variables[name]})")
        for variable in inner.mine.values():
            inner.line(f"del {variable}")
        scope.variables.update(outer)
        self.numbers = min([NUMBERS << max(FEW - inner.allocated, 0), *(loop.numbers for loop in loops)])
        return inner.blocks[0]


def _prepare(r: BandResult, writer: LeanWriter, scope: Scope, known: dict[str, Target]) -> None:
    """The tensor that a result is written into, or added to: 0 at first."""
    target = known.get(r.name)
    if target is None:
        variable = scope.variables.get(r.name) or scope.names.new(r.name)
        scope.variables[r.name] = variable
        make, spelling = "empty" if r.at is not None else "zeros", writer.spelling
        shape = spelling.sizes(r.dims)
        writer.line(f"{variable} = torch.{make}({shape}, dtype={spelling.dtype}, device={spelling.device})")
        known[r.name] = Target(variable, False)
    elif r.at is None and not target.added:
        writer.line(f"{target.variable}.zero_()")


def write(
    writer: LeanWriter,
    items: Sequence[tuple[str, Node | Banded]],
    scope: Scope,
    kept: Sequence[str],
    targets: Mapping[str, Target],
) -> None:
    """Write nodes and loops with a writer of their own."""
    parts = [
        (name, scope.variables.get(name, ""), [item] if isinstance(item, Node) else item.nodes(), isinstance(item, Banded))
        for name, item in items
    ]
    writer.count([n for _, _, nodes, _ in parts for n in nodes])
    writer.plan(parts, kept)
    for name, item in items:
        if isinstance(item, Node):
            writer.named(name, scope.variables[name], item)
        else:
            writer.loop()
            item.write(writer, scope, targets)
