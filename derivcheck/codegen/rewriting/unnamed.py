"""What the user's code gave no name, and one line alone reads, stands in that line: ``1 - 2*(y*y + z*z)`` is one line.

An adjoint that is another one, as it stands or along more indices, is that: ``y_bar[n, d] = s_bar[n]`` needs no line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from derivcheck.codegen.graph.nodes import ONE_SIZE
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import inline
from derivcheck.notation.terms.walk import factors, subterms

_LONG = 12  # a line of more parts is hard to read


def is_made_up(d: Definition) -> bool:
    """Whether the name was made up: neither the user's code nor an operator has a word for it."""
    return bool(d.rule) and not d.variable and re.fullmatch(r"z(_\d+)?", d.name) is not None


def without_echoes(
    definitions: Sequence[Definition], outputs: Collection[str], dims: Mapping[str, tuple[Poly, ...]]
) -> list[Definition]:
    """The definitions without the adjoints that only repeat another tensor: each is read where it was repeated."""
    echoes: dict[str, tuple[tuple[Index, ...], Term]] = {}
    out: list[Definition] = []
    for d in definitions:
        found = d
        if not d.term.names.isdisjoint(echoes) and d.spelling is None:
            found = replace(d, term=inline(d.term, echoes))
        if d.name.endswith("_bar") and d.name not in outputs and _is_echo(found, dims):
            echoes[d.name] = d.indices, found.term
        else:
            out.append(found)
    return out


def _is_echo(d: Definition, dims: Mapping[str, tuple[Poly, ...]]) -> bool:
    """Whether it is another tensor: at its own indices, in their order; or a number times it along fewer of them."""
    parts = factors(d.term)
    refs = [f for f in parts if isinstance(f, Ref)]
    if len(refs) != 1 or d.recurrent or d.kind != "float" or d.spelling is not None:
        return False
    numbers = all(isinstance(f.base if isinstance(f, Pow) else f, (Number, SizeOf)) for f in parts if f is not refs[0])
    (r,) = refs
    kept = [(p.index, i) for p, i in zip(r.at, dims.get(r.name, ())) if i is not ONE_SIZE or p.index is not None]
    own = [i for i in d.indices if i in {p for p, _ in kept}]
    if [p for p, _ in kept] != own or [i for _, i in kept] != [i.size for i in own] or len(r.at) != len(dims.get(r.name, ())):
        return False
    return len(parts) == 1 and len(kept) == len(r.at) or numbers and len(own) < len(d.indices)


def named(definitions: Sequence[Definition], outputs: Collection[str], made_up: Collection[str]) -> list[Definition]:
    """The definitions without those that have no name of the user's, are elementwise, and are read once, outside of sums."""
    readers = _readers(definitions)
    unnamed = {*made_up, *(f"{n}_bar" for n in made_up)}
    inside: dict[str, tuple[tuple[Index, ...], Term]] = {}
    out: list[Definition] = []
    for d in definitions:
        term = inline(d.term, inside) if not d.term.names.isdisjoint(inside) else d.term
        found = d if term is d.term else replace(d, term=term)
        if (
            d.name in unnamed
            and d.name not in outputs
            and readers.get(d.name) == 1
            and d.kind == "float"
            and all(i.size is not ONE_SIZE for i in d.indices)
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
