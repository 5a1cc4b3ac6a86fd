"""Functions that torch shortens: its softplus is linear beyond 20, where that is 2e-9 off.

A backward of softplus itself is as right there: textbooks write that one.
"""

from __future__ import annotations

from dataclasses import replace

from derivcheck.checking.subject.subject import Subject
from derivcheck.derived import Derivation
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms


def in_full(s: Subject) -> Subject | None:
    """The subject with the functions that torch shortens in full; None where there is none."""
    program = _in_full(s.derivation.program)
    if program == s.derivation.program:
        return None
    d = s.derivation
    return replace(s, derivation=Derivation(program, s.wrt, d.values, name=d.name, fixed=d.fixed))


def _in_full(program: Program) -> Program:
    definitions = tuple(replace(d, term=transform(d.term, _lengthened)) for d in program.definitions)
    return replace(program, definitions=definitions)


def _lengthened(t: Term) -> Term:
    """``[u > 0]*x + [-u >= 0]*softplus(x)`` without its choice."""
    if not isinstance(t, Add) or len(t.args) != 2 or not all(isinstance(a, Mul) for a in t.args):
        return t
    chosen = [a for a in t.args if any(isinstance(f, Func) and f.name == "softplus" for f in subterms(a))]
    both = all(any(isinstance(f, Bracket) for f in a.args) for a in t.args if isinstance(a, Mul))
    if len(chosen) != 1 or not both or not isinstance(chosen[0], Mul):
        return t
    return mul(*(f for f in chosen[0].args if not isinstance(f, Bracket)))
