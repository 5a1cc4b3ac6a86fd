"""A derivation for the terminal, in readable Unicode mathematics of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from derivcheck.notation.integers.polynomials import Index, Size
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notes.abridged.abridge import shown
from derivcheck.notes.pages.document import blocks
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import symbols
from derivcheck.notes.writing.ink import Unicode
from derivcheck.notes.writing.steps import (
    Formula,
    Passage,
    at_sizes,
    first_number,
    without_upstream,
)

WIDTH = 80


def derivation_text(forward: Program, adjoint: Program, style: Style | None = None, width: int = WIDTH) -> str:
    """Forward, gradients step by step, and what the derivation rests on.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("L := sum(n: (w*x[n] - y[n])^2)/N", {"w": "", "x": "N", "y": "N"})
    >>> print(derivation_text(f, adjoint(f, ["w"])))
    Forward
      L = 1/N · Σ_n (w · x[n] - y[n])²
    <BLANKLINE>
    Gradients by the chain rule, for every size N
      ∂L/∂w = 2/N · Σ_n (w · x[n] - y[n]) · x[n]
    """
    style = style or Style()
    words = style.words
    ahead, back = blocks(Unicode, forward, adjoint, style)
    page = style.shown(forward, adjoint)
    called = symbols(page.forward, page.adjoint).sizes
    sizes = [called.get(s, s) for s in forward.sizes()]
    every = words["every"].format(sizes=f"({', '.join(sizes)})" if len(sizes) > 1 else sizes[0]) if sizes else ""
    title = back.title + ((", " if style.lang == "en" else "，") + every if every else "")
    parts = [_block(ahead, width), _block(Passage(title, back.formulas, back.sentences), width)]
    for heading, lines in ((words["conditions"], forward.conditions), (words["certificate"], forward.notes)):
        if lines:
            parts.append("\n".join([heading, *(w for line in lines for w in _wrapped(line, width, 2, 4))]))
    return "\n\n".join(parts)


def shape_text(forward: Program, adjoint: Program, sizes: Mapping[str, int], width: int = WIDTH) -> str:
    """What the formulas become at given sizes: numbers for sizes, dimensions and sums of one element dropped.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n,o] := sum(i: x[n,i]*W[o,i])", {"x": "N in", "W": "out in"})
    >>> print(shape_text(f, adjoint(f, ["W"]), {"N": 100, "in": 1, "out": 1}))
    At (N, in, out) = (100, 1, 1)
      y[n] = x[n] · W
      ∂L/∂W = Σ_n ȳ[n] · x[n]
    """
    words = Style().words
    page = shown(forward, adjoint)
    forward, adjoint = page.forward, page.adjoint
    table = symbols(forward, adjoint)
    dims = {a.name: a.dims for a in adjoint.arguments} | {d.name: d.dims for d in (*forward.definitions, *adjoint.definitions)}
    first = first_number(forward, adjoint, numbered=True)
    w = Unicode(table, first, sizes, dims=dims)
    values = {Size(n): v for n, v in sizes.items()}
    formulas: list[Formula] = []
    for d in (*forward.definitions, *page.gradients):
        one = without_upstream(d.term, table)
        put_in = page.further(d) if d.name in table.adjoint_of else None
        ones = {
            Index(i.name, i.size.substitute(values), i.serial): 0 for i in d.indices if i.size.substitute(values).constant == 1
        }
        lines: list[tuple[str, ...]] = []
        for t in (one, put_in):
            if t is not None:
                pieces = tuple(w.addends(substitute(at_sizes(t, dict(sizes)), ones)))
                if pieces not in lines:
                    lines.append(pieces)
        formulas.append(Formula(w.head(d), tuple(lines[-1:])))
    names = [n for n in forward.sizes() if n in sizes]
    both = [", ".join(table.sizes.get(n, n) for n in names), ", ".join(str(sizes[n]) for n in names)]
    where = " = ".join(f"({b})" if len(names) > 1 else b for b in both)
    title = words["shape"].format(sizes=where)
    return _block(Passage(title[0].upper() + title[1:], tuple(formulas), () if first else (words["zero"],)), width)


def _block(b: Passage, width: int) -> str:
    lines = [b.title]
    for f in b.formulas:
        lines += formula_lines(f, width)
    for s in b.sentences:
        lines += _wrapped(s, width, 2, 2)
    return "\n".join(lines)


def formula_lines(f: Formula, width: int = WIDTH, indent: int = 2) -> list[str]:
    """A formula as lines: further right sides below the first ``=`` where they do not fit beside it."""
    lead = " " * indent + f.left
    under = indent + min(len(f.left), 20)
    whole = [" ".join(r) for r in f.rights]
    note = f.where + (f"  ({f.note})" if f.note else "")
    one = f"{lead} = " + " = ".join(whole) + note
    if len(one) <= width:
        return [one]
    lines: list[str] = []
    for k, text in enumerate(whole):
        start = f"{lead} = " if k == 0 else " " * under + " = "
        tail = note if k == len(whole) - 1 else ""
        lines += _broken(start, text + tail, width, under + 3)
    return lines


def _broken(start: str, text: str, width: int, hang: int) -> list[str]:
    """Break before a sign, where the fewest brackets are open; never between square brackets, where positions stand."""
    lines: list[str] = []
    line = start + text
    first = len(start)
    while len(line) > width:
        best = _best_break(line, first, width)
        if best <= first:
            break
        lines.append(line[:best])
        line = " " * hang + line[best + 1 :]
        first = hang
    return [*lines, line]


def _best_break(line: str, first: int, width: int) -> int:
    """Where to break a line: before a sign that fits, else at a space that does, else before the first sign after; or 0."""
    best, lowest, depth, square, space = 0, 99, 0, 0, 0
    for at, c in enumerate(line):
        square += (c in "[{") - (c in "]}")
        depth += (c == "(") - (c == ")")
        if at <= first or c != " " or square:
            continue
        sign = line[at + 1 : at + 3] in ("+ ", "- ", "· ")
        if at > width:
            if best or space:
                break
            if sign:
                return at
            continue
        space = at if line[at - 1] not in "+-·=" else space
        rank = 2 * depth + (line[at + 1] == "·")
        if sign and (rank <= lowest or best < width // 3 and rank <= lowest + 1):
            best, lowest = at, rank
    return best or space


def _wrapped(text: str, width: int, indent: int, hang: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=" " * indent, subsequent_indent=" " * hang) or [""]
