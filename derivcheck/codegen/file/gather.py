"""What a generated file is made of, gathered from a forward and its adjoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from derivcheck.errors import InputError
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Bracket
from derivcheck.notation.terms.walk import refs, subterms


def differentiated(forward: Program, adjoint: Program | None) -> tuple[str, ...]:
    """The input that each output of the adjoint is the gradient of, from its name."""
    found = []
    for o in adjoint.outputs if adjoint is not None else ():
        name = o
        while name.endswith("_bar"):
            name = name[: -len("_bar")]
            if name in forward.inputs and name not in found:
                break
        found.append(name)
    return tuple(found)


def together(forward: Program, adjoint: Program | None) -> list[Definition]:
    """The definitions that the outputs need: the forward's, then the adjoint's own."""
    own = {d.name: d for d in forward.definitions}
    every = list(forward.definitions)
    for d in adjoint.definitions if adjoint is not None else ():
        mine = own.get(d.name)
        if mine is None:
            every.append(d)
        elif mine.term is not d.term:
            raise InputError(f"{d.name} means one thing in the forward and another in the adjoint: rename it")
    return every


def spelled_or_needed(definitions: Sequence[Definition], outputs: Iterable[str]) -> list[Definition]:
    """The definitions that the outputs need, where one that torch computes directly needs what its spelling names."""
    wanted = set(outputs)
    kept: list[Definition] = []
    changed = True
    while changed:  # more than once only where definitions refer to each other
        kept = [d for d in definitions if d.name in wanted]
        more = wanted.union(
            *(d.spelling.names if d.spelling is not None and d.spelling.of is None else d.term.names for d in kept)
        )
        more = more.union(*(p.names for d in kept for p in d.dims))
        changed, wanted = more != wanted, more
    return kept


def checked(definitions: Iterable[Definition]) -> set[str]:
    """Integer tensors whose entries a bracket tests (an ignored class, a padded place): they may lie out of range."""
    found: set[str] = set()
    for d in definitions:
        for t in subterms(d.term):
            if not isinstance(t, Bracket):
                continue
            if isinstance(t.operand, Poly):
                p = t.operand
                entries = [a for a in p.atoms() if isinstance(a, Entry)]
                plain = (
                    t.relation in ("==", "!=")
                    and len(entries) == 1
                    and len(p.terms) == 2
                    and any(Poly(((m, abs(c)),)).index is not None for m, c in p.terms)
                )
                if not plain:
                    found |= p.names
            else:
                found |= {r.name for r in refs(t.operand)}  # an entry that is a position in it is not tested
    return found
