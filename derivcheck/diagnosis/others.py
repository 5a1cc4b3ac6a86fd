"""The gradient of something else: another input's, or an intermediate's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.terms.nodes import Ref

EXAMPLE = Example(
    forward="y[n] := a[n]*b[n]^2",
    dims={"a": "N", "b": "N"},
    parameter="a",
    right="a_bar[n] := grad_output[n]*b[n]^2",
    wrong="a_bar[n] := 2*grad_output[n]*a[n]*b[n]",
    says="gradient of b",
)


def others(scene: Scene, more: list[Scene]) -> Iterator[Guess]:
    """What was returned is the gradient, or the value, of another name."""
    if scene.found is None or scene.found.shape != scene.right.shape:
        return
    paths = scene.program.definition(f"{scene.name}_bar").paths
    handed = {p.term.name for p in paths if len(paths) > 1 and isinstance(p.term, Ref)}  # of one path: the others are left out
    for name in reversed(scene.values):
        if name == f"{scene.name}_bar" or name in handed:
            continue
        if name.endswith("_bar"):
            of = name.removesuffix("_bar")
            what = f"it is the gradient of {of} that was returned"
            if of in {d.name for d in scene.case.forward.definitions} and name in scene.program.names:
                what += f": the chain rule from {of} to {scene.name} is left out"
        elif name in scene.case.upstream:
            what = f"{name} is returned as it came: the local derivative is missing"
        else:
            what = f"it is the value of {name} that was returned, not a gradient"
        yield Guess("other_input", what, partial(_value, name))


def _value(name: str, scene: Scene) -> Array | None:
    return scene.values.get(name)
