"""One tensor read where another is meant: x for y, the target for the prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from types import MappingProxyType

from derivcheck.diagnosis.guess import (
    Example,
    Guess,
    edited,
    everywhere,
    forward_with,
    occurrences,
    place,
    reread,
    short,
    spots,
)
from derivcheck.diagnosis.scene import Scene
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.terms.build import ONE, add, mul, neg, ref
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Number, Ref, Term

EXAMPLE = Example(
    forward="y[n] := tanh(x[n])",
    dims={"x": "N"},
    parameter="x",
    right="y[n] := tanh(x[n]); x_bar[n] := grad_output[n]*(1 - y[n]^2)",
    wrong="x_bar[n] := grad_output[n]*(1 - x[n]^2)",
    says="x is read where y",
)

WEIGHTS = Example(
    forward="y[m] := (1 - f[m])*x[m] + f[m]^2*z[m]",
    dims={"x": "M", "z": "M", "f": "M"},
    parameter="x",
    right="x_bar[m] := grad_output[m]*(1 - f[m])",
    wrong="x_bar[m] := grad_output[m]*f[m]",
    says="the weights f and 1 - f are exchanged",
)


def addends(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """An addend of a step of the gradient left out, or with the wrong sign."""
    for spot in spots(scene):
        node = spot.node
        if not isinstance(node, Add):
            continue
        where = place(scene, spot.definition)
        for k, a in enumerate(node.args):
            if isinstance(a, Bracket):
                continue
            rest = [b for j, b in enumerate(node.args) if j != k]
            if not isinstance(add(*rest), Number):  # what is left of a factor then is none: the factor is missing
                without = spot.changed(add(*rest))
                yield edited("addend", f"the addend {short(a)} is missing{where}, in {short(node)}", without)
            turned = spot.changed(add(*rest, neg(a)))
            yield edited("addend", f"the addend {short(a)} has the wrong sign{where}, in {short(node)}", turned)


def variables(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """A tensor in place of another of the same dimensions; an addend left out or with the wrong sign."""
    program = scene.full
    dims = {n: program.dims(n) for n in scene.values if program.kind(n) == "float"}
    names = dict.fromkeys(s.node.name for s in spots(scene) if isinstance(s.node, Ref))
    for name in names:
        for other in dims:
            if other != name and other != f"{scene.name}_bar" and dims[other] == dims.get(name):

                def read(t: Term, name: str = name, other: str = other) -> Term:
                    return Ref(other, t.at) if isinstance(t, Ref) and t.name == name else t

                terms = everywhere(scene, read)
                if terms and not any(other == d or other in _later(scene, d) for d in terms):
                    yield edited("variable", f"{other} is read where {name} is meant", terms)
    yield from _exchanged(scene, list(names), dims)
    for spot in spots(scene):
        node = spot.node
        where = place(scene, spot.definition)
        if isinstance(node, Ref) and node.at:
            for other in dims:
                if (
                    other != node.name
                    and dims[other] == dims.get(node.name)
                    and other not in _later(scene, spot.definition.name)
                ):
                    yield edited(
                        "variable",
                        f"{other} is read where {node.name} is meant{where}, at {short(node)}",
                        spot.changed(Ref(other, node.at)),
                    )
    yield from _local_derivatives(scene)
    for d in scene.case.forward.definitions:
        for node, put, _ in occurrences(d.term):
            if isinstance(node, Add):
                for k, a in enumerate(node.args):
                    if isinstance(a, Number):
                        continue
                    without = add(*(b for j, b in enumerate(node.args) if j != k))
                    yield reread(
                        "addend",
                        f"the addend {short(a)} of {d.name} is missing, in {short(node)}",
                        forward_with(scene.case.forward, d.name, put(without)),
                    )


def _exchanged(scene: Scene, names: list[str], dims: Mapping[str, tuple[Poly, ...]]) -> Iterator[Guess]:
    """Two tensors each in the place of the other; weights f and 1 − f likewise."""
    for a, b in combinations(names, 2):
        if dims.get(a) == dims.get(b) is not None and not any(n.endswith("_bar") for n in (a, b)):

            def swap(t: Term, other: Mapping[str, str] = MappingProxyType({a: b, b: a})) -> Term:
                return Ref(other[t.name], t.at) if isinstance(t, Ref) and t.name in other else t

            if terms := everywhere(scene, swap):
                yield edited("variable", f"{a} and {b} are exchanged", terms)
    for name in names:
        if name not in scene.case.forward.names:
            continue

        def turn(t: Term, name: str = name) -> Term:
            return add(ONE, neg(t)) if isinstance(t, Ref) and t.name == name else t

        if terms := everywhere(scene, turn):
            yield edited("variable", f"the weights {name} and 1 - {name} are exchanged", terms)


def _local_derivatives(scene: Scene) -> Iterator[Guess]:
    """A tensor where a whole local derivative is meant."""
    program = scene.full
    for spot in spots(scene):
        node = spot.node
        if not isinstance(node, Mul):
            continue
        arriving = [a for a in node.args if any(n in scene.case.upstream or n.endswith("_bar") for n in a.names)]
        local = [a for a in node.args if a not in arriving and a.names]
        if not arriving or not local or (len(local) == 1 and isinstance(local[0], Ref)):
            continue
        free = [*spot.definition.indices, *spot.bound]
        later = _later(scene, spot.definition.name)
        for other in scene.values:
            dims = program.dims(other)
            if program.kind(other) != "float" or other in later or not dims:
                continue
            at = [next((i for i in free if i.size is p), None) for p in dims]
            if any(i is None for i in at) or len(set(at)) < len(at) or not {i for a in local for i in a.free} <= set(at):
                continue
            number = [a for a in node.args if a not in arriving and a not in local]
            new = mul(*number, *arriving, ref(other, *(i for i in at if i is not None)))
            yield edited(
                "variable",
                f"{other} is read where {short(mul(*local))} is meant{place(scene, spot.definition)}",
                spot.changed(new),
            )


def _later(scene: Scene, name: str) -> set[str]:
    """The definitions of the adjoint from this one on: it cannot read them."""
    names = [d.name for d in scene.program.definitions]
    every = {d.name for d in scene.case.adjoint.definitions} - set(names) - scene.case.forward.names
    return set(names[names.index(name) :]) | {n for n in every if n.endswith("_bar")}
