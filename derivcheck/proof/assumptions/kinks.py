"""Which comparisons are kinks: where two sides meet in a set of measure zero, and any subgradient is as good as another.

Only what the forward compares is a kink: where it is smooth a claim that is wrong at x = 0 is wrong.  A bracket of what
depends on the inputs in question meets its other side there, but for the indices and sizes at which its
two sides are the same whatever these inputs are (``x[i] > x[j]`` at i = j): there the tie decides.  A mask does not: it is 0
in whole regions, whether it is boolean or a tensor of zeros and ones, and ``[m ≠ 0]`` says where; ``m·x`` is 0 with it.
Nor is there a kink where what is compared may be 0 in whole regions itself: ``Σ relu(x)``, ``max(x) − x``, ``floor(x)``.
An equality belongs to a kink where the same two numbers are also ordered: ``[a > b] + [a = b]/2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from derivcheck.notation.functions.table import functions
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.domains import above_zero
from derivcheck.notation.terms.nodes import MATRICES, Bracket, Func, Number, Over, Pow, Ref, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.proof.assumptions.identical import apart, identically_zero
from derivcheck.proof.assumptions.kink_text import kink_text, named, without_places
from derivcheck.proof.expressions.atoms import Above, Apply, Base, Element, Expression, ProofAtom, Rational, Reduction
from derivcheck.proof.expressions.context import Context, Unreduced
from derivcheck.proof.expressions.polynomials import elements_in, free_in, whole
from derivcheck.proof.normal_form.normal import of_term
from derivcheck.proof.normal_form.signs import all_positive, strictly
from derivcheck.proof.normal_form.substitution import inlined, renamed

LONGEST = 200  # terms of a comparison that is looked into


@dataclass(frozen=True)
class Kinks:
    """Which names a kink may speak of.

    Attributes:
        moving: those that depend on the inputs in question.
        smooth: those that are analytic in the inputs: no brackets, extremes or steps in them.
        definitions: what the names mean.
        inputs: the inputs of real numbers.
        own: the names of the forward and its gradient: where these compare nothing alike there is no kink.
    """

    moving: frozenset[str]
    smooth: frozenset[str]
    definitions: Mapping[str, Definition]
    inputs: frozenset[str]
    own: frozenset[str]

    def meets(self, context: Context, u: Expression) -> Expression | None:
        """``[u = 0 for all inputs]`` where ``u = 0`` is a kink: elsewhere a set of measure zero; None where it is none."""
        if self.moving.isdisjoint(elements_in(u)) or not self._smooth(context, u):
            return None
        written = self._in_inputs(context, u)
        if written is None or self.moving.isdisjoint(elements_in(written)) or not self._smooth(context, written):
            return None
        form = without_places(written)
        if context.compared is not None:  # what the forward compares is collected
            context.compared.add(form)
            return None
        if form not in self._compared(context):
            return None
        return identically_zero(context, *apart(context, written, self.inputs & self.moving))

    def _compared(self, context: Context) -> set[str]:
        """What the forward and its gradient compare with 0, but for the places."""
        if context.compared_by_forward is None:
            collecting = context.collecting()
            for t in {t for n in self.own for t in subterms(self.definitions[n].term)}:
                if isinstance(t, Bracket) and isinstance(t.operand, Term):
                    with suppress(Unreduced):
                        of_term(collecting, t)
            context.compared_by_forward = collecting.compared
        return context.compared_by_forward or set()

    def told(self, context: Context, u: Expression, same: Expression) -> tuple[str, bool, str]:
        """A kink in the inputs, which the user has names for: what it is up to names, whether some are made up, the text."""
        u = self._in_inputs(context, u) or u
        free = free_in(u) | free_in(same)
        moves = named(free)
        u, same = (renamed(context, v, moves) for v in (u, same))
        text, key = kink_text(u, same, [moves.get(i, i) for i in free])
        return key, bool(moves), text

    def _in_inputs(self, context: Context, u: Expression) -> Expression | None:
        """The expression with every definition written out; None where it becomes too long."""
        while names := [n for n in elements_in(u) if n in self.definitions]:
            meanings = {n: (d.indices, of_term(context, d.term)) for n, d in ((n, self.definitions[n]) for n in names)}
            if any(self.definitions[n].recurrent for n in names) or sum(len(v) for _, v in meanings.values()) > LONGEST:
                return None
            u = inlined(context, u, meanings)
            if len(u) > LONGEST:
                return None
        return u

    def _smooth(self, context: Context, u: Expression) -> bool:
        return all(self._smooth_atom(context, a, e) for m in u for a, e in m)

    def _smooth_atom(self, context: Context, a: ProofAtom, e: Rational) -> bool:
        """Whether a power of an atom is analytic in the inputs."""
        if isinstance(a, Element):
            return a.name in self.smooth
        if isinstance(a, Above) or isinstance(a, Apply) and _jumps(a.function) or isinstance(a, Reduction) and a.kind != "prod":
            return False
        if isinstance(a, Base) and not whole(e) and not _positive(context, dict(a.terms)):
            return False  # a root of what reaches 0: √(x²) − x is 0 in a half
        return all(self._smooth_atom(context, b, f) for m in a.inside() for b, f in m)


def _jumps(function: str) -> bool:
    """Whether a function is constant between jumps, or infinite."""
    return functions()[function].step or function == "inf"


def _positive(context: Context, u: Expression) -> bool:
    return all_positive(context, u) and any(all(strictly(a) for a, _ in m) for m in u)


def kinks(
    inputs: Iterable[str], kinds: Mapping[str, str], definitions: Iterable[Definition], own: Iterable[str] | None = None
) -> Kinks:
    """What is known of the names.

    Args:
        inputs: the inputs in question.
        kinds: the kind of every input.
        definitions: all definitions, each after those that it reads.
        own: the names of those of the forward and its gradient; None: all are.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("u[n] := x[n]*m[n] + 1; r[n] := [x[n] > 0]*x[n]; s := sum(n: r[n])", {"x": "N", "m": "N"})
    >>> found = kinks(["x"], {"x": "float", "m": "float"}, p.definitions)
    >>> sorted(found.moving), sorted(found.smooth)
    (['r', 's', 'u', 'x'], ['m', 'u', 'x'])
    """
    every = tuple(definitions)
    real = frozenset(n for n, kind in kinds.items() if kind == "float")
    smooth = set(real)
    known = {d.name: d for d in every}
    for d in every:
        if d.kind == "float" and all(_smooth(t, smooth | {d.name}, known) for t in subterms(d.term)):
            smooth.add(d.name)
    return Kinks(moving(inputs, every), frozenset(smooth), known, real, frozenset(known if own is None else own))


def _smooth(t: Term, names: set[str], known: Mapping[str, Definition]) -> bool:
    """Whether a term is analytic in its parts."""
    if isinstance(t, Ref):
        return t.name in names
    if isinstance(t, Bracket):
        return isinstance(t.operand, Poly)
    if isinstance(t, Over):
        return t.kind in ("sum", "prod", *MATRICES)  # analytic where they are defined
    if isinstance(t, Pow):
        e = t.exponent
        return isinstance(e, Number) and e.value.denominator == 1 or above_zero(t.base, known)
    return not isinstance(t, Func) or not _jumps(t.name)


def moving(inputs: Iterable[str], definitions: Iterable[Definition]) -> frozenset[str]:
    """The names that depend on some inputs, through whatever is computed of them.

    >>> from derivcheck.notation.text.parse import parse_program
    >>> p = parse_program("y[n] := 2*x[n]; z[n] := y[n]*m[n]; k[n] := 3*m[n]", {"x": "N", "m": "N"})
    >>> sorted(moving(["x"], p.definitions))
    ['x', 'y', 'z']
    """
    found = set(inputs)
    for d in definitions:
        if not found.isdisjoint(d.term.names):
            found.add(d.name)
    return frozenset(found)
