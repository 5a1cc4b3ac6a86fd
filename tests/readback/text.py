"""Index text, as a Program prints it."""

from __future__ import annotations

from dataclasses import replace

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.notation.integers.polynomials import size
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.text import program_text
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.writing.steps import Formula
from tests.readback.corpus import Source
from tests.readback.line import Line, differences


class TextPage:
    """The printed definitions of a derivation."""

    style = ink = "text"

    def __init__(self, source: Source) -> None:
        """All that the lines may name."""
        self.sizes, self.pairs = dict(source.sizes), source.values
        forward, back = source.forward, source.back
        definitions = (*forward.definitions, *(d for d in back.definitions if d.name not in forward.names))
        whole = Program(back.arguments, definitions, tuple(d.name for d in definitions))
        self.known = [*back.arguments, *(Input(d.name, d.dims, d.kind) for d in definitions)]
        self.known.append(Input("every_size", tuple(size(s) for s in self.sizes)))
        self.declared = program_text(self.known, (), ()).removesuffix("output ")
        self.printed = [x for x in str(whole).splitlines() if ":=" in x]

    @property
    def lines(self) -> list[Line]:
        """The definitions."""
        return [Line(Formula(*_halves(x)), self) for x in self.printed]

    def wrong(self, text: str, note: str = "") -> list[str]:
        """Whether a line is not the definition that it says it is."""
        left, _, right = text.partition(" = ")
        name, bracket, rest = left.partition("[")
        body = right.partition("  (")[0]  # no mark
        read = parse_program(f"{self.declared}\nread_back{bracket}{rest} := {body}\noutput read_back")
        read = replace(read, arguments=tuple(a for a in read.arguments if a.name in read.definitions[-1].term.names))
        found = evaluate(read, {a.name: self.pairs[a.name] for a in read.arguments}, self.sizes, Bound())
        return differences(text, self.pairs[name.strip()], found["read_back"])


def _halves(line: str) -> tuple[str, tuple[tuple[str, ...], ...]]:
    left, _, right = line.partition(" := ")
    return left, ((right,),)
