"""The conditions on the data that decide a gradient, and which of their sides some data take.

A comparison of numbers (a kink, a threshold), a label that is compared with a number (an ignored class, a padding row, a
mask) and an extreme (a tie) choose what flows.  They stand in the adjoint as brackets and as ``max``, ``argmax``; a bracket of
sizes and indices alone is no condition on the data, and ``[t[n] = c]`` of a label and an index is a place that a gather reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic.live import array
from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly, i_poly
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.program.domains import above_zero, has_infinity, told
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, mul, neg
from derivcheck.notation.terms.nodes import Add, Bracket, Number, Over, Ref, SizeOf, Term, is_negative
from derivcheck.notation.terms.substitute import substitute
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import sizes_of

SIGNS = {">": {1}, ">=": {0, 1}, "<": {-1}, "<=": {-1, 0}, "==": {0}, "!=": {-1, 1}}
OTHER = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
WIDER = {">": ">=", "<": "<="}
TIE = 2  # the sign, as it were, of an extreme that is attained more than once
LONGEST = 60  # characters in which an operand is told by the inputs alone
DENSE = 1 << 22  # elements of an operand beyond which it is not looked at


@dataclass(frozen=True)
class SideCondition:
    """``operand`` beside 0, or an extreme.

    Attributes:
        operand: a float term; an integer expression as a term; of an extreme, its body.
        over: the indices of an extreme; () of a comparison.
        extreme: ``max``, ``argmax``, …; "" of a comparison.
        label: the integer input that is compared; "" of numbers.
        shown: the operand for the reader, without made-up names.
        named: how its side is said, where the operand is made up: ``-1 < x[n] < 1``.
        place: the operator and the user's line, for the reader.
    """

    operand: Term
    over: tuple[Index, ...] = ()
    extreme: str = ""
    label: str = ""
    place: str = field(default="", compare=False)
    shown: Term | None = field(default=None, compare=False)
    named: str = ""

    def said(self, side: str) -> str:
        """A side in words: ``x[n] > 1``."""
        if self.named:
            return self.named
        if self.extreme:
            return f"a tie of {self.extreme.removeprefix('arg')} {self.shown or self.operand}"
        if isinstance(self.operand, SizeOf):  # labels
            poly = self.operand.value
            bound = -next((c for m, c in poly.terms if not m), 0)
            return f"{poly + bound} {side} {bound}".replace("[]", "")
        shown = self.shown or self.operand
        if _starts_negative(shown):
            shown, side = neg(shown), TURNED[side]
        rest, limit = apart(shown)
        return f"{rest} {side} {float(limit):g}"


class SidesTaken:
    """What is taken of the conditions of one adjoint, and by what first."""

    def __init__(self, forward: Program, adjoint: Program, upstream: Iterable[str]) -> None:
        """The sides that the adjoint asks about, without those that no data can take, and a Program that gives their
        operands."""
        still = _still(adjoint, set(upstream))
        found: dict[SideCondition, dict[str, None]] = {}
        for c, side in _conditions(still, _places(forward, adjoint)):
            found.setdefault(c, {})[side] = None
        found |= {c: {">": None} for c in _bands(found)}
        known = {d.name: d for d in still.definitions}
        possible = {c: [s for s in sides if not _impossible(c, s, known)] for c, sides in found.items()}
        # of abs, x > 0 and x < 0
        self.wanted = {c: tuple(s for s in sides if s not in {WIDER.get(o) for o in sides}) for c, sides in possible.items()}
        self.one_sided = {c for c in self.wanted if _impossible(c, "<", known)}
        self.taken: dict[SideCondition, set[int]] = {c: set() for c in self.wanted}
        self.by: dict[tuple[SideCondition, str], str] = {}
        self.names = {f"side_{k}": c for k, c in enumerate(self.wanted)}
        self.program = _operands(still, self.names)

    @property
    def open(self) -> list[tuple[SideCondition, str]]:
        """The sides that nothing took yet, or nothing but their edge: there another subgradient is as good."""
        every = ((c, side) for c, sides in self.wanted.items() for side in sides)
        return [(c, side) for c, side in every if (c, side) not in self.by or self._edge(c, side)]

    def _edge(self, c: SideCondition, side: str) -> bool:
        """Whether of ``x <= 0`` nothing but 0 was taken, though there may be more."""
        return side in ("<=", ">=") and self.taken[c].isdisjoint(SIGNS[side] - {0}) and c not in self.one_sided

    def at(self, tensors: Mapping[str, torch.Tensor]) -> dict[SideCondition, set[int]]:
        """The signs that each condition's operand has at these data; nothing of what is empty or cannot be evaluated."""
        if not self.wanted or any(not t.numel() for t in tensors.values()):
            return {}
        given = {n: tensors[n] for n in self.program.inputs if n in tensors}
        try:
            sizes = sizes_of(self.program, given)
            if max(prod(p.at(sizes) for p in self.program.dims(n)) for n in self.names) > DENSE:
                return {}
            found = evaluate(self.program, {n: array(t) for n, t in given.items()}, sizes)
        except (DerivcheckError, ArithmeticError, ValueError, IndexError, MemoryError):
            return {}
        return {c: _signs(c, found[name], self.program.definition(name)) for name, c in self.names.items() if name in found}

    def news(self, tensors: Mapping[str, torch.Tensor]) -> dict[SideCondition, set[int]]:
        """What these data take that nothing took before."""
        return {c: new for c, signs in self.at(tensors).items() if (new := signs - self.taken[c])}

    def take(self, found: Mapping[SideCondition, set[int]], by: str) -> None:
        """Note what data took that a gradient was held against."""
        for c, signs in found.items():
            self.taken[c] |= signs
            for side in self.wanted[c]:
                if signs & (SIGNS[side] if not c.extreme else {TIE}):
                    self.by.setdefault((c, side), by)

    def reached(self) -> dict[str, str]:
        """Each side in words with what took it first, ``""`` where nothing did."""
        return {c.said(side): self.by.get((c, side), "") for c, sides in self.wanted.items() for side in sides}

    def never(self) -> list[str]:
        """The sides that nothing took, in words, each with its place.  At a tie a convention decides: it is none of them."""
        left = [(c, side) for c, side in self.open if not c.extreme and (c, side) not in self.by]
        return [c.said(side) + (f" ({c.place})" if c.place else "") for c, side in left]


def apart(operand: Term) -> tuple[Term, Fraction]:
    """What is compared, and the number with which: ``x - 1`` as x and 1."""
    parts = operand.args if isinstance(operand, Add) else (operand,)
    limit = -sum((a.value for a in parts if isinstance(a, Number)), Fraction(0))
    return add(*(a for a in parts if not isinstance(a, Number))), limit


def _still(adjoint: Program, upstream: set[str]) -> Program:
    """The adjoint without what depends on an upstream gradient, except for the conditions that stand in it."""
    moving = set(upstream)
    for d in adjoint.definitions:
        if not d.term.names.isdisjoint(moving):
            moving.add(d.name)
    return replace(adjoint, arguments=tuple(a for a in adjoint.arguments if a.name not in upstream), outputs=tuple(moving))


def _places(forward: Program, adjoint: Program) -> dict[Term, str]:
    """For each bracket and extreme, the operator and line of the code that it comes from."""
    found: dict[Term, str] = {}
    for d in (*forward.definitions, *adjoint.definitions):
        for t in subterms(d.term):
            if isinstance(t, (Bracket, Over)):
                found.setdefault(t, " at ".join(filter(None, (d.rule, d.place))))
    return found


def _conditions(still: Program, places: Mapping[Term, str]) -> Iterator[tuple[SideCondition, str]]:
    """Each condition with each side that it tells apart."""
    moving = set(still.outputs)
    inside = [(d, t) for d in still.definitions for t in _deciding(d.term) if t.names.isdisjoint(moving)]
    compared: set[str] = set()
    known: dict[Term, SideCondition] = {}
    for _, t in inside:
        if isinstance(t, Bracket):
            compared |= t.names if isinstance(t.operand, Term) else set()
            found = _compared(t, still, places[t], known)
            if found is not None:
                yield found
                yield found[0], OTHER[found[1]]
    for d, t in inside:
        if not isinstance(t, Over) or t.kind not in ("max", "min", "argmax", "argmin"):
            continue
        floats = any(isinstance(s, Ref) and still.kind(s.name) == "float" for s in subterms(t.body))
        if floats and not isinstance(t.body, Bracket) and (t.kind.startswith("arg") or d.name in compared):
            yield SideCondition(t.body, t.indices, t.kind, place=places[t], shown=_shown(t.body, still)), "=="


def _bands(conditions: Iterable[SideCondition]) -> Iterator[SideCondition]:
    """Between two numbers with which the same is compared: ``|x| < 1`` is on a side of both that neither side has alone."""
    limits: dict[Term, dict[Fraction, SideCondition]] = {}
    for c in conditions:
        if not c.label and not c.extreme:
            rest, limit = apart(c.operand)
            limits.setdefault(_renamed(rest), {}).setdefault(limit, c)
    for found in limits.values():
        for low, high in pairwise(sorted(found)):
            c = found[low]
            rest, shown = apart(c.operand)[0], str(apart(c.shown or c.operand)[0])
            inside = mul(add(rest, Number(-low)), add(Number(high), neg(rest)))
            yield SideCondition(inside, place=c.place, named=f"{float(low):g} < {shown} < {float(high):g}")


def _deciding(term: Term) -> Iterator[Bracket | Over]:
    """The brackets on data and the extremes in it; what an ``argmax`` compares to find its place decides nothing else."""
    if isinstance(term, (Bracket, Over)) and term.names:
        yield term
    if not (isinstance(term, Over) and term.kind.startswith("arg")):
        for child in term.children:
            yield from _deciding(child)


def _compared(b: Bracket, still: Program, place: str, known: dict[Term, SideCondition]) -> tuple[SideCondition, str] | None:
    """A bracket as a condition and the side on which it holds; ``[x > 0]`` and ``[−x > 0]`` share one."""
    given = {a.name: a.kind for a in still.arguments}
    label, operand = "", b.operand
    if isinstance(operand, Term) and (not _numbers(operand) or has_infinity(operand)):  # whether a number is NaN, or infinite
        return None
    if isinstance(operand, Ref) and still.kind(operand.name) != "float":
        label = operand.name
    elif isinstance(operand, Poly):
        entries = [a for a in operand.atoms() if isinstance(a, Entry)]
        if len(entries) != 1 or operand.linear_in(entries[0]) is None:
            return None
        if b.relation in ("==", "!=") and any(isinstance(a, Index) for a in operand.atoms()):
            return None
        label, operand = entries[0].name, SizeOf(operand)
    if label and label not in given:  # what a comparison gave: it is a condition itself
        return None
    key, opposite = _renamed(operand), _renamed(_negative(operand))
    if opposite in known:
        return known[opposite], TURNED[b.relation]
    turned = not isinstance(operand, SizeOf) and _starts_negative(operand)
    operand = neg(operand) if turned else operand
    c = SideCondition(operand, label=label, place=place, shown=_shown(operand, still))
    c = known.setdefault(opposite if turned else key, c)
    return c, TURNED[b.relation] if turned else b.relation


def _numbers(t: Term) -> bool:
    """Whether an element of a tensor stands in it, and not in a bracket alone."""
    return isinstance(t, (Ref, SizeOf)) or not isinstance(t, Bracket) and any(_numbers(a) for a in t.children)


def _shown(t: Term, program: Program) -> Term:
    new = told(t, {d.name: d for d in program.definitions})
    return new if len(str(new)) <= LONGEST and not any(isinstance(s, Bracket) for s in subterms(new)) else t


def _starts_negative(t: Term) -> bool:
    first = next((a for a in t.args if not isinstance(a, Number)), t) if isinstance(t, Add) else t
    return is_negative(first)


def _negative(t: Term) -> Term:
    return SizeOf(-t.value) if isinstance(t, SizeOf) else neg(t)


def _renamed(t: Term) -> Term:
    """The same term whatever its indices are called: two sums over the same elements have one condition."""
    indices = sorted(t.free, key=lambda i: (str(t).find(i.name), i.key))
    return substitute(t, {i: i_poly(Index(f"i{k}", i.size)) for k, i in enumerate(indices)})


def _impossible(c: SideCondition, side: str, known: Mapping[str, Definition]) -> bool:
    """Whether no number is on that side: ``x² + 1 ≤ 0``."""
    if c.extreme or side in (">", ">="):
        return False
    if side == "<":
        return above_zero(c.operand, known, strict=False)
    return side != "!=" and above_zero(c.operand, known)


def _operands(still: Program, names: Mapping[str, SideCondition]) -> Program:
    """The Program that gives every operand."""
    extra = []
    for name, c in names.items():
        term = c.operand
        indices = tuple(sorted(term.free | set(c.over), key=lambda i: (i.key, id(i))))
        extra.append(Definition(name, indices, term))
    whole = replace(still, definitions=(*still.definitions, *extra), requires=(), outputs=tuple(names))
    needed = whole.needed(tuple(names))
    used = {n for d in needed.definitions for n in (*d.term.names, *(m for p in d.dims for m in p.names))}
    sizes = {n for d in needed.definitions for p in d.dims for n in p.sizes()}
    kept = tuple(a for a in needed.arguments if a.name in used or any(p.sizes() & sizes for p in a.dims))
    return replace(needed, arguments=kept)


def _signs(c: SideCondition, values: Any, d: Definition) -> set[int]:
    """Which signs the operand of a condition takes at these values; of an extreme, whether two elements tie for it."""
    if not values.size:
        return set()
    if c.extreme:
        axes = tuple(k for k, i in enumerate(d.indices) if i in c.over)
        best = values.max(axis=axes, keepdims=True) if c.extreme.endswith("max") else values.min(axis=axes, keepdims=True)
        return {TIE} if bool(((values == best).sum(axis=axes) > 1).any()) else set()
    with np.errstate(invalid="ignore"):
        return {sign for sign, there in ((-1, values < 0), (0, values == 0), (1, values > 0)) if bool(there.any())}
