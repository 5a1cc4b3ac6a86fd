"""Invariants that the user offers: what a recurrence always is, tested like any guess before it is used.

One that satisfies the recurrence, its start included, is its solution, by induction of one step.  One that does not is looked
at on numbers: it fails at the base, where the recurrence starts, or at the step, where from the invariant's own
earlier elements the recurrence makes something else than the invariant says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.recurrence import loop
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.substitute import rename, substitute
from derivcheck.proof.atoms import Expression
from derivcheck.proof.counterexample import Counterexample
from derivcheck.proof.equality import TIES
from derivcheck.proof.induction import satisfies
from derivcheck.proof.normal import of_term
from derivcheck.proof.refute import compared
from derivcheck.proof.space import OutOfTime, Unreduced
from derivcheck.proof.unrolling import grounded

if TYPE_CHECKING:
    from derivcheck.proof.prover import Prover

PLACES = {"base": "its base", "step": "its step, from the invariant's own earlier elements"}


@dataclass(frozen=True)
class Invariant:
    """What came of an invariant that was offered.

    Attributes:
        name: the recurrence that it is about.
        status: ``holds``, ``fails at base``, ``fails at step`` or ``undecided``.
        counterexample: where it fails: what the recurrence gives there, and what the invariant gives.
    """

    name: str
    status: str
    counterexample: Counterexample | None = None

    def __str__(self) -> str:
        if self.status == "holds":
            return f"the invariant of {self.name} holds, by induction"
        if self.counterexample is None:
            return f"the invariant of {self.name} is undecided, and is not used"
        return f"the invariant of {self.name} fails at {PLACES[self.status.removeprefix('fails at ')]}: {self.counterexample}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        example = self.counterexample.to_dict() if self.counterexample else None
        return {"name": self.name, "status": self.status, "counterexample": example}


def checked(program: Program, definitions: Mapping[str, Definition]) -> tuple[Definition, ...]:
    """The offered definitions, each of a recurrence in its dimensions.

    Raises:
        InputError: a name that is no recurrence, or other dimensions.
    """
    recurrences = ", ".join(n.removeprefix("claimed ") for n, d in definitions.items() if d.recurrent)
    for v in program.definitions:
        d = definitions.get(v.name)
        name = v.name.removeprefix("claimed ")
        if d is None or not d.recurrent:
            there = f"the recurrences here are {recurrences}" if recurrences else "there is no recurrence here"
            raise InputError(f"an invariant of {name!r}, which is not defined by a recurrence; {there}")
        if d.dims != v.dims:
            found, wanted = (", ".join(map(str, dims)) for dims in (v.dims, d.dims))
            raise InputError(f"the invariant of {name} has dimensions ({found}), expected ({wanted})")
    return program.definitions


def tested(prover: Prover, offered: Sequence[Definition]) -> tuple[list[Invariant], dict[tuple[int, str], Expression]]:
    """What came of each, and the forms of those that hold, per mode."""
    found: list[Invariant] = []
    held: dict[tuple[int, str], Expression] = {}
    for v in offered:
        if _holds(prover, v):
            found.append(Invariant(_public(v), "holds"))
            held.update({(mode, v.name): _form(prover, mode, v) for mode in prover.modes if mode != TIES})
        else:
            found.append(_failing(prover, v))
    return found, held


def _holds(prover: Prover, v: Definition) -> bool:
    if not grounded(prover, v.name):
        return False
    for mode in prover.modes:
        if mode == TIES:
            continue
        try:
            if satisfies(prover, mode, v.name, _form(prover, mode, v)):
                prover.used.add(mode)
                return True
        except (OutOfTime, RecursionError):
            return False
        except Unreduced:
            continue
    return False


def _form(prover: Prover, mode: int, v: Definition) -> Expression:
    """The invariant over the recurrence's own indices."""
    space = prover.space(mode)
    return prover.moved(space, prover.bridged(mode, of_term(space, v.term)), v.indices, prover.definitions[v.name].indices)


def _failing(prover: Prover, v: Definition) -> Invariant:
    """Where numbers say that it fails: the base first."""
    d = prover.definitions[v.name]
    along = loop([d])
    if along is None:
        return Invariant(_public(v), "undecided")
    i = d.indices[along.axes[d.name]]
    start = bracket("==", i_poly(i) - (i.size - 1 if along.down else 0))
    said = substitute(v.term, {a: i_poly(b) for a, b in zip(v.indices, d.indices)})
    offered = Definition("offered", d.indices, said)
    made = Definition("made", d.indices, rename(d.term, {d.name: "offered"}))
    at = {"base": start, "step": opposite(start)}
    masked = [
        Definition(f"{x.name} {where}", d.indices, mul(mask, x.term)) for where, mask in at.items() for x in (offered, made)
    ]
    program = replace(prover.program, definitions=(*prover.program.definitions, offered, made, *masked))
    for where in at:
        try:
            evidence = compared(program, [(_public(v), f"offered {where}", f"made {where}")])
        except UnsupportedOperation:
            break
        if evidence.counterexample is not None:
            return Invariant(_public(v), f"fails at {where}", replace(evidence.counterexample, by="the invariant"))
    return Invariant(_public(v), "undecided")


def _public(v: Definition) -> str:
    return v.name.removeprefix("claimed ")
