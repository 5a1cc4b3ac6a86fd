"""A Program as index text: ``y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]``.

What is printed here is read back by :mod:`derivcheck.notation.text.parse`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from derivcheck.notation.integers.atoms import entries
from derivcheck.notation.integers.polynomials import Index, Poly
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.terms.nodes import Over, Ref, Term, listed
from derivcheck.notation.terms.walk import polys, subterms

Dims = Mapping[str, tuple[Poly, ...]]


def program_text(arguments: Sequence[Input], definitions: Sequence[Definition], outputs: Sequence[str]) -> str:
    """A Program as index text, a definition a line.

    An index whose size its places do not tell is printed with it where it is bound: ``y[h < H, e < d] := x[h*d + e]``; a size
    that stands in terms alone is declared, ``size K``.
    """
    lines = []
    known: dict[str, tuple[Poly, ...]] = {}
    for a in arguments:
        kind = "" if a.kind == "float" else f" {a.kind}" + ("" if a.below is None else f" < {a.below}")
        lines.append(f"input  {a.name}{listed(a.dims)}{kind}")
        known[a.name] = a.dims
    if alone := _in_terms_alone(arguments, definitions):
        lines.append(f"size   {', '.join(alone)}")
    later = {d.name for d in definitions}
    for d in definitions:
        later.discard(d.name)
        own = {d.name: d.dims, **{x.name: x.dims for x in definitions if x.name in later}}
        heads = [_binder(i, d.term, known, own) for i in d.indices]
        mark = f"  ({d.kind})" if d.kind != "float" else "  (no gradient)" if d.stop else ""
        lines.append(f"{d.name}{listed(heads)} := {d.term.text(bind=partial(_bound, known, own))}{mark}")
        known[d.name] = d.dims
    lines.append(f"output {', '.join(outputs)}")
    return "\n".join(lines)


def _in_terms_alone(arguments: Sequence[Input], definitions: Sequence[Definition]) -> list[str]:
    """The sizes that no dimension and no index tells: ``K`` in ``x*K``."""
    ranges = [p for a in arguments for p in (*a.dims, *([a.below] if a.below is not None else []))]
    ranges += [p for d in definitions for p in d.dims]
    terms = [t for d in definitions for t in subterms(d.term)]
    ranges += [i.size for t in terms if isinstance(t, Over) for i in t.indices]
    told = {s for p in ranges for s in p.sizes()}
    return sorted({s for t in terms for p in polys(t) for s in p.sizes()} - told)


def _bound(known: Dims, own: Dims, term: Over) -> str:
    return ", ".join(_binder(i, term.body, known, own) for i in term.indices)


def _binder(i: Index, scope: Term, known: Dims, own: Dims) -> str:
    """An index where it is bound, with its size unless the places where it stands alone tell it."""
    told = False
    for name, at in _places(scope, i):
        for p, length in zip(at, known.get(name, own.get(name, ()))):
            if p.index is i:
                if length is not i.size:
                    return f"{i.key} < {i.size}"
                told = told or name in known
    for t in subterms(scope):
        if isinstance(t, Over) and t.at and i not in t.indices:
            for p, own_index in zip(t.at, t.indices):
                if p.index is i:
                    if own_index.size is not i.size:
                        return f"{i.key} < {i.size}"
                    told = told or _binder(own_index, t.body, known, own) == own_index.key
    return i.key if told else f"{i.key} < {i.size}"


def _places(term: Term, i: Index) -> Iterator[tuple[str, tuple[Poly, ...]]]:
    """Every ``name[at]`` in the term that reads the index, also inside positions."""
    walk, seen = [term], {term}
    while walk:
        t = walk.pop(0)
        if i not in t.free or (isinstance(t, Over) and i in t.indices):
            continue
        for kid in t.children:
            if kid not in seen:
                seen.add(kid)
                walk.append(kid)
        if isinstance(t, Ref):
            yield t.name, t.at
        yield from ((e.name, e.at) for e in entries(polys(t)))
