"""A gradient that is right in some elements and wrong in others: the condition that tells them apart, in words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.diagnosis.conditions import OPPOSITE, compared
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.nodes import Bracket, Term
from derivcheck.notation.terms.walk import subterms

Mask = npt.NDArray[np.bool_]
RELATIONS = {"==": np.equal, ">": np.greater, ">=": np.greater_equal, "!=": np.not_equal}
LEAST = 2  # elements on each side, for a sign to tell them apart


def separated(scene: Scene) -> str | None:
    """Where it is wrong, if one condition on an input or a step says exactly where; else None."""
    found, right = scene.found, scene.right
    if found is None or found.shape != right.shape or not found.size:
        return None
    scale = float(np.abs(right[np.isfinite(right)]).max(initial=0.0)) or 1.0
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(found - right) <= scene.slack * scene.relative * scale)
    if not off.any() or off.all():
        return None
    known = list(_conditions(scene))
    for words, mask in known:
        if np.array_equal(mask, off) and ("= 0" in words or min(int(off.sum()), int((~off).sum())) >= LEAST):
            return f"right except where {words}"
    at_zero = [(w, m) for w, m in known if w.endswith(" = 0") and m.any() and not m.all()]
    for (one, a), (two, b) in combinations(at_zero, 2):
        if np.array_equal(a & b, off):
            return f"right except where {one} and {two}"
    for words, mask in at_zero:
        if not (off & ~mask).any():
            return f"right except where {words}, and wrong in {int(off.sum())} of the {int(mask.sum())} such elements"
    return None


def _conditions(scene: Scene) -> Iterator[tuple[str, Mask]]:
    """Each with where it holds, laid along the gradient."""
    names = [scene.name, *(n for n in scene.case.forward.inputs if n != scene.name)]
    names += [d.name for d in scene.case.forward.definitions if d.kind == "float"]
    for n in names:
        value = scene.values.get(n)
        if value is None or not np.isfinite(value).all():
            continue
        for words, mask in ((f"{n} = 0", value == 0), (f"{n} > 0", value > 0), (f"{n} < 0", value < 0)):
            yield from _laid(scene, words, mask)
        if n in scene.case.forward.inputs and value.ndim == scene.right.ndim and value.ndim:
            yield from _laid(scene, f"{n} = 0 somewhere in the row", (value == 0).any(-1, keepdims=True))
    for d in scene.case.forward.definitions:
        for t in subterms(d.term):
            if isinstance(t, Bracket) and isinstance(t.operand, Term) and not isinstance(t.operand, Poly):
                array = _evaluated(scene, d.name, t.operand)
                if array is not None:
                    mask = RELATIONS[t.relation](array, 0)
                    yield from _laid(scene, compared(t.operand, t.relation), mask)
                    yield from _laid(scene, compared(t.operand, OPPOSITE[t.relation]), ~mask)


def _laid(scene: Scene, words: str, mask: Any) -> Iterator[tuple[str, Mask]]:
    try:
        yield words, np.broadcast_to(mask, scene.right.shape)
    except ValueError:
        return


def _evaluated(scene: Scene, name: str, term: Term) -> Array | None:
    """A term of a definition at each of the definition's elements."""
    program = scene.case.forward
    d = program.definition(name)
    if not term.free <= set(d.indices) or len(d.indices) != scene.right.ndim:
        return None
    return scene.term(term, d.indices)
