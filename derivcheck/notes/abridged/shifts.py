"""What is added in every exponential of a quotient cancels: ``exp(x − t)/Σ exp(x − t)`` is ``exp(x)/Σ exp(x)``.

Code subtracts the largest entry so that nothing overflows; the function is the same without, and that is how it is written.
"""

from __future__ import annotations

from dataclasses import replace

from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, coefficient, func, mul, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Ref, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.abridged.tidied import INFINITY


def without_shifts(program: Program) -> Program:
    """The same Program without largest entries that cancel.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("t[n] := max(c: x[n,c]); p[n,c] := exp(x[n,c] - t[n])/sum(c: exp(x[n,c] - t[n]))")
    >>> p = replace(p, definitions=(replace(p.definitions[0], stop=True, variable=""), p.definitions[1]))
    >>> print(without_shifts(p).definition("p").term)
    exp(x[n, c])/sum(c: exp(x[n, c]))
    """
    shifts: set[str] = set()
    for d in program.definitions:
        if _is_shift(d) or _is_guarded(d, shifts):
            shifts.add(d.name)
    if not shifts:
        return program
    definitions = tuple(_unshifted(d, shifts) for d in program.definitions)
    return replace(program, definitions=definitions).needed(program.outputs)


def _is_shift(d: Definition) -> bool:
    """Whether it is a largest or smallest entry that the code has no name for."""
    return not d.variable and d.stop and isinstance(d.term, Over) and d.term.kind in ("max", "min")


def _is_guarded(d: Definition, shifts: set[str]) -> bool:
    """Whether it is one of the shifts where that is a finite number, else 0: without any, infinities come out the same."""
    parts = factors(d.term)
    shift = [f for f in parts if isinstance(f, Ref)]
    if d.variable or not d.stop or len(shift) != 1 or shift[0].name not in shifts:
        return False
    asked = {Bracket(">", add(INFINITY, neg(shift[0]))), Bracket(">", add(shift[0], INFINITY))}
    return all(f is shift[0] or f in asked for f in parts)


def _unshifted(d: Definition, shifts: set[str]) -> Definition:
    """A definition without the shifts, where they cancel."""
    if d.term.names.isdisjoint(shifts) or d.recurrent:
        return d
    term = transform(d.term, lambda t: _apart(t, shifts))
    return replace(d, term=term) if len(term.names & shifts) < len(d.term.names & shifts) else d


def _apart(t: Term, shifts: set[str]) -> Term:
    """``exp(u + t)`` as ``exp(u)·exp(t)``, and ``log(exp(t)·v)`` as ``t + log(v)``."""
    if isinstance(t, Func) and t.name == "exp" and isinstance(t.args[0], Add):
        moved = [a for a in t.args[0].args if _shift(a, shifts)]
        rest = [a for a in t.args[0].args if a not in moved]
        return mul(func("exp", add(*rest)), *(func("exp", a) for a in moved)) if moved and rest else t
    if isinstance(t, Func) and t.name == "log" and isinstance(t.args[0], Mul):
        front = [a for a in t.args[0].args if isinstance(a, Func) and a.name == "exp" and _shift(a.args[0], shifts)]
        rest = [a for a in t.args[0].args if a not in front]
        if front and rest:
            return add(*(a.args[0] for a in front if isinstance(a, Func)), func("log", mul(*rest)))
    if isinstance(t, Mul) and len(t.args) == 2 and isinstance(t.args[0], Number) and isinstance(t.args[1], Add):
        if any(_shift(a, shifts) for a in t.args[1].args):  # -(t + u) beside t
            return add(*(mul(t.args[0], a) for a in t.args[1].args))
    return t


def _shift(t: Term, shifts: set[str]) -> bool:
    """Whether it is one of the shifts, times a number."""
    rest = coefficient(t)[1]
    return isinstance(rest, Ref) and rest.name in shifts
