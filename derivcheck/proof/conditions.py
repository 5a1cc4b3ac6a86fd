"""Where both sides are defined: denominators that are not zero, arguments of roots and logarithms that are positive.

What is surely so is left out: a sum of exponentials, a size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from derivcheck.notation.functions import functions
from derivcheck.notation.program import Definition
from derivcheck.notation.sizes import Index, Poly, Size
from derivcheck.notation.substitution import inline
from derivcheck.notation.terms import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.walking import subterms

SHORT = 30


def conditions(definitions: Iterable[Definition], known: Mapping[str, Definition]) -> list[str]:
    """What must hold for every term in the definitions to be defined, in words."""
    found: dict[str, None] = {}
    for d in definitions:
        for t in subterms(d.term):
            text = _condition(t, known)
            if text:
                found.setdefault(text)
    return list(found)


def _condition(t: Term, known: Mapping[str, Definition]) -> str:
    if isinstance(t, Pow):
        base = _by_inputs(t.base, known)
        if isinstance(t.exponent, Number):
            e = t.exponent.value
            if e > 0 and e.denominator == 1 or above_zero(t.base, known):
                return ""
            return f"{base} {'≠' if e.denominator == 1 else '>'} 0"
        return "" if above_zero(t.base, known) else f"{base} > 0"
    if isinstance(t, Func):
        row = functions().get(t.name)
        if row is None or not row.domain or (row.domain == "> 0" and above_zero(t.args[0], known)):
            return ""
        return f"{t.args[0]} {row.domain}"
    return ""


def _by_inputs(t: Term, known: Mapping[str, Definition]) -> Term:
    """An element of a short formula in inputs alone as that formula: ``1 - alpha[k]`` tells more than the name of a step."""
    d = known.get(t.name) if isinstance(t, Ref) else None
    if d is None or any(n in known for n in d.term.names) or len(str(d.term)) > SHORT:
        return t
    return inline(t, {d.name: (d.indices, d.term)})


def above_zero(t: Term, known: Mapping[str, Definition], strict: bool = True, depth: int = 12) -> bool:
    """Whether the term is surely positive (``strict``) or at least not negative."""
    if depth < 0:
        return False

    def inner(u: Term, s: bool = strict) -> bool:
        return above_zero(u, known, s, depth - 1)

    if isinstance(t, Number):
        return t.value > 0 or (not strict and t.value == 0)
    if isinstance(t, SizeOf):
        return _whole_above_zero(t.value, strict)
    if isinstance(t, Func):
        return t.name in ("exp", "sigmoid", "softplus", "cosh", "pi")
    if isinstance(t, Bracket):
        return not strict
    if isinstance(t, Add):
        return all(inner(a, False) for a in t.args) and (not strict or any(inner(a, True) for a in t.args))
    if isinstance(t, Mul):
        return all(inner(a) for a in t.args)
    if isinstance(t, Pow):
        if isinstance(t.exponent, Number) and t.exponent.value.denominator == 1 and t.exponent.value % 2 == 0 and not strict:
            return True
        return inner(t.base)
    if isinstance(t, Over):
        return t.kind in ("sum", "prod", "max", "min") and inner(t.body)
    if isinstance(t, Ref):
        d = known.get(t.name)
        return d is not None and not d.recurrent and inner(d.term)
    return False


def _whole_above_zero(p: Poly, strict: bool) -> bool:
    from derivcheck.notation.sizes import nonnegative

    if all(isinstance(a, (Size, Index)) for a in p.atoms()):
        return nonnegative(p - 1 if strict else p)
    return False
