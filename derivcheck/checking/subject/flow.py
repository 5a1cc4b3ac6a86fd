"""Through which definitions a gradient flows, and where differences of the code see through what is detached."""

from __future__ import annotations

from derivcheck.checking.subject.subject import Subject
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Ref
from derivcheck.notation.terms.walk import refs


def dependents(program: Program, *names: str) -> list[Definition]:
    """The definitions through which any of these flows: not those that stop gradients."""
    found = {*names}
    changed = True
    while changed:
        changed = False
        for d in program.definitions:
            if (
                d.name not in found
                and not d.stop
                and d.kind == "float"
                and not found.isdisjoint({r.name for r in refs(d.term)})
            ):
                found.add(d.name)
                changed = True
    return [d for d in program.definitions if d.name in found]


def sees_through(s: Subject) -> bool:
    """Whether a detached part depends on what is differentiated: differences of the code as it is see through it."""
    program = s.derivation.program
    for name in s.wrt:
        names = {name} | {d.name for d in dependents(program, name)}
        if any(d.stop and isinstance(d.term, Ref) and not d.term.names.isdisjoint(names) for d in program.definitions):
            return True
    return False
