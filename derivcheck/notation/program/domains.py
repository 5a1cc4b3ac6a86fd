"""Where terms are defined: denominators that are not zero, arguments of roots and logarithms that are positive.

What is surely so is left out: a sum of exponentials, a size.  Conditions are told in the inputs, and in names that the user
gave; a name such as ``z_3`` stands for what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, Poly, Size
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, number, restricts
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import inline
from derivcheck.notation.terms.walk import factors, subterms

SHORT = 30  # a formula in inputs alone is told instead of the name that the user gave it
LONGEST = 400  # characters of a condition: with more it is told by the names in it
STEPS = 200  # definitions that are put into one term, one after the other
MADE_UP = re.compile(r"claimed .*|(z|[a-z]+_\d+)(_bar|_detached)*")

Known = Mapping[str, Definition]


def conditions(definitions: Iterable[Definition], known: Known) -> list[str]:
    """What must hold for every term in the definitions to be defined, in words.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := log(x[n]) + exp(w[n])/sum(n: exp(w[n])) + 1/(1 - u[n])")
    >>> conditions(p.definitions, {})
    ['x[n] > 0', '1 - u[n] ≠ 0']
    """
    found: dict[str, None] = {}
    for d in definitions:
        for t in _with_conditions(d.term):
            found.update(dict.fromkeys(_conditions(t, known)))
    return tidied(found)


@lru_cache(maxsize=4096)
def _with_conditions(term: Term) -> tuple[Term, ...]:
    """The nodes inside that may have a condition, top down."""
    return tuple(t for t in subterms(term) if _may_have_one(t))


def _may_have_one(t: Term) -> bool:
    if isinstance(t, Over):
        return t.kind in _NEEDS
    if isinstance(t, Func):
        row = functions().get(t.name)
        return row is not None and bool(row.domain)
    return isinstance(t, Pow) and restricts(t.exponent)


def tidied(found: Iterable[str]) -> list[str]:
    """The conditions without ``u ≠ 0`` where ``u > 0`` is one."""
    every = dict.fromkeys(found)
    return [c for c in every if not (c.endswith(" ≠ 0") and f"{c.removesuffix(' ≠ 0')} > 0" in every)]


def partial(dropped: Iterable[Term], known: Known, also: Callable[[Term], bool] | None = None) -> tuple[Term, ...]:
    """What in dropped terms is not defined everywhere, in the inputs.

    Args:
        dropped: what building the definitions told of (:mod:`~derivcheck.notation.terms.dropped`).
        known: the definitions, those included that nothing reads any more.
        also: what else to look for in what is computed: there a comparison is true or false, whatever it compares.
    """
    found: dict[Term, None] = {}
    waiting, seen = list(dropped), set[Term]()
    while waiting and len(seen) < STEPS:
        t = waiting.pop()
        if t in seen:
            continue
        seen.add(t)
        if isinstance(t, Ref) and t.name in known and not known[t.name].recurrent:
            waiting.append(inline(t, {t.name: (known[t.name].indices, known[t.name].term)}))
        elif _is_partial(t) or also is not None and also(t):
            found.setdefault(t)
        if also is None or not isinstance(t, Bracket):
            waiting.extend(t.children)
    return tuple(dict.fromkeys(_in_inputs(t, known) for t in reversed(found)))


def dropped_conditions(
    dropped: Iterable[Term], definitions: Iterable[Definition], known: Known | None = None
) -> tuple[str, ...]:
    """The conditions of partial terms that were dropped, but for those that the definitions have themselves.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> parse_program("y[n] := x[n]*(1/x[n]) + w[n]/(2*exp(w[n])) + 0*log(u[n])").conditions
    ('x[n] ≠ 0', 'u[n] > 0')
    """
    dropped = tuple(dropped)
    if not dropped:
        return ()
    left = set(conditions(definitions, known or {}))
    return tuple(dict.fromkeys(c for t in dropped for c in _conditions(t, known or {}, weak=True) if c not in left))


def has_infinity(t: Term) -> bool:
    """Whether an infinity stands in the term."""
    return any(isinstance(s, Func) and s.name == "inf" for s in subterms(t))


def _is_partial(t: Term) -> bool:
    return isinstance(t, Func) and t.name == "inf" or any(True for _ in _conditions(t, {}))


def _in_inputs(t: Term, known: Known) -> Term:
    for _ in range(STEPS):
        names = [n for n in t.names if n in known and not known[n].recurrent]
        if not names:
            break
        t = inline(t, {n: (known[n].indices, known[n].term) for n in names})
    return t


def _conditions(t: Term, known: Known, weak: bool = False) -> Iterator[str]:
    """The conditions of one node; ``weak``: a root may be that of 0."""
    if isinstance(t, Pow) and restricts(t.exponent):
        whole = isinstance(t.exponent, Number) and t.exponent.value.denominator == 1
        root = weak and isinstance(t.exponent, Number) and t.exponent.value > 0
        for base in factors(t.base) if whole else (t.base,):
            if whole and isinstance(base, Pow) and isinstance(base.exponent, Number):
                base = base.base
            if not above_zero(base, known):
                yield f"{told(base, known)} {'≠' if whole else '≥' if root else '>'} 0"
    elif isinstance(t, Over) and t.kind in _NEEDS and not _is_factor(t.body, known):
        yield _NEEDS[t.kind].format(_matrix(t, known))
    elif isinstance(t, Func):
        row = functions().get(t.name)
        if t.name == "inf" and weak:
            yield "inf is a number"
        elif row is not None and row.domain and not (row.domain == "> 0" and above_zero(t.args[-1], known)):
            said = str(told(t.args[-1], known))
            yield row.domain.format(said) if "{}" in row.domain else f"{said} {row.domain}"


_NEEDS = {
    "inv": "{} is not singular",
    "logabsdet": "{} is not singular",
    "logdet": "the determinant of {} is above 0",
    "cholesky": "{} is symmetric and positive definite",
}


def _is_factor(body: Term, known: Known) -> bool:
    """Whether the matrix is a Cholesky factor, which is never singular."""
    read = [f for f in factors(body) if not isinstance(f, Bracket)]
    d = known.get(read[0].name) if len(read) == 1 and isinstance(read[0], Ref) else None
    return d is not None and isinstance(d.term, Over) and d.term.kind == "cholesky"


def _matrix(t: Over, known: Known) -> str:
    """The matrix in words: the tensor that it is, or its elements."""
    i, j = t.indices
    if isinstance(t.body, Ref) and {p.index for p in t.body.at[-2:]} == {i, j} and t.body.name not in known:
        return t.body.name
    return f"the matrix of {told(t.body, known)} over {i.key} and {j.key}"


def told(t: Term, known: Known) -> Term:
    """A term as it is told: made-up names by what they mean, short formulas in inputs alone as such."""
    for _ in range(STEPS):
        there = (known[n] for n in t.names if n in known and not known[n].recurrent)
        new = inline(t, {d.name: (d.indices, d.term) for d in there if MADE_UP.fullmatch(d.name) or _short(t, d, known)})
        if new is t or len(str(new)) > LONGEST:
            break
        t = new
    return t


def _short(t: Term, d: Definition, known: Known) -> bool:
    """``1 - alpha[k]`` tells more than the name of a step."""
    return isinstance(t, Ref) and not any(n in known for n in d.term.names) and len(str(d.term)) <= SHORT


def above_zero(t: Term, known: Known, strict: bool = True, depth: int = 12) -> bool:
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
        row = functions().get(t.name)
        return row is not None and row.positive
    if isinstance(t, Bracket):
        return not strict
    if isinstance(t, Add):
        return all(inner(a, False) for a in t.args) and (not strict or any(inner(a, True) for a in t.args))
    if isinstance(t, Mul):
        chosen = {a.operand for a in t.args if isinstance(a, Bracket) and a.relation in (">", ">=") and not strict}
        return all(a in chosen or inner(a) for a in t.args)  # [x > 0]·x is not negative
    if isinstance(t, Pow):
        if isinstance(t.exponent, Number) and t.exponent.value.denominator == 1 and t.exponent.value % 2 == 0 and not strict:
            return True
        return inner(t.base)
    if isinstance(t, Over):
        empty = t.kind == "sum" and strict and not all(not i.size.indices and nonnegative(i.size - 1) for i in t.indices)
        return t.kind in ("sum", "prod", "max", "min") and not empty and inner(t.body)
    if isinstance(t, Ref):
        d = known.get(t.name)
        return d is not None and not d.recurrent and inner(d.term)
    return False


def _whole_above_zero(p: Poly, strict: bool) -> bool:
    if all(isinstance(a, (Size, Index)) for a in p.atoms()):
        return nonnegative(p - 1 if strict else p)
    return False


def always_read(program: Program) -> tuple[Term, ...]:
    """The terms that have a value wherever the outputs have one, at all values of their indices: nothing masks them.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("a[n] := log(x[n]); b[n] := log(w[n]); y[n] := [n > 0]*a[n] + b[n]")
    >>> [str(t) for t in always_read(p) if isinstance(t, Func)]
    ['log(w[n])']
    """
    known = {d.name: d for d in program.definitions}
    found: dict[Term, None] = {}
    waiting = [known[o].term for o in program.outputs if o in known]
    seen: set[str] = set()
    while waiting:
        t = waiting.pop(0)
        if t in found:
            continue
        found[t] = None
        d = known.get(t.name) if isinstance(t, Ref) else None
        if d is not None and d.name not in seen and runs_over(t, d.dims) and not d.recurrent:  # type: ignore[arg-type]
            seen.add(d.name)
            waiting.append(d.term)
        masks = [f for f in factors(t) if isinstance(f, Bracket)]
        bases = {f.base for f in factors(t) if isinstance(f, Pow) and not isinstance(f.exponent, Number)}
        if all(m.relation == "!=" and m.operand in bases for m in masks):  # [x ≠ 0]·x^y is defined for x ≥ 0 alone
            waiting.extend(f for f in t.children if not isinstance(f, Bracket))
    return tuple(found)


def runs_over(t: Ref, dims: tuple[Poly, ...]) -> bool:
    """Whether the element runs over the whole tensor."""
    at: list[Index | None] = [p.index for p in t.at]
    return len(set(at)) == len(at) == len(dims) and all(i is not None and i.size is p for i, p in zip(at, dims))


def surely_above_zero(program: Program) -> tuple[Term, ...]:
    """What is above 0 wherever the outputs are defined.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> surely_above_zero(parse_program("y[n] := log(x[n]) + [n > 0]*log(w[n]) + (1 - u[n])^(1/2)"))
    (x[n], 1 - u[n])
    """
    found: dict[Term, None] = {}
    for t in always_read(program):
        if isinstance(t, Pow) and not (isinstance(t.exponent, Number) and t.exponent.value.denominator == 1):
            found[t.base] = None
        elif isinstance(t, Func) and (shift := functions()[t.name].logarithm) is not None:
            found[add(*t.args, number(shift))] = None
    return tuple(t for t in found if t.names)


def conditions_of_outputs(program: Program, known: Known) -> list[str]:
    """What must hold for the outputs to be defined, in words: what a mask leaves out is no condition."""
    return tidied(c for t in always_read(program) if _may_have_one(t) for c in _conditions(t, known))
