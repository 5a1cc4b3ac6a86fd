"""One gradient explained: sentences for a student, and a picture of the forward with the ways of the chain rule in colour."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from derivcheck.errors import InputError, perhaps
from derivcheck.files import Outputs
from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.program import Program
from derivcheck.notes.abridged.abridge import Shown, step_by_step
from derivcheck.notes.explained.sentences import NO_BREAK, Sentence, Teller
from derivcheck.notes.explained.ways import MOST, Steps, chains, edges_after, steps_on
from derivcheck.notes.explained.words import WORDS
from derivcheck.notes.pages.html import mathml
from derivcheck.notes.pages.unicode import formula_lines
from derivcheck.notes.symbols.symbols import Symbols, symbols
from derivcheck.notes.writing.ink import Latex, Unicode
from derivcheck.notes.writing.steps import first_number
from derivcheck.notes.writing.writer import TermWriter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from derivcheck.notes.explained.picture import DrawnForward

WIDTH = 80
LOSS = "the loss"  # what comes after what is shown
ARROW = r" \rightarrow "


@dataclass(frozen=True)
class Explanation:
    """Why the gradient in one input is what it is: ``str()`` tells it, :meth:`figure` draws it, a notebook shows both.

    Attributes:
        name: the input.
        lang: ``en`` or ``zh``.
    """

    name: str
    lang: str
    page: Shown

    @cached_property
    def _table(self) -> Symbols:
        return symbols(self.page.forward, self.page.adjoint)

    def _writer(self, ink: type[TermWriter]) -> TermWriter:
        return ink(self._table, first_number(self.page.forward, self.page.adjoint))

    def _story(self, ink: type[TermWriter]) -> list[Sentence]:
        return Teller(self._writer(ink), self._table, self.page, WORDS[self.lang]).story(self.name)

    @cached_property
    def _on(self) -> Steps:
        return steps_on(self.page.adjoint, self._table)

    @cached_property
    def _chains(self) -> tuple[tuple[str, ...], ...]:
        return tuple(chains(self._on, self.name))

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The ways from the input to the output, each a tuple of names of ``d.program``, the shortest first; at most six."""
        known = {shown: name for name, shown in self.page.called.items()}
        return tuple(tuple(known.get(n, n) for n in c) for c in self._chains[:MOST])

    def __str__(self) -> str:
        lines: list[str] = []
        for s in self._story(Unicode):
            lines += _wrapped(s.text)
            for f in s.formulas:
                lines += formula_lines(f, WIDTH, 4)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The picture and the sentences, for a notebook."""
        from derivcheck.notes.explained.picture import draw, image  # it loads matplotlib

        svg = image(draw(self._graph()), "svg").decode()
        parts = [Markup('<div class="derivcheck-explained">'), Markup(svg[svg.index("<svg") :])]
        for s in self._story(Latex):
            parts.append(Markup("<p>") + _drawn(s.text) + Markup("</p>"))
            parts += [Markup("<p>&emsp;{}</p>").format(Markup(mathml(f.line(), tall=True))) for f in s.formulas]
        return str(Markup("\n").join([*parts, Markup("</div>")]))

    def figure(self) -> Figure:
        """The forward as a matplotlib Figure, the ways to the input in colour."""
        from derivcheck.notes.explained.picture import draw  # it loads matplotlib

        return draw(self._graph())

    def save(self, path: str | Path) -> None:
        """Write the picture; the suffix says the format (PNG, SVG, PDF).

        A file that is there is replaced if it is a PNG or SVG that derivcheck wrote and nobody has changed.

        Raises:
            InputError: the file is somebody else's, or cannot be written.
        """
        from derivcheck.notes.explained.picture import file_content  # it loads matplotlib

        outputs = Outputs([(Path(path), "path")], force=None)
        outputs.ask()
        outputs.write({Path(path): file_content(self.figure(), Path(path))})

    def _graph(self) -> DrawnForward:
        """What the picture shows."""
        from derivcheck.notes.explained.picture import DrawnForward  # it loads matplotlib

        p, w, table = self.page.forward, self._writer(Latex), self._table
        own = {d.name: tuple(map(i_poly, d.indices)) for d in p.definitions}
        bars = {of: bar for bar, of in table.adjoint_of.items()}
        read = [n for n in p.inputs if any(n in d.term.names for d in p.definitions)]
        labels = {n: w.drawn(table[n]) for n in read}
        gradient = self.page.adjoint.definition(bars[self.name])
        labels[self.name] = w.place(self.name, tuple(map(i_poly, gradient.indices)))
        labels |= {d.name: w.place(d.name, own[d.name]) for d in p.definitions}
        edges = [(n, d.name) for d in p.definitions for n in labels if n in d.term.names and n != d.name]
        unseen = frozenset[str]()
        if not table.scalar:
            labels[LOSS], unseen = w.drawn(table.loss), frozenset({LOSS})
            edges += [(o, LOSS) for o in dict.fromkeys(p.outputs) if o in labels]
        return DrawnForward(labels, tuple(edges), tuple(self._ways(labels)), self.name, unseen)

    def _ways(self, labels: Mapping[str, str]) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
        """Each chain in TeX with its steps; where there are many, all that begin with one step together."""
        beyond = (LOSS,) if LOSS in labels else ()
        last = labels[LOSS] if beyond else labels[self.page.forward.outputs[0]]
        if len(self._chains) <= MOST:
            for c in self._chains:
                whole = (*c, *beyond)
                yield ARROW.join(labels[n] for n in whole), frozenset(zip(whole, whole[1:]))
            return
        for u in self._on[self.name]:
            after = edges_after(self._on, u) | {(self.name, u)}
            ends = {(o, x) for o in self.page.forward.outputs for x in beyond if any(b == o for _, b in after)}
            yield ARROW.join((labels[self.name], labels[u], r"\ldots", last)), after | ends


def explained(forward: Program, name: str, gradients: tuple[str, ...], lang: str = "en") -> Explanation:
    """The gradient in ``name`` explained.

    Raises:
        InputError: another language than ``en`` or ``zh``, or nothing that the gradient is taken in.
    """
    if lang not in WORDS:
        raise InputError(f"lang is {lang!r}; expected 'en' or 'zh'")
    if name not in gradients:
        raise InputError(
            f"there is no gradient in {name!r}; gradients are {', '.join(gradients) or 'none'}{perhaps(name, gradients)}"
        )
    return Explanation(name, lang, step_by_step(forward, name))


def _wrapped(text: str) -> list[str]:
    """Lines that break in no formula."""
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines] or [""]


def _drawn(text: str) -> Markup:
    """A sentence with its formulas between dollars drawn."""
    return Markup("").join(Markup(mathml(p)) if k % 2 else escape(p) for k, p in enumerate(text.split("$")))
