"""Formulas of a gradient: the chain rule, what comes of it, and its closed form."""

from __future__ import annotations

from dataclasses import dataclass

from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly, Size, fresh, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import ONE, add
from derivcheck.notation.terms.nodes import Bracket, Over, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import inline, substitute, transform
from derivcheck.notation.terms.walk import refs, subterms
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.writer import TermWriter


def gradient_definitions(forward: Program, adjoint: Program) -> list[Definition]:
    """The definitions of the adjoint that are not the forward's own."""
    return [d for d in adjoint.definitions if d.name not in forward.names]


@dataclass(frozen=True)
class Formula:
    """``left = right = right``: each right side in pieces that may stand on lines of their own.

    ``where`` says how far indices run, in signs; ``note`` what else is to be said, in words.
    """

    left: str
    rights: tuple[tuple[str, ...], ...]
    note: str = ""
    where: str = ""

    def line(self) -> str:
        """On one line."""
        return " = ".join([self.left, *(" ".join(r) for r in self.rights)]) + self.where


@dataclass(frozen=True)
class Passage:
    """A heading, formulas below it, and sentences after them."""

    title: str
    formulas: tuple[Formula, ...]
    sentences: tuple[str, ...] = ()


def without_upstream(term: Term, table: Symbols) -> Term:
    """A scalar output's upstream gradient is 1 and not written."""
    if not table.scalar:
        return term
    return transform(term, lambda t: ONE if isinstance(t, Ref) and t.name in table.upstream_of else t)


def chain(d: Definition, w: TermWriter, forward: Program, adjoint: Program) -> tuple[str, ...]:
    """The chain rule before anything is worked out, ``Σ ∂L/∂y · ∂y/∂x``; empty where there is none to show."""
    pieces: list[str] = []
    table = w.symbols
    own = tuple(i_poly(i) for i in d.indices)
    groups: dict[str, list[Term]] = {}
    for p in d.paths:
        groups.setdefault(p.through, []).append(p.term)
    for name, terms in groups.items():
        if not name or table.scalar and name in forward.outputs:
            if len(groups) == 1:
                return ()
            text = " ".join(w.addends(without_upstream(add(*terms), table)))
        else:
            at, bound = reached(d, forward.definition(name), terms, table.adjoint_of_name(name))
            text = w.chain_product(table.adjoint_of_name(name), name, at, table.adjoint_of[d.name], own, bound)
        pieces.append(text if not pieces else f"- {text[1:].lstrip()}" if text.startswith("-") else f"+ {text}")
    return tuple(pieces)


def reached(d: Definition, through: Definition, terms: list[Term], bar: str) -> tuple[tuple[Poly, ...], list[Index]]:
    """The places of ``through`` that a gradient comes from, and the indices that are summed over."""
    taken = list(d.indices)
    inner: list[Index] = []
    for i in through.indices:
        clash = any((i.name, i.serial) == (j.name, j.serial) for j in taken)
        if clash and not all(_kept(i, t, bar, through) for t in terms):
            i = fresh(i, taken)
        inner.append(i)
        taken.append(i)
    return tuple(i_poly(i) for i in inner), [i for i in inner if i not in d.indices]


def _kept(i: Index, path: Term, bar: str, through: Definition) -> bool:
    """Whether the path reads the through definition's adjoint at the target's own index ``i``: no sum over it."""
    axis = through.indices.index(i)
    seen = [t for t in refs(path) if t.name == bar]
    return bool(seen) and all(len(t.at) > axis and t.at[axis].index is i for t in seen)


def short_form(term: Term, d: Definition, adjoint: Program, table: Symbols) -> Term | None:
    """The formula with the one adjoint in it replaced by its own formula; None where that is no shorter thought."""
    meanings = {x.name: x for x in adjoint.definitions if x.name in table.adjoint_of and x.name != d.name}
    inside = [r for r in refs(term) if r.name in table.adjoint_of]
    if len({r.name for r in inside}) != 1 or len(inside) != 1 or inside[0].name not in meanings:
        return None
    before = meanings[inside[0].name]
    body = without_upstream(before.term, table)
    if (
        before.recurrent
        or any(isinstance(t, Over) for t in subterms(body))
        or any(r.name in table.adjoint_of for r in refs(body))
    ):
        return None
    return inline(term, {before.name: (before.indices, body)})


def first_number(*programs: Program, numbered: bool = False) -> int:
    """1, or 0 where positions are computed with (``x[k-1]``, ``[k == 0]``), since they count from 0.

    ``numbered``: indices are replaced by numbers; then a comparison of indices, or with an integer tensor's entry, is such too.
    """
    for p in programs:
        for d in p.definitions:
            for t in subterms(d.term):
                if isinstance(t, Ref) and any(_computed(q, numbered) for q in t.at):
                    return 0
                if isinstance(t, SizeOf) and t.free or isinstance(t, Over) and t.kind.startswith("arg"):
                    return 0
                if isinstance(t, Bracket) and isinstance(t.operand, Poly) and t.operand.constant is None:
                    if numbered or not _difference(t.operand):
                        return 0
    return 1


def _computed(p: Poly, numbered: bool) -> bool:
    """Whether a position is no index alone, nor an entry of an integer tensor that stands for one."""
    return p.index is None and (numbered or not isinstance(p.atom, Entry))


def _difference(p: Poly) -> bool:
    """``i - j`` means the same wherever counting starts."""
    return (
        all(len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], (Index, Entry)) for m, _ in p.terms)
        and sum(c for _, c in p.terms) == 0
    )


def at_sizes(term: Term, sizes: dict[str, int]) -> Term:
    """The term with numbers for sizes, and without sums over one element."""
    values = {Size(n): v for n, v in sizes.items()}

    def change(t: Term) -> Term:
        if isinstance(t, Over) and t.kind in ("sum", "prod"):
            single = [i for i in t.indices if i.size.constant == 1]
            if single:
                rest = tuple(i for i in t.indices if i not in single)
                body = substitute(t.body, dict.fromkeys(single, 0))
                return Over(t.kind, rest, body) if rest else body
        return t

    return transform(substitute(term, values), change)
