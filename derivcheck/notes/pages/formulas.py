"""The formulas of a gradient as they stand on a page, and the chain rule in order, as data."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.derivation.sweep import bar_names
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Term
from derivcheck.notes.abridged.abridge import Shown, shown
from derivcheck.notes.abridged.parts import Portion
from derivcheck.notes.symbols.symbols import Symbols, symbols
from derivcheck.notes.writing.ink import Latex, Unicode
from derivcheck.notes.writing.steps import Formula, chain, first_number, gradient_definitions, short_form, without_upstream
from derivcheck.notes.writing.writer import TermWriter


def gradient_formula(d: Definition, w: TermWriter, page: Shown, part: Portion | None = None) -> Formula:
    """A gradient: in ``operators`` the chain rule first; the formula; what it is with the gradients in it put in.

    ``part``: the elements that it is written for; default all.
    """
    part = part or Portion(tuple(map(as_poly, d.indices)), {})
    whole = without_upstream(d.term, w.symbols)
    one = part.of(whole)
    rights: list[tuple[str, ...]] = []
    rule = chain(d, w, page.forward, page.adjoint) if page.detail == "operators" else ()
    own = tuple(w.addends(one))
    if rule and rule != own:
        rights.append(rule)
    rights.append(own)
    put_in = further(d, whole, page, w.symbols)
    if put_in is not None:
        text = tuple(w.addends(part.of(put_in)))
        if sum(map(len, text)) < 150 and text != own:
            rights.append(text)
    return Formula(w.place(d.name, part.at), tuple(rights), where=w.where(part.told))


def further(d: Definition, one: Term, page: Shown, table: Symbols) -> Term | None:
    """What stands after a gradient's formula, or None: its closed form, in ``operators`` with the gradient before it put in."""
    if page.detail == "operators":
        return short_form(one, d, page.adjoint, table)
    return page.further(d)


@dataclass(frozen=True)
class Step:
    """One step of the chain rule.

    Attributes:
        name: the forward's name that the gradient is taken in (``weight``).
        defines: the adjoint's definition (``weight_bar``).
        rule: what it is derived from, in words (``chain rule through y``).
        latex: the step in LaTeX, ``∂L/∂W = chain rule = formula``.
        text: the step in Unicode.
        definition: the definition itself.
    """

    name: str
    defines: str
    rule: str
    latex: str
    text: str
    definition: Definition


def steps(forward: Program, adjoint: Program) -> tuple[Step, ...]:
    """The steps from the output back to the inputs.

    Args:
        forward: a Program.
        adjoint: its gradient.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := x[n]^2; L := sum(n: y[n]*w[n])")
    >>> for s in steps(f, adjoint(f)):
    ...     print(s.text)
    ∂L/∂y[n] = w[n]
    ∂L/∂x[n] = ∂L/∂y[n] · ∂y[n]/∂x[n] = 2 · ∂L/∂y[n] · x[n] = 2 · w[n] · x[n]
    ∂L/∂w[n] = y[n]
    """
    page = shown(forward, adjoint, "operators")
    table = symbols(page.forward, page.adjoint)
    first = first_number(page.forward, page.adjoint)
    lines, bars = {d.name: d for d in page.gradients}, bar_names(page.forward)
    of = {bar: name for name, bar in bar_names(forward).items()}
    between = iter(d for d in page.gradients if d.name not in table.adjoint_of)  # the lines of a Cholesky factor's adjoint
    out = []
    for d in gradient_definitions(forward, adjoint):
        name = of.get(d.name, d.name)
        line = lines.get(bars[page.called.get(name, name)]) if d.name in of else next(between)
        if line is None:  # the upstream gradient alone, which is written into what reads it
            continue
        tex, plain = (gradient_formula(line, w, page) for w in (Latex(table, first), Unicode(table, first)))
        through = list(
            dict.fromkeys(
                p.through for p in line.paths if p.through and not (table.scalar and p.through in page.forward.outputs)
            )
        )
        via = ", ".join(table[t].unicode() for t in through)
        rule = f"chain rule through {via}" if through else "derivative of the output" if d.paths else "no path reaches it"
        rule = rule if d.name in of else "adjoint of a Cholesky factor"
        out.append(Step(name, d.name, rule, tex.line(), plain.line(), d))
    return tuple(out)
