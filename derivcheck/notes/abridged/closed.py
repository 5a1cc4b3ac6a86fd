"""Gradients in closed form: in the inputs and the values that the code names, with no other gradient in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from derivcheck.derivation.centred import is_mean, without_deviations
from derivcheck.derivation.tidy import factored, match
from derivcheck.notation.integers.polynomials import Index, i_poly
from derivcheck.notation.program.definitions import Definition, Path
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import MINUS_ONE, ONE, ZERO
from derivcheck.notation.terms.nodes import Bracket, Mul, Ref, Term
from derivcheck.notation.terms.substitute import inline, substitute, transform
from derivcheck.notation.terms.walk import factors
from derivcheck.notes.abridged.collected import collected
from derivcheck.notes.abridged.length import length
from derivcheck.notes.abridged.probabilities import probabilities, summed_to_one
from derivcheck.notes.abridged.reflected import reflected
from derivcheck.notes.abridged.tidied import tidied

LIMIT = 70


def closed_forms(forward: Program, back: Program, direct: bool = False) -> dict[str, Term]:
    """For each definition of the gradient that reads another gradient, itself without; a scalar output's gradient is 1.

    Those that would be very long are left out.  ``direct``: also those that read no other gradient as they are.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("y[n] := x[n]*w; L := sum(n: y[n]^2)", {"x": "N", "w": ""})
    >>> print(closed_forms(f, adjoint(f))["w_bar"])
    2*sum(n: y[n]*x[n])
    """
    ups, ones = _upstream(forward, back), probabilities(forward)
    own = [d for d in back.definitions if d.name not in forward.names]
    meanings: dict[str, tuple[tuple[Index, ...], Term]] = {}
    found: dict[str, Term] = {}
    for d in own:
        if d.recurrent:
            continue
        term = inline(transform(d.term, lambda t: ONE if isinstance(t, Ref) and t.name in ups else t), meanings)
        term = tidied(factored(tidied(summed_to_one(term, ones))))
        if length(term) > 4 * LIMIT:
            continue
        meanings[d.name] = (d.indices, term)
        if term.names.isdisjoint(x.name for x in own) and (direct or not d.term.names.isdisjoint(meanings)):
            found[d.name] = term
    return found


def _upstream(forward: Program, back: Program) -> frozenset[str]:
    """The upstream gradient of a scalar, which is not written: it is 1."""
    return frozenset(a.name for a in back.arguments if a.name not in forward.inputs) if forward.scalar else frozenset()


def shorter(one: dict[str, Term], other: dict[str, Term]) -> dict[str, Term]:
    """Those of the others that are shorter, or are not among the first."""
    return {n: t for n, t in other.items() if n not in one or length(t) < length(one[n])}


def in_named_brackets(term: Term, forward: Program) -> Term:
    """``[z > 0]`` is ``[h > 0]`` where ``h := z·[z > 0]``, which the page has a name for.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("h[n] := (x[n] - b)*[x[n] - b > 0]", {"x": "N", "b": ""})
    >>> print(in_named_brackets(f.definitions[0].term.args[1], f))
    [h[n] > 0]
    """
    rectified = [(d, _positive_part(d)) for d in forward.definitions]
    for d, z in rectified:
        if z is None:
            continue
        open_ = frozenset(d.indices)

        def change(t: Term, d: Definition = d, z: Term = z, open_: frozenset[Index] = open_) -> Term:
            if isinstance(t, Bracket) and t.relation == ">" and isinstance(t.operand, Term):
                for binding in match(z, t.operand, {}, open_):
                    if len(binding) == len(open_):
                        return Bracket(">", substitute(Ref(d.name, tuple(map(i_poly, d.indices))), binding))
            return t

        term = transform(term, change)
    return term


def _positive_part(d: Definition) -> Term | None:
    """``z`` where a definition is ``z·[z > 0]``."""
    if isinstance(d.term, Mul) and len(d.term.args) == 2:
        for z, b in (d.term.args, d.term.args[::-1]):
            if isinstance(b, Bracket) and b.relation == ">" and b.operand is z:
                return z
    return None


def with_named_brackets(forward: Program, back: Program) -> Program:
    """The gradient with :func:`in_named_brackets` of its own definitions."""
    return _with_terms(forward, back, lambda t: in_named_brackets(t, forward))


def without_sums_of_nothing(forward: Program, back: Program, each: bool = False) -> Program:
    """The gradient without sums of deviations from a mean, without gradients that are another one, and tidied.

    ``each``: gradients that are another one stay.

    >>> from derivcheck.derivation.sweep import adjoint
    >>> from derivcheck.notation.text.parse import parse_program
    >>> f = parse_program("m := sum(n: x[n])/N; y := sum(n: (x[n] - m)^2)", {"x": "N"})
    >>> print(without_sums_of_nothing(f, adjoint(f)).definition("x_bar").term)
    2*grad_output*(x[n] - m)
    """
    means = {d.name: (d, whole) for d in forward.definitions if (whole := is_mean(d)) is not None}
    ones = probabilities(forward)
    ups = _upstream(forward, back)
    gone: dict[str, tuple[tuple[Index, ...], Term]] = {}

    def cleaned(t: Term) -> Term:
        t = summed_to_one(without_deviations(t, means), ones)
        return collected(_shortest(tidied(factored(inline(t, gone)))))

    found = []
    read = set(back.outputs)  # what stays: outputs, and what a definition before it reads
    for d in back.definitions:
        if d.recurrent:
            d = replace(d, term=inline(d.term, gone))
        elif d.name not in forward.names:
            paths = tuple(Path(p.through, term) for p in d.paths if (term := cleaned(p.term)) is not ZERO)
            d = replace(d, term=cleaned(d.term), paths=paths)
            if d.name not in read and (d.term is ZERO or not each and _another(d.term, ups)):
                gone[d.name] = (d.indices, d.term)
                continue
        read |= d.term.names
        found.append(d)
    return replace(back, definitions=tuple(found)).needed(back.outputs)


def _shortest(t: Term) -> Term:
    """The term, or with one sigmoid of each argument where that is shorter."""
    other = reflected(t)
    if other is t:
        return t
    other = tidied(factored(other))
    return other if length(other) < length(t) else t


def _another(t: Term, ups: frozenset[str]) -> bool:
    """Whether a gradient is another value, or minus it, beside a scalar's upstream gradient, which is 1 on the page."""
    rest = [f for f in factors(t) if f is not MINUS_ONE and not (isinstance(f, Ref) and f.name in ups)]
    return not rest or len(rest) == 1 and isinstance(rest[0], Ref)


def _with_terms(forward: Program, back: Program, change: Callable[[Term], Term]) -> Program:
    """The gradient with its own definitions' terms changed, and the forward's that these read then."""
    names = forward.names
    own = tuple(replace(d, term=change(d.term)) for d in back.definitions if d.name not in names)
    return replace(back, definitions=(*forward.definitions, *own)).needed(back.outputs)
