"""A small shape written out element by element, as a tutorial does: ``y_1 = w_{11} x_1 + w_{12} x_2 + b_1``.

Dimensions with small numbers for sizes are written out; others (the batch) stay an index.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from derivcheck.notation.integers.polynomials import Index, Size, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Over, Term
from derivcheck.notation.terms.substitute import substitute, transform
from derivcheck.notation.terms.walk import refs, subterms
from derivcheck.notes.abridged.abridge import Shown
from derivcheck.notes.pages.formulas import further
from derivcheck.notes.pages.style import Style
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.positions import SampleIndex
from derivcheck.notes.writing.steps import Formula, Passage, at_sizes, first_number, without_upstream
from derivcheck.notes.writing.writer import TermWriter

LARGEST = 6


def element_blocks(ink: type[TermWriter], table: Symbols, page: Shown, style: Style) -> list[Passage]:
    """Forward and gradients at a small shape; without ``sizes``, 2 for every size of the parameters."""
    forward, adjoint = page.forward, page.adjoint
    words, sizes = style.words, dict(style.sizes or default_sizes(forward))
    dims = {a.name: a.dims for a in adjoint.arguments} | {d.name: d.dims for d in (*forward.definitions, *adjoint.definitions)}
    first = first_number(forward, adjoint, numbered=True)
    sample = _sample(forward, adjoint, sizes)

    def writer(bare: bool) -> TermWriter:
        own = SampleIndex(sample, raised=not bare) if sample else None
        return ink(table, first, sizes, own, elements=True, dims=dims)

    plain, raised = writer(True), writer(False)
    ahead: list[Formula] = []
    per_sample = False
    for d in forward.definitions:
        w = plain if sample and _about_one_sample(d, sample) else raised
        per_sample = per_sample or w is plain
        for left, term in _elements(d, d.term, sizes, w):
            ahead.append(Formula(left, (tuple(w.addends(term)),), words["stop"] if d.stop else ""))
    back: list[Formula] = []
    for d in page.gradients:
        one = without_upstream(d.term, table)
        put_in = further(d, one, page, table)
        shown = list(_elements(d, one, sizes, raised))
        longer = list(_elements(d, put_in, sizes, raised)) if put_in is not None else []
        for k, (left, term) in enumerate(shown):
            rights = [tuple(raised.addends(term))]
            if longer:
                text = tuple(raised.addends(longer[k][1]))
                if sum(map(len, text)) < 200:
                    rights.append(text)
            back.append(Formula(left, tuple(rights)))
    where = ", ".join(f"{table.sizes.get(n, n)} = {v}" for n, v in sizes.items())
    said = []
    if per_sample and sample:
        said.append(words["sample"].format(index=plain.formula.format(raised.index(Index(sample, 1)))))
    said += table.of_upstream(words["upstream"], lambda name: plain.formula.format(plain.place(name, ())))
    if not first:
        said.append(words["zero"])
    at = f" ({words['shape'].format(sizes=where)})" if where else ""
    return [Passage(words["forward"] + at, tuple(ahead), tuple(said)), Passage(words["gradients"] + at, tuple(back))]


def default_sizes(forward: Program) -> dict[str, int]:
    """2 for each size of the parameters; without parameters, for each but the first."""
    names = [s for a in forward.arguments if a.role == "parameter" for p in a.dims for s in sorted(p.sizes())]
    return dict.fromkeys(names or forward.sizes()[1:] or forward.sizes(), 2)


def _small(i: Index) -> bool:
    c = i.size.constant
    return c is not None and c <= LARGEST


def _sample(forward: Program, adjoint: Program, sizes: dict[str, int]) -> str:
    """The one index that stays an index and leads every tensor that has it; "" where there is none."""
    values = {Size(n): v for n, v in sizes.items()}
    left: dict[str, None] = {}
    for p in (forward, adjoint):
        for d in p.definitions:
            for i in (*d.indices, *(i for t in subterms(d.term) if isinstance(t, Over) for i in t.indices)):
                c = i.size.substitute(values).constant
                if c is None or c > LARGEST:
                    left[i.name] = None
    if len(left) != 1:
        return ""
    name = next(iter(left))
    for p in (forward, adjoint):
        for d in p.definitions:
            if any(i.name == name for i in d.indices[1:]):
                return ""
            for r in refs(d.term):
                for q in r.at[1:] if r.at and r.at[0].index is not None and r.at[0].index.name == name else r.at:
                    if any(i.name == name for i in q.indices):
                        return ""
    return name


def _about_one_sample(d: Definition, sample: str) -> bool:
    return any(i.name == sample for i in d.indices) and not any(
        isinstance(t, Over) and any(i.name == sample for i in t.indices) for t in subterms(d.term)
    )


def _elements(d: Definition, term: Term, sizes: dict[str, int], w: TermWriter) -> Iterator[tuple[str, Term]]:
    """Each element of a definition: what it is called, and its term with small sums written out."""
    values = {Size(n): v for n, v in sizes.items()}
    indices = tuple(Index(i.name, i.size.substitute(values), i.serial) for i in d.indices)
    body = at_sizes(term, sizes)
    small = [i for i in indices if _small(i)]
    if len(list(itertools.product(*(range(i.size.constant or 1) for i in small)))) > 64:
        small = []
    for at in itertools.product(*(range(i.size.constant or 1) for i in small)):
        moves = dict(zip(small, at))
        places = tuple(i_poly(i).substitute(moves) for i in indices)
        yield w.place(d.name, places), _written_out(substitute(body, moves))


def _written_out(term: Term) -> Term:
    """Sums and products over few elements as sums and products."""

    def change(t: Term) -> Term:
        """A reduction over few elements, written out."""
        if not isinstance(t, Over) or t.kind not in ("sum", "prod"):
            return t
        few = [i for i in t.indices if _small(i)]
        count = 1
        for i in few:
            count *= i.size.constant or 1
        if not few or count > 16:
            return t
        rest = tuple(i for i in t.indices if i not in few)
        parts = [
            substitute(t.body, dict(zip(few, at))) for at in itertools.product(*(range(i.size.constant or 1) for i in few))
        ]
        inner = add(*parts) if t.kind == "sum" else mul(*parts)
        return Over(t.kind, rest, inner) if rest else inner

    return transform(term, change)
