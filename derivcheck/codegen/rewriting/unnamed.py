"""What the user's code gave no name, and one line alone reads, stands in that line: ``1 - 2*(y*y + z*z)`` is one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Over, Pow, Ref, Term
from derivcheck.notation.terms.substitute import inline
from derivcheck.notation.terms.walk import subterms

_UNNAMED = re.compile(r"z_\d+(_bar)?")
_LONG = 12  # a line of more parts is hard to read


def named(definitions: Sequence[Definition], outputs: Collection[str]) -> list[Definition]:
    """The definitions without those that have no name of the user's, are elementwise, and are read once, outside of sums."""
    readers = _readers(definitions)
    inside: dict[str, tuple[tuple[Index, ...], Term]] = {}
    out: list[Definition] = []
    for d in definitions:
        term = inline(d.term, inside) if not d.term.names.isdisjoint(inside) else d.term
        found = d if term is d.term else replace(d, term=term)
        if (
            _UNNAMED.fullmatch(d.name)
            and d.name not in outputs
            and readers.get(d.name) == 1
            and d.kind == "float"
            and d.spelling is None
            and not d.recurrent
            and not d.stop
            and len(list(subterms(term))) <= _LONG
            and _plain(term)
        ):
            inside[d.name] = d.indices, term
        else:
            out.append(found)
    return out


def _plain(term: Term) -> bool:
    """Arithmetic on elements."""
    if isinstance(term, (Ref, Number)) or _is_pick(term):
        return True
    return isinstance(term, (Add, Mul, Pow)) and all(map(_plain, term.children))


def _is_pick(term: Term) -> bool:
    """``Σ_i [i = 8]·x[n, i]``: one element, at a place that is a number."""
    if not isinstance(term, Over) or term.kind != "sum" or len(term.indices) != 1 or not isinstance(term.body, Mul):
        return False
    (i,) = term.indices
    brackets = [b for b in term.body.args if isinstance(b, Bracket)]
    rest = [t for t in term.body.args if not isinstance(t, Bracket)]
    if len(brackets) != 1 or len(rest) != 1 or not isinstance(rest[0], Ref) or brackets[0].relation != "==":
        return False
    operand = brackets[0].operand
    line = operand.linear_in(i) if isinstance(operand, Poly) else None
    return line is not None and line[0] in (1, -1) and line[1].constant is not None and i.size.constant is not None


def _readers(definitions: Sequence[Definition]) -> dict[str, int]:
    """How often each name is read; what is read in a sum, a position or torch's own call counts as many."""
    found: dict[str, int] = {}
    for d in definitions:
        for name in d.spelling.names if d.spelling is not None else ():
            found[name] = found.get(name, 0) + 2
        plain = [t for t in subterms(d.term) if isinstance(t, Ref)]
        summed = {t for o in subterms(d.term) if isinstance(o, Over) for t in subterms(o) if isinstance(t, Ref)}
        for t in plain:
            found[t.name] = found.get(t.name, 0) + (2 if t in summed or d.recurrent else 1)
            for p in t.at:
                for name in p.names:
                    found[name] = found.get(name, 0) + 2
        for p in d.dims:
            for name in p.names:
                found[name] = found.get(name, 0) + 2
    return found
