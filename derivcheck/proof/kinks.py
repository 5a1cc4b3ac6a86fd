"""Which comparisons are kinks: where two sides meet in a set of measure zero, and any subgradient is as good as another.

A bracket of what depends on the inputs in question meets its other side there.  A mask does not: it is 0 in whole
regions, whether it is boolean or a tensor of zeros and ones, and ``[m ≠ 0]`` says where.  Nor is there a kink where what is
compared may be 0 in whole regions itself: ``Σ relu(x)``, ``max(x) − x``, ``floor(x)``.  An equality belongs to a kink
where the same two numbers are also ordered: ``[a > b] + [a = b]/2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from derivcheck.notation.program import Definition
from derivcheck.notation.sizes import Poly
from derivcheck.notation.terms import Add, Bracket, Func, Mul, Number, Over, Pow, Ref, SizeOf, Term, neg
from derivcheck.notation.walking import subterms
from derivcheck.proof.atoms import Atom, Expression, Rational, elements_in
from derivcheck.proof.atoms import whole as integral
from derivcheck.proof.conditions import above_zero
from derivcheck.proof.powers import all_positive, strictly

if TYPE_CHECKING:
    from derivcheck.proof.space import Space

STEPS = ("floor", "ceil", "trunc", "round", "inf")


@dataclass(frozen=True)
class Kinks:
    """Which names a kink may speak of.

    Attributes:
        moving: those that depend on the inputs in question.
        smooth: those that are analytic in the inputs: no brackets, extremes or steps in them.
        varying: of the smooth ones those of which no element is 0 in a whole region.
    """

    moving: frozenset[str]
    smooth: frozenset[str]
    varying: frozenset[str]

    def at(self, space: Space, u: Expression) -> bool:
        """Whether ``u = 0`` in a set of measure zero alone, which a step of the inputs in question crosses."""
        return not self.moving.isdisjoint(elements_in(u)) and self._smooth(space, u) and any(map(self._varies, u))

    def _smooth(self, space: Space, u: Expression) -> bool:
        return all(self._smooth_atom(space, a, e) for m in u for a, e in m)

    def _smooth_atom(self, space: Space, a: Atom, e: Rational) -> bool:
        inside: list[Expression] = []
        if a.kind == "element":
            return a.data[0] in self.smooth
        if a.kind in ("above", "over") or a.kind == "apply" and a.data[0] in STEPS:
            return a.kind == "over" and a.data[0] == "prod" and self._smooth(space, dict(a.data[2]))
        if a.kind == "base":
            inside = [dict(a.data[0])]
            if not integral(e) and not _positive(space, inside[0]):
                return False  # a root of what reaches 0: √(x²) − x is 0 in a half
        elif a.kind == "apply":
            inside = [dict(v) for v in a.data[1]]
        elif a.kind in ("exp", "sigma"):
            inside = [{a.data[-1]: 1}]
        return all(self._smooth(space, v) for v in inside)

    def _varies(self, m: Iterable[tuple[Atom, Rational]]) -> bool:
        factors = [a for a, _ in m if not strictly(a)]
        return bool(factors) and all(map(self._varies_atom, factors))

    def _varies_atom(self, a: Atom) -> bool:
        if a.kind == "element":
            return a.data[0] in self.varying
        if a.kind == "sigma":
            return self._varies(a.data[1])
        if a.kind == "apply":
            return any(self._varies(m) for v in a.data[1] for m, _ in v)
        return a.kind == "base" and any(self._varies(m) for m, _ in a.data[0])


def _positive(space: Space, u: Expression) -> bool:
    return all_positive(space, u) and any(all(strictly(a) for a, _ in m) for m in u)


def kinks(inputs: Iterable[str], kinds: Mapping[str, str], definitions: Iterable[Definition]) -> Kinks:
    """What is known of the names.

    Args:
        inputs: the inputs in question.
        kinds: the kind of every input.
        definitions: all definitions, each after those that it reads.

    >>> from derivcheck.notation.parse import parse_program
    >>> p = parse_program("u[n] := x[n]*m[n] + 1; r[n] := [x[n] > 0]*x[n]; s := sum(n: r[n])", {"x": "N", "m": "N"})
    >>> found = kinks(["x"], {"x": "float", "m": "float"}, p.definitions)
    >>> sorted(found.moving), sorted(found.smooth), sorted(found.varying)
    (['r', 's', 'u', 'x'], ['m', 'u', 'x'], ['m', 'u', 'x'])
    """
    every = tuple(definitions)
    smooth = {n for n, kind in kinds.items() if kind == "float"}
    varying = set(smooth)
    known = {d.name: d for d in every}
    for d in every:
        if d.kind == "float" and all(_smooth(t, smooth | {d.name}, known) for t in subterms(d.term)):
            smooth.add(d.name)
            if _varies(d.term, varying):
                varying.add(d.name)
    return Kinks(moving(inputs, every), frozenset(smooth), frozenset(varying))


def _smooth(t: Term, names: set[str], known: Mapping[str, Definition]) -> bool:
    """Whether a term is analytic in its parts."""
    if isinstance(t, Ref):
        return t.name in names
    if isinstance(t, Bracket):
        return isinstance(t.operand, Poly)
    if isinstance(t, Over):
        return t.kind in ("sum", "prod")
    if isinstance(t, Pow):
        e = t.exponent
        return isinstance(e, Number) and e.value.denominator == 1 or above_zero(t.base, known)
    return not isinstance(t, Func) or t.name not in STEPS


def _varies(t: Term, names: set[str]) -> bool:
    """Whether a smooth term is not 0 in a whole region: something in it moves freely, and nothing takes that away."""
    if isinstance(t, Ref):
        return t.name in names
    if isinstance(t, Add):
        return any(_varies(a, names) for a in t.args)
    if isinstance(t, Mul):
        free = [a for a in t.args if not (isinstance(a, (Number, SizeOf)) or above_zero(a, {}))]
        return bool(free) and all(_varies(a, names) for a in free)
    if isinstance(t, Pow):
        return _varies(t.base, names)
    if isinstance(t, Func):
        return any(_varies(a, names) for a in t.args)
    return isinstance(t, Over) and _varies(t.body, names)


def moving(inputs: Iterable[str], definitions: Iterable[Definition]) -> frozenset[str]:
    """The names that depend on some inputs, through whatever is computed of them.

    >>> from derivcheck.notation.parse import parse_program
    >>> p = parse_program("y[n] := 2*x[n]; z[n] := y[n]*m[n]; k[n] := 3*m[n]", {"x": "N", "m": "N"})
    >>> sorted(moving(["x"], p.definitions))
    ['x', 'y', 'z']
    """
    found = set(inputs)
    for d in definitions:
        if not found.isdisjoint(d.term.names):
            found.add(d.name)
    return frozenset(found)


def leaves_equalities_out(terms: Iterable[Term], kinds: Mapping[str, str]) -> bool:
    """Whether every equality of real numbers is that of a kink, so that it may be left out where the kinks are."""
    ordered: set[Term] = set()
    equal: list[Term] = []
    for t in {s for term in terms for s in subterms(term)}:
        if isinstance(t, Bracket) and isinstance(t.operand, Term) and not whole(t.operand, kinds):
            if t.relation in (">", ">="):
                ordered |= {t.operand, neg(t.operand)}
            else:
                equal.append(t.operand)
    return all(e in ordered for e in equal)


def whole(t: Term, kinds: Mapping[str, str]) -> bool:
    """Whether it is an element of a boolean or integer tensor."""
    return isinstance(t, Ref) and kinds.get(t.name, "float") != "float"
