"""Several terms of a gradient off by one factor: a mean over two axes, divided by one of them wherever it is taken.

With the effects ``E_k`` of the terms, a backward that takes those of a set ``S`` with one coefficient ``c`` is off by
``(c − 1)·Σ_S E_k``; least squares gives ``c`` for each set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess, edited, place, short
from derivcheck.diagnosis.paths import Edge, taken, tiny
from derivcheck.diagnosis.scale import Coefficient, divided_by, monomials, why
from derivcheck.diagnosis.scene import Array, Scene, backward_definitions
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Add, Mul, Over, Term
from derivcheck.notation.terms.substitute import summation

EXAMPLE = Example(
    forward="m[n] := sum(c, l: x[n,c,l])/(C*L); y[n,c,l] := x[n,c,l] - m[n] + m[n]^2*x[n,c,l]^2",
    dims={"x": "N C L"},
    parameter="x",
    right="m[n] := sum(c, l: x[n,c,l])/(C*L); x_bar[n,c,l] := grad_output[n,c,l]*(1 + 2*m[n]^2*x[n,c,l])"
    " - sum(c, l: grad_output[n,c,l])/(C*L) + 2*m[n]*sum(c, l: grad_output[n,c,l]*x[n,c,l]^2)/(C*L)",
    wrong="m[n] := sum(c, l: x[n,c,l])/(C*L); x_bar[n,c,l] := grad_output[n,c,l]*(1 + 2*m[n]^2*x[n,c,l])"
    " - sum(c, l: grad_output[n,c,l])/L + 2*m[n]*sum(c, l: grad_output[n,c,l]*x[n,c,l]^2)/L",
    says="divided by L, but the mean is over C·L",
)
MOST = 6  # terms of one definition beyond which sets of them are not tried


@dataclass(frozen=True)
class AdjointPart:
    """One addend of a definition of the adjoint: a path of the chain rule, or an addend of its one term."""

    term: Term
    words: str


def groups(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Every set of the parts of one definition, taken with one coefficient."""
    found = scene.found
    if found is None or found.shape != scene.right.shape or not np.isfinite(found).all():
        return
    residual = (found - scene.right).ravel()
    slack = max(1e-6, 100 * scene.relative) * float(np.linalg.norm(residual))
    for d, parts, fewest in _divided(scene):
        effects = [_effect(scene, d, parts, p) for p in parts]
        live = [(p, e) for p, e in zip(parts, effects) if e is not None and not tiny(scene, e)]
        for count in range(fewest, len(live)) if len(live) <= MOST else ():
            for chosen in combinations(live, count):
                total = np.sum([e for _, e in chosen], axis=0).ravel()
                norm = float(total @ total)
                c = 1 + float(total @ residual) / norm if norm else 1.0
                if np.linalg.norm(residual - (c - 1) * total) <= slack:
                    yield from _guesses(scene, d, parts, [p for p, _ in chosen], c)


def _divided(scene: Scene) -> Iterator[tuple[Definition, list[AdjointPart], int]]:
    """Definitions in parts, with the fewest parts of a set: one path alone is the business of another family."""
    if scene.deep:
        addends = [] if scene.inlined is None else distributed(scene.inlined)
        if len(addends) > 1:
            final = scene.program.definition(f"{scene.name}_bar")
            yield final, [AdjointPart(a, f"the term {short(a)}") for a in addends], 1
        return
    for d in backward_definitions(scene.program, scene.case.forward):
        if len(d.paths) > 2:
            yield d, [AdjointPart(p.term, Edge(d, p).text(scene)) for p in d.paths], 2


def distributed(term: Term) -> list[Term]:
    """The addends of a term, a product or a sum over indices distributed over the one sum that it holds."""
    if isinstance(term, Add):
        return list(term.args)
    if isinstance(term, Mul):
        inner = [(k, distributed(a)) for k, a in enumerate(term.args)]
        split = [(k, parts) for k, parts in inner if len(parts) > 1]
        if len(split) == 1:
            k, parts = split[0]
            return [mul(*term.args[:k], a, *term.args[k + 1 :]) for a in parts]
    if isinstance(term, Over) and term.kind == "sum":
        return [summation(term.indices, a) for a in distributed(term.body)]
    return [term]


def _effect(scene: Scene, d: Definition, parts: Sequence[AdjointPart], part: AdjointPart) -> Array | None:
    twice = scene.changed({d.name: add(*(p.term for p in parts), part.term)})
    return None if twice is None or not np.isfinite(twice).all() else twice - scene.right


def _guesses(
    scene: Scene, d: Definition, parts: Sequence[AdjointPart], chosen: Sequence[AdjointPart], c: float
) -> Iterator[Guess]:
    """Some parts of an adjoint taken with the coefficient ``c`` in place of 1, once for each way to read that number."""
    names = " and ".join(p.words for p in chosen)
    for read in monomials(scene, c):
        if read.value == 1:
            continue
        reason = _why(scene, chosen, read)
        words = f"{names} {taken(read, len(chosen) > 1)}{place(scene, d) if scene.deep else ''}" + (
            f": {reason}" if reason else ""
        )
        terms = (mul(read.term, p.term) if p in chosen else p.term for p in parts)
        yield edited("path", words, {d.name: add(*terms)})


def _why(scene: Scene, chosen: Sequence[AdjointPart], read: Coefficient) -> str:
    """The divisor that all of them have and should have, where it is one."""
    over: list[dict[str, Fraction]] = [divided_by(scene, p.term) for p in chosen]
    return why(scene, over[0], read.rational, read.powers) if read.powers and all(o == over[0] for o in over) else ""
