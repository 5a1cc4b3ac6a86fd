"""A forward Program with each definition written in the functions that take care."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from derivcheck.codegen.careful.differences import difference
from derivcheck.codegen.careful.logarithms import logarithm, one_and
from derivcheck.codegen.careful.normalised import Sums, adopted
from derivcheck.codegen.careful.quotients import quotient
from derivcheck.codegen.careful.roots import root
from derivcheck.codegen.careful.sight import Sight
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Pow, Term
from derivcheck.notation.terms.substitute import freshen, transform
from derivcheck.notation.terms.walk import subterms
from derivcheck.operators.language.row import rows

_CAREFUL = frozenset({"softmaxes", "attention", "pointwise_losses", "class_losses", "normalisations", "recurrent"})
_LOOKED_FOR = frozenset("log log1p exp sinh cosh sigmoid erf erfc i0 i1".split())


def careful(program: Program) -> Program:
    """The same function of the same inputs, in functions whose kernels neither overflow nor cancel.

    It is equal wherever the user's own formula is defined over the reals.  Where there is no such formula,
    the Program is returned as it is.

    >>> from derivcheck.notation.integers.polynomials import Index, size
    >>> from derivcheck.notation.program.definitions import Input
    >>> from derivcheck.notation.terms.build import ONE, add, func, ref
    >>> n = Index("n", size("N"))
    >>> e = Definition("e", (n,), func("exp", ref("x", n)))
    >>> y = Definition("y", (n,), func("log", add(ref("e", n), ONE)))
    >>> print(careful(Program((Input("x", (n.size,)),), (e, y), ("y",))).definitions[-1].term)
    softplus(x[n])
    """
    if not any(_open_to_rules(d) and any(map(_telling, subterms(d.term))) for d in program.definitions):
        return program
    sight, sums = Sight(), Sums(program)
    out: list[Definition] = []
    changed = False
    for d in program.definitions:
        made: list[Definition] = []
        if _open_to_rules(d):
            sums.begin(d.place)
            term = _rewritten(sight, sums, d)
            made = sums.taken()
            if term is not d.term:
                changed = True
                own, before = adopted(d, freshen(term, d.indices), made)
                out += [*before, own]
                sight.learn(d, d.term if made else term, normalised=bool(made))
                continue
        out.append(d)
        sight.learn(d, d.term)
    if not changed:
        return program
    return replace(program, definitions=tuple(out)).needed(program.outputs)


def _rewritten(sight: Sight, sums: Sums, d: Definition) -> Term:
    """The definition's term with every rule applied, from the inside out, until none applies."""

    def change(t: Term) -> Term:
        for _ in range(4):  # a rule's result may be another's subject: log(1 − σ(x)) has two
            found = _by_rule(sight, sums, t)
            if found is None or found is t:
                return t
            t = found
        return t

    return transform(d.term, change)


def _by_rule(sight: Sight, sums: Sums, t: Term) -> Term | None:
    """A term by the first rule that applies to it."""
    if isinstance(t, Func) and t.name == "log":
        return logarithm(sight, sums, t.args[0])
    if isinstance(t, Func) and t.name == "log1p":
        return one_and(sight, sums, t.args[0])
    if isinstance(t, Add):
        return difference(sight, t)
    if isinstance(t, Pow) and (found := root(sight, t)) is not None:
        return found
    return quotient(sight, sums, t) if isinstance(t, (Mul, Pow)) else None


def _open_to_rules(d: Definition) -> bool:
    """Whether the user wrote it: an operator whose row takes care itself is left as it is."""
    return d.kind == "float" and d.spelling is None and not d.recurrent and d.rule not in _taking_care()


def _telling(t: Term) -> bool:
    """A function that the rules look for, or a root of a sum."""
    if isinstance(t, Func):
        return t.name in _LOOKED_FOR
    return isinstance(t, Pow) and isinstance(t.exponent, Number) and t.exponent.value.denominator == 2


@lru_cache(maxsize=1)
def _taking_care() -> frozenset[str]:
    """The operators of the families whose rows are written with care."""
    return frozenset(name.split(".")[1] for name, row in rows().items() if row.family in _CAREFUL)
