"""A path of the chain rule with a wrong coefficient: forgotten, subtracted twice, of the wrong sign.

The gradient is linear in each path: with the effect ``E`` that a path has on the gradient, a backward that
takes it with coefficient ``c`` is off by ``(c − 1)·E``, and least squares gives ``c``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess, place, short
from derivcheck.diagnosis.scale import Coefficient, divided_by, exactly, monomials, why
from derivcheck.diagnosis.scene import Array, Scene, backward_definitions
from derivcheck.notation.program.definitions import Definition, Path
from derivcheck.notation.terms.build import add, mul, neg
from derivcheck.notation.terms.nodes import Number, Term

EXAMPLE = Example(
    forward="m := sum(n: x[n])/N; y[n] := (x[n] - m)^3",
    dims={"x": "N"},
    parameter="x",
    right="x_bar[n] := 3*grad_output[n]*(x[n] - m)^2 - sum(k: 3*grad_output[k]*(x[k] - m)^2)/N; m := sum(n: x[n])/N",
    wrong="x_bar[n] := 3*grad_output[n]*(x[n] - m)^2; m := sum(n: x[n])/N",
    says="through m",
)
COEFFICIENTS = (Fraction(0), Fraction(-1), Fraction(2))


@dataclass(frozen=True)
class Edge:
    """One path of the chain rule: into the adjoint of ``definition``, from that of ``path.through``."""

    definition: Definition
    path: Path

    def terms(self, scene: Scene, coefficient: Term) -> dict[str, Term]:
        """The definition with this path taken ``coefficient`` times."""
        others = [p.term for p in self.definition.paths if p is not self.path]
        return {self.definition.name: add(*others, mul(coefficient, self.path.term))}

    def effect(self, scene: Scene) -> Array | None:
        """What the path contributes to the gradient."""
        twice = scene.changed(self.terms(scene, Number(2)))
        return None if twice is None else twice - scene.right

    def text(self, scene: Scene) -> str:
        """The path in words; a direct one is said to be direct where another goes on through the same place."""
        target, through, own = self.definition.name.removesuffix("_bar"), self.path.through, short(self.path.term)
        if not through:
            return f"what arrives at the output {target} itself ({own})"
        alone = sum(p.through == through for p in self.definition.paths) == 1
        if through in self._reached_by_others(scene):
            return f"the direct path from {target} to {through}" + ("" if alone else f" ({own})")
        return f"the path {'' if alone else own + ' '}through {through}" + place(scene, self.definition)

    def _reached_by_others(self, scene: Scene) -> set[str]:
        """Where the other paths from here go on to, those that contribute nothing left aside."""
        adjoints = {d.name: d for d in backward_definitions(scene.program, scene.case.forward)}
        reached: set[str] = set()
        ahead = [p.through for p in self.definition.paths if p.through != self.path.through]
        for name in ahead:
            if (d := adjoints.get(f"{name}_bar")) is None:
                continue
            for p in d.paths:
                if p.through not in reached and not (len(d.paths) > 1 and Edge(d, p).idle(scene)):
                    reached.add(p.through)
                    ahead.append(p.through)
        return reached

    def idle(self, scene: Scene) -> bool:
        """Whether it contributes nothing but rounding."""
        effect = self.effect(scene)
        return effect is not None and tiny(scene, effect)


def edges(scene: Scene) -> list[Edge]:
    """The paths, nearest to the input first; where there is but one way, there is nothing to forget."""
    return [Edge(d, p) for d in backward_definitions(scene.program, scene.case.forward) if len(d.paths) > 1 for p in d.paths]


def without_idle_paths(scene: Scene) -> dict[str, Term]:
    """The adjoints without the paths that contribute nothing at the right values: no published form has them.

    ``Σ(x − mean)`` is zero, but not for a mean that is computed wrongly.
    """
    idle: dict[str, list[Path]] = {}
    for edge in edges(scene):
        if edge.idle(scene):
            idle.setdefault(edge.definition.name, []).append(edge.path)
    kept = {}
    for name, paths in idle.items():
        kept[name] = add(*(p.term for p in scene.program.definition(name).paths if p not in paths))
    return kept


def paths(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """One path with another coefficient, or two with coefficients out of 0, −1, 2."""
    found = scene.found
    if found is None or found.shape != scene.right.shape or not np.isfinite(found).all():
        return
    residual = (found - scene.right).ravel()
    known: list[tuple[Edge, Array]] = []
    for edge in edges(scene):
        effect = edge.effect(scene)
        if effect is None or not np.isfinite(effect).all() or tiny(scene, effect):
            continue
        flat = effect.ravel()
        known.append((edge, flat))
        c = 1 + float(flat @ residual) / float(flat @ flat)
        if np.linalg.norm(residual - (c - 1) * flat) <= 1e-6 * np.linalg.norm(residual) or scene.relative > 1e-8:
            yield from _one(scene, edge, c)
    for a, (left, u) in enumerate(known):
        for right, v in known[a + 1 :]:
            for p in COEFFICIENTS:
                for q in COEFFICIENTS:
                    if np.linalg.norm(residual - float(p - 1) * u - float(q - 1) * v) <= max(
                        1e-6, 100 * scene.relative
                    ) * np.linalg.norm(residual):
                        if left.definition is right.definition and p == q == -1 and len(left.definition.paths) == 2:
                            continue
                        yield _two(scene, (left, right), (p, q))


def tiny(scene: Scene, effect: Array) -> bool:
    """Whether a path contributes nothing but rounding."""
    scale = float(np.abs(scene.right).max()) if scene.right.size else 0.0
    return not effect.size or float(np.abs(effect).max()) <= 1e3 * 1e-16 * scale


def _one(scene: Scene, edge: Edge, c: float) -> Iterator[Guess]:
    for read in monomials(scene, c):
        if read.value != 1:
            reason = why(scene, divided_by(scene, edge.path.term), read.rational, read.powers) if read.powers else ""
            words = f"{edge.text(scene)} {taken(read)}" + (f": {reason}" if reason else "")
            yield Guess("path", words, _predict([(edge, read.term)]))


def _two(scene: Scene, pair: Sequence[Edge], coefficients: Sequence[Fraction]) -> Guess:
    words = " and ".join(f"{e.text(scene)} {taken(exactly(c))}" for e, c in zip(pair, coefficients))
    through = [e.path.through for e in pair]
    if not any(coefficients) and not set(through) & set(scene.case.forward.outputs):
        words = f"{' and '.join(through)} are taken as constants, and depend on {scene.name}: {words}"
    return Guess("path", words, _predict([(e, Number(c)) for e, c in zip(pair, coefficients)]))


def _predict(changes: Sequence[tuple[Edge, Term]]) -> Callable[[Scene], Array | None]:
    terms: dict[str, Term] = {}
    for edge, coefficient in changes:
        before = terms.get(edge.definition.name, add(*(p.term for p in edge.definition.paths)))
        terms[edge.definition.name] = add(before, mul(coefficient, edge.path.term), neg(edge.path.term))
    return lambda s: s.changed(terms)


def taken(c: Coefficient, plural: bool = False) -> str:
    """What is wrong with what is taken ``c`` times, in words."""
    be, have = ("are", "have") if plural else ("is", "has")
    if c.value == 0:
        return f"{be} left out"
    if c.value == -1:
        return f"{have} the wrong sign"
    if c.value == 2:
        return f"{be} taken twice"
    return f"{be} taken {c.text} times"
