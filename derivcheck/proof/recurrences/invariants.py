"""Invariants that the user offers: what a recurrence always is, tested like any guess before it is used.

One that satisfies the recurrence, its start included, is its solution, by induction of one step.  One that does not is looked
at on numbers: it fails at the base, where the recurrence starts, or at the step, where from the invariant's own
earlier elements the recurrence makes something else than the invariant says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.notation.integers.polynomials import i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.program.recurrence import loop
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.substitute import rename, substitute
from derivcheck.proof.claims.claim import Claim
from derivcheck.proof.claims.forms import Forms
from derivcheck.proof.claims.sides import Sides, public
from derivcheck.proof.expressions.atoms import Expression
from derivcheck.proof.expressions.context import OutOfTime, Unreduced
from derivcheck.proof.normal_form.normal import of_term
from derivcheck.proof.numbers.refute import compared
from derivcheck.proof.recurrences.induction import satisfies
from derivcheck.proof.report.invariant import Invariant


def checked(program: Program, definitions: Mapping[str, Definition]) -> tuple[Definition, ...]:
    """The offered definitions, each of a recurrence in its dimensions.

    Raises:
        InputError: a name that is no recurrence, or other dimensions.
    """
    recurrences = ", ".join(public(n) for n, d in definitions.items() if d.recurrent)
    for v in program.definitions:
        d = definitions.get(v.name)
        name = public(v.name)
        if d is None or not d.recurrent:
            there = f"the recurrences here are {recurrences}" if recurrences else "there is no recurrence here"
            raise InputError(f"an invariant of {name!r}, which is not defined by a recurrence; {there}")
        if d.dims != v.dims:
            found, wanted = (", ".join(map(str, dims)) for dims in (v.dims, d.dims))
            raise InputError(f"the invariant of {name} has dimensions ({found}), expected ({wanted})")
    return program.definitions


def tested(every: Sequence[Forms], v: Definition) -> tuple[Invariant, list[Expression]]:
    """What came of an invariant, and where it holds what it is in each of the forms."""
    if _holds(every, v):
        return Invariant(public(v.name), "holds"), [_form(forms, v) for forms in every]
    return _failing(every[0].sides, v), []


def _holds(every: Sequence[Forms], v: Definition) -> bool:
    """Whether it satisfies the recurrence, in one of the forms."""
    if not every[0].grounded(v.name):
        return False
    for forms in every:
        try:
            if satisfies(forms, v.name, _form(forms, v)):
                forms.proves = True
                return True
        except (OutOfTime, RecursionError):
            return False
        except Unreduced:
            continue
    return False


def _form(forms: Forms, v: Definition) -> Expression:
    """The invariant over the recurrence's own indices."""
    return forms.reindexed(forms.known(of_term(forms.context, v.term)), v.indices, forms.sides.indices(v.name))


def _failing(sides: Sides, v: Definition) -> Invariant:
    """Where numbers say that it fails: the base first."""
    d, name = sides.definitions[v.name], public(v.name)
    along = loop([d])
    if along is None:
        return Invariant(name, "undecided")
    i = d.indices[along.axes[d.name]]
    start = bracket("==", i_poly(i) - (i.size - 1 if along.down else 0))
    said = substitute(v.term, {a: i_poly(b) for a, b in zip(v.indices, d.indices)})
    offered = Definition("offered", d.indices, said)
    made = Definition("made", d.indices, rename(d.term, {d.name: "offered"}))
    at = {"base": start, "step": opposite(start)}
    masked = [
        Definition(f"{x.name} {where}", d.indices, mul(mask, x.term)) for where, mask in at.items() for x in (offered, made)
    ]
    program = replace(sides.together, definitions=(*sides.together.definitions, offered, made, *masked))
    for where in at:
        try:
            evidence = compared(program, [Claim(name, f"offered {where}", f"made {where}")])
        except UnsupportedOperation:
            break
        if evidence.counterexample is not None:
            return Invariant(name, f"fails at {where}", replace(evidence.counterexample, by="the invariant"))
    return Invariant(name, "undecided")
