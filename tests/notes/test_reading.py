"""What is printed is read back and evaluated: it means what the Program means, brackets above all."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from derivcheck.derivation.sweep import adjoint, apart
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.abridged.abridge import shown
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.elements import _sample
from derivcheck.notes.pages.html import to_html
from derivcheck.notes.pages.latex import formula_rows, to_latex
from derivcheck.notes.pages.markdown import to_markdown
from derivcheck.notes.pages.style import Style
from derivcheck.notes.pages.unicode import shape_text
from derivcheck.notes.symbols.mentioned import mentioned
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing import writer as writing
from derivcheck.notes.writing.ink import Latex, Unicode
from derivcheck.notes.writing.steps import Formula, first_number
from tests.codegen import random_programs
from tests.notes.programs import ALL
from tests.notes.reading import Names, Reader, numbers
from tests.proof.gallery import GALLERY

SEEDS = 5
SMALL = {"N": 2, "in": 2, "out": 3, "M": 3, "C": 2, "D": 3, "K": 3, "V": 6, "I": 3, "J": 3, "A": 2, "B": 3}


class Printed:
    """A derivation's printed formulas in one style and ink, with the numbers that its names stand for."""

    def __init__(
        self, forward: Program, back: Program, pen: type, style: str, inputs: dict[str, Any], sizes: dict[str, int]
    ) -> None:
        self.latex = pen is Latex
        whole = forward, back
        page = shown(forward, back)
        forward, back = page.forward, page.adjoint
        table = symbols(forward, back, style)
        self.w = pen(table)
        inputs = {a.name: np.reshape(inputs[a.name], [p.at(sizes) for p in a.dims]) for a in back.arguments}
        numbers = {**inputs, **evaluate(back, inputs, sizes)}
        numbers |= evaluate(forward, {k: inputs[k] for k in forward.inputs}, sizes)
        spelt = "latex" if self.latex else "unicode"
        named = {getattr(table[n], spelt)(): np.asarray(v) for n, v in numbers.items() if n not in table.adjoint_of}
        for bar, n in table.adjoint_of.items():
            named[f"∂{getattr(table[n], spelt)()}"] = np.asarray(numbers[bar])
        lengths = {self.w.size_name(table.sizes[s]): v for s, v in sizes.items() if s in table.sizes}
        first = first_number(forward, back, numbered=style == "scalar")
        sample = _sample(forward, back, sizes) if style == "scalar" else ""
        letter = self.w.index(Index(sample, 1)) if sample else ""
        self.names = Names(named, lengths, getattr(table.loss, spelt)(), first, style == "scalar", letter)
        given = {n: sizes[n] for n in (*whole[0].sizes(), *whole[1].sizes())} if style == "scalar" else None
        formulas = [f for b in blocks(pen, *whole, Style(style, sizes=given)) for f in b.formulas]
        definitions = [*forward.definitions, *page.gradients]
        own = [indices_of(d, page.further(d)) for d in definitions]
        every = [i for one in own for i in one]
        self.lines = [(f, self.bounds(own[k] if style == "index" else every, sizes)) for k, f in enumerate(formulas)]

    def bounds(self, indices: list[Index], sizes: dict[str, int]) -> dict[str, int] | None:
        """How far each printed letter runs; None where the letter does not tell (Unicode writes no ranges)."""
        found: dict[str, int] = {}
        for i in indices:
            if not i.size.indices:
                before = found.setdefault(self.w.index(i), i.size.at(sizes))
                if before != i.size.at(sizes) and not self.latex:
                    return None
        return found

    def wrong(self, r: random.Random) -> Iterator[str]:
        """Right sides that are not what stands on the left."""
        for f, bounds in self.lines:
            if bounds is None:
                continue
            letters = [i for i in bounds if i in f.left or i == self.names.sample]
            places = list(itertools.product(*(range(bounds[i]) for i in letters)))
            names = replace(self.names, sizes=self.names.sizes | {f"size of {i}": n for i, n in bounds.items()})
            for right in self.rights(f):
                for at in r.sample(places, min(3, len(places))):
                    here = dict(zip(letters, at))
                    left, value = (Reader(t, names, self.latex, here).whole() for t in (f.left, right))
                    if np.isfinite(left) and not np.isclose(left, value, rtol=1e-6, atol=1e-9):
                        yield f"{f.left} = {right} is {value} at {here}, meant {left}"

    def rights(self, f: Formula) -> Iterator[str]:
        """Right sides without derivatives of one element in another."""
        for pieces in f.rights:
            text = " ".join(pieces)
            partial = r"\\frac\{\\partial ((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}" if self.latex else r"∂(\S+?)/∂"
            if all(above == self.names.loss for above in re.findall(partial, text)):
                yield text


def indices_of(d: Definition, *further: Term | None) -> list[Index]:
    """The indices of a definition and what is printed after it, its own first."""
    terms = [d.term, *(t for t in further if t is not None)]
    return [*d.indices, *(i for one in terms for t in subterms(one) if isinstance(t, Over) for i in t.indices)]


def misprints(
    forward: Program, seed: int = 0, styles: tuple[str, ...] = ("index",), sizes: dict[str, int] = SMALL
) -> list[str]:
    """Lines of a derivation that do not mean what they should, in all inks."""
    forward = apart(forward, tuple(a.name for a in forward.arguments if a.kind == "float"))
    back = adjoint(forward)
    below = {s for a in forward.arguments if a.below is not None for s in a.below.sizes()}
    sizes = {s: sizes[s] for s in (*mentioned(forward, back).sizes, *below)}
    inputs = numbers(back, sizes, seed)
    if forward.scalar:
        inputs["grad_output"] = np.array(1.0)
    found = []
    for pen, style in itertools.product((Unicode, Latex), styles):
        if pen is Latex or style == "index":
            found += list(Printed(forward, back, pen, style, inputs, sizes).wrong(random.Random(seed)))
    return found


INTEGERS = "i;j;t[i];i//2;i % 2;(i + j) % 3;(i + 1)//2;2*i;3*j;N;K;1;2;0;i*j;N*j;max(i, j);c;i // 3 % 2;(2*i + j) // 3".split(
    ";"
)
REALS = "x[i];-x[i];x[i] - x[j];2*x[i] + 1;x[i]*x[j];s - x[j];-x[i] - x[j];x[i]^2 - 1/2;-s".split(";")
BRACKETED = {"x": "N", "s": "", "t": "int<K: N", "c": "int<K:"}
FORMS = (
    "y[i,j] := A*x[i] + B",
    "y[i] := sum(j: A*x[j]*B)",
    "y := sum(i, j: A*x[i])*2",
    "y[i,j] := (1 - A)*exp(x[j])*B",
    "y[i] := prod(j: A + x[j])",
)


def condition(r: random.Random) -> str:
    """A bracket over integers or reals."""
    relation = r.choice(["<", "<=", ">", ">=", "==", "!="])
    if r.random() < 0.25:
        return f"[{r.choice(REALS)} {relation} {r.choice(['0', '1', 's', '-1/2', 'x[j]'])}]"
    left, right = (
        " ".join(f"{r.choice('+-')} {r.choice(INTEGERS)}" for _ in range(r.choice([1, 1, 2, 3]))).removeprefix("+ ")
        for _ in "lr"
    )
    return f"[{left} {relation} {right}]"


def bracketed(seed: int) -> Program:
    """A Program of two brackets, one of them perhaps within a sum."""
    r = random.Random(seed)
    text = r.choice(FORMS).replace("A", condition(r)).replace("B", condition(r))
    return parse_program(f"{text}\nz[m] := t[m]*x[m]*s*c", BRACKETED)


@pytest.mark.parametrize("part", range(4))
def test_brackets_read_back(part: int) -> None:
    for seed in range(part * 8, part * 8 + 8):
        forward = bracketed(seed)
        assert not (wrong := misprints(forward, seed, ("index", "scalar"), SMALL)), f"{seed}: {wrong}\n{forward}"


def test_random_programs_read_back() -> None:
    read = 0
    for seed in range(SEEDS):
        forward = random_programs.program(seed, depth=2)
        try:
            wrong = misprints(forward, seed, sizes=SMALL)
        except UnsupportedOperation:  # a gradient through an extreme
            continue
        assert not wrong, f"{seed}: {wrong}\n{forward}"
        read += 1
    assert read > SEEDS / 2


def test_what_people_publish_reads_back() -> None:
    for e in GALLERY[::2]:
        forward = parse_program(e.forward, e.inputs)
        sizes = dict.fromkeys(mentioned(forward, forward).sizes, 2)
        assert not (wrong := misprints(forward, sizes=sizes)), wrong


@pytest.mark.parametrize(
    "name", ["kink", "scan", "gather", "two outputs", "names", "no loss", "linear", "perceptron", "layer norm"]
)
def test_notes_read_back(name: str) -> None:
    forward, _ = ALL[name]()
    assert not (wrong := misprints(forward, styles=("index", "scalar"), sizes=SMALL)), wrong
    assert not (wrong := misprints(forward, styles=("scalar",), sizes=SMALL | {"N": 8})), wrong  # N stays an index


def test_masks_element_by_element() -> None:
    text = "y[i] := sum(j: [j <= i]*x[j])/N + [i == t[i]]*x[i]; z[m] := t[m]*x[m]"
    forward = parse_program(text, {"x": "N", "t": "int<N: N"})
    assert not misprints(forward, styles=("index", "scalar"), sizes={"N": 4})
    few = shape_text(forward, adjoint(forward), {"N": 1})
    assert "Indices start at 0" in few


def test_a_printer_that_errs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "[i <= 0];[i <= 2];[3 - j <= i];[j < i];[i >= 1];[t[i] <= j];[c < 1];[x[i] <= s];[i % 2 >= 1]".split(";")
    programs = [parse_program(f"y[i] := sum(j: {b}*x[j]); z[m] := t[m]*x[m]*s*c", BRACKETED) for b in shown]
    right = writing.sides
    for wrong in (
        lambda p, r: (right(p, r)[0], r, right(p, r)[2]),  # the relation as it was, whatever side things are on
        lambda p, r: right(p, r)[::-1],  # the sides exchanged
        lambda p, r: (right(p, r)[0], {">=": ">", "<=": "<"}.get(right(p, r)[1], right(p, r)[1]), right(p, r)[2]),
        lambda p, r: (right(p, r)[0] + 1, *right(p, r)[1:]),
    ):
        monkeypatch.setattr(writing, "sides", wrong)
        assert any(misprints(f, sizes=SMALL) for f in programs)
    monkeypatch.undo()
    for table in (Unicode.relations, Latex.relations):
        monkeypatch.setitem(table, "<=", table[">="])  # type: ignore[arg-type]
        assert any(misprints(f, sizes=SMALL) for f in programs)
        monkeypatch.undo()


def conditions(text: str) -> list[tuple[str, ...]]:
    """The brackets of drawn text: the characters of each side, and the relation."""
    found = []
    for inside in re.findall(r"\[([^\[\]]*[≥≤≠=<>][^\[\]]*)\]", text):
        left, relation, right = re.split("([≥≤≠=<>])", inside, maxsplit=1)
        found.append(("".join(sorted(left)), relation, "".join(sorted(right))))
    return found


def drawn(latex: str) -> str:
    """The characters of LaTeX as they are drawn, as far as brackets go."""
    for old, new in ((r"\le ", "≤"), (r"\ge ", "≥"), (r"\neq", "≠"), (r"\bmod", "mod"), (r"\lfloor", "⌊"), (r"\rfloor", "⌋")):
        latex = latex.replace(old, new)
    return re.sub(r"\\(?!max|min)[a-z]+|[\\{}_^,&\s]", "", latex)


def test_every_format_has_the_same_brackets() -> None:
    count = 0
    for seed in range(12):
        forward = bracketed(seed)
        back = adjoint(forward)
        latex = [" \\\\ ".join(formula_rows(f)) for b in blocks(Latex, forward, back) for f in b.formulas]
        expected = [c for text in latex for c in conditions(drawn(text))]
        assert conditions(drawn(to_latex(forward, back))) == expected
        assert conditions(drawn(to_markdown(forward, back))) == expected
        page = re.findall(r"<math.*?</math>", to_html(forward, back), re.S)
        said = [
            re.sub(r"[\s,]", "", "".join(ElementTree.fromstring(m).itertext())).replace("\N{MINUS SIGN}", "-").replace("′", "'")
            for m in page
        ]
        assert [c for text in said for c in conditions(text)] == expected
        count += len(expected)
    assert count > 30
