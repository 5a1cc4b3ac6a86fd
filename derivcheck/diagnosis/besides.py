"""Two mistakes at once: one of those that alone explain the gradient up to a factor, or up to one path of the chain rule.

A pair says more than the numbers may bear: it counts only where the backward is run at other sizes too, and reproduced there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess, edited
from derivcheck.diagnosis.paths import Edge, edges, taken
from derivcheck.diagnosis.repair.clock import clock
from derivcheck.diagnosis.scale import Factor, factors_of, monomials, too_many
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.terms.build import add, mul
from derivcheck.notation.terms.nodes import Term

EXAMPLE = Example(
    forward="count := sum(n, c: m[n,c]); L := sum(n, c: m[n,c]*(x[n,c] - t[n,c])^2)/count",
    dims={"x": "N C", "t": "N C", "m": "N C"},
    parameter="x",
    right="count := sum(n, c: m[n,c]); x_bar[n,c] := 2*grad_output*m[n,c]*(x[n,c] - t[n,c])/count",
    wrong="x_bar[n,c] := 2*grad_output*(x[n,c] - t[n,c])/(N*C)",
    says="and besides",
)
OF_ONE_PATH = Example(
    forward="m[n] := sum(c: x[n,c])/C; g[n] := sigmoid(m[n]); y[n,c] := x[n,c]*g[n]",
    dims={"x": "N C"},
    parameter="x",
    right="m[n] := sum(c: x[n,c])/C; g[n] := sigmoid(m[n]); "
    "x_bar[n,c] := grad_output[n,c]*g[n] + g[n]*(1 - g[n])*sum(k: grad_output[n,k]*x[n,k])/C",
    wrong="m[n] := sum(c: x[n,c])/C; g[n] := sigmoid(m[n]); "
    "x_bar[n,c] := grad_output[n,c]*g[n] + sum(k: grad_output[n,k]*x[n,k])",
    says="and besides",
)

CAUSES = ("scale", "sign", "path", "sum", "mask", "rows", "upstream", "skipped", "mode", "detached")


def besides(scene: Scene, tried: Sequence[tuple[Guess, Array]], others: Sequence[Scene], end: float) -> Iterator[Guess]:
    """What each guess leaves unexplained: a factor, or a path; until the clock says ``end``."""
    if scene.found is None or len([s for s in others if s.telling]) < 2:
        return
    tried = [(g, p) for g, p in tried if _cause(g)]
    for guess, predicted in tried:
        yield from _times(scene, guess, predicted, others)
    ways = edges(scene)
    alone = [_effect(scene, w, {}, scene.right) for w in ways]
    for guess, predicted in tried:
        if clock() > end:
            return
        yield from _with_a_path(scene, ways, alone, guess, predicted)


def _cause(guess: Guess) -> bool:
    """Whether it is a slip by itself: with a number beside it many an edit of a formula fits by chance."""
    return guess.kind in CAUSES or guess.kind == "factor" and " is missing" in guess.sentence


def proportion(found: Array, predicted: Array) -> float | None:
    """The constant ``c`` with found = c·predicted, or None.

    >>> proportion(np.array([2.0, 4.0]), np.array([1.0, 2.0])), proportion(np.ones((2, 2)), np.array(1.0))
    (2.0, None)
    """
    if found.shape != predicted.shape:
        return None
    norm = float(np.vdot(predicted, predicted))
    c = float(np.vdot(predicted, found)) / norm if norm else 0.0
    return c if c and np.abs(found - c * predicted).max() <= 1e-8 * np.abs(found).max() else None


def _times(scene: Scene, guess: Guess, predicted: Array, others: Sequence[Scene]) -> Iterator[Guess]:
    """The same guess with a factor on its result, where the factor is one of known sizes at every shape."""
    assert scene.found is not None
    c = proportion(scene.found, predicted)
    if c is None or proportion(scene.right, predicted) is not None:
        return
    scenes, ratios = [scene], [c]
    for s in others:
        again = guess.predict(s)
        r = None if again is None or s.found is None or again.shape != s.found.shape else proportion(s.found, again)
        if r is not None:
            scenes.append(s)
            ratios.append(r)
    for factor in factors_of(scenes, ratios):

        def predict(s: Scene, factor: Factor = factor) -> Array | None:
            one = guess.predict(s)
            return None if one is None else factor.at(s) * one

        yield Guess(guess.kind, f"{guess.sentence}; and besides, {too_many(scene, factor)}", predict)


def _effect(scene: Scene, edge: Edge, terms: Mapping[str, Term], before: Array) -> Array | None:
    """What a path adds to the gradient where these definitions read otherwise."""
    d = edge.definition
    twice = scene.changed({**terms, d.name: add(d.term, edge.path.term)})
    if twice is None or twice.shape != before.shape or not np.isfinite(twice).all():
        return None
    return (twice - before).ravel()


def _apart(scene: Scene, edge: Edge, changed: Iterable[str]) -> bool:
    """Whether a path adds the same whatever these definitions read: it comes neither from them nor through them."""
    name, after = edge.definition.name, scene.after
    return all(n in after and n not in after[name] and name not in after[n] for n in changed)


def _with_a_path(
    scene: Scene, ways: Sequence[Edge], alone: Sequence[Array | None], guess: Guess, predicted: Array
) -> Iterator[Guess]:
    """The same guess with a wrong coefficient on one path that it left alone; least squares give the coefficient."""
    assert scene.found is not None
    if not guess.terms:
        return
    residual = (scene.found - predicted).ravel()
    for k, edge in enumerate(ways):
        name = edge.definition.name
        if name in guess.terms:
            continue
        effect = alone[k] if _apart(scene, edge, guess.terms) else _effect(scene, edge, guess.terms, predicted)
        if effect is None or effect.size != residual.size:
            continue
        norm = float(effect @ effect)
        if norm <= 1e-24 * float(residual @ residual):
            continue
        c = 1 + float(effect @ residual) / norm
        if abs(c - 1) < 1e-9 or np.linalg.norm(residual - (c - 1) * effect) > 1e-7 * np.linalg.norm(residual):
            continue
        for read in monomials(scene, c):
            if read.value != 1:
                rest = [p.term for p in edge.definition.paths if p is not edge.path]
                terms = {**guess.terms, name: add(*rest, mul(read.term, edge.path.term))}
                yield edited(guess.kind, f"{guess.sentence}; and besides, {edge.text(scene)} {taken(read)}", terms)
