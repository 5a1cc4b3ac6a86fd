"""A forward value computed again in the backward, and computed wrongly there: the chain rule is right, its numbers are not."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from derivcheck.diagnosis.guess import Example, Guess, edited, occurrences, short
from derivcheck.diagnosis.neighbours import NEIGHBOURS, readings
from derivcheck.diagnosis.paths import without_idle_paths
from derivcheck.diagnosis.rows import moved
from derivcheck.diagnosis.scene import Scene
from derivcheck.notation.program.definitions import Definition
from derivcheck.notation.terms.build import add, func, mul, neg, power
from derivcheck.notation.terms.nodes import Add, Bracket, Func, Mul, Number, Pow, Ref, Term

EXAMPLE = Example(
    forward="y[n] := tanh(a[n] + b[n])",
    dims={"a": "N", "b": "N"},
    parameter="a",
    right="y[n] := tanh(a[n] + b[n]); a_bar[n] := grad_output[n]*(1 - y[n]^2)",
    wrong="y[n] := tanh(b[n]); a_bar[n] := grad_output[n]*(1 - y[n]^2)",
    says="a[n] is missing where y is computed again",
)


def recomputed(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """One place of one forward definition reads otherwise, and the backward uses the value that this gives."""
    own = scene.case.forward.names
    lean = without_idle_paths(scene)
    for d in scene.program.definitions:
        if d.name not in own or d.recurrent or d.kind != "float":
            continue
        for node, put, _ in occurrences(d.term):
            for kind, words, new in _edits(scene, d, node):
                said = f"{words} where {d.name} is computed again"
                yield edited(kind, said, {d.name: put(new)})
                if lean:
                    yield edited(kind, said, {**lean, d.name: put(new)})


def _edits(scene: Scene, d: Definition, node: Term) -> Iterator[tuple[str, str, Term]]:
    """The mistakes that one node of a recomputed definition may hold: kind, words, and the node as it would then stand."""
    if isinstance(node, Mul):
        for k, a in enumerate(node.args):
            rest = mul(*(b for j, b in enumerate(node.args) if j != k))
            if isinstance(a, Bracket):
                yield "mask", f"the mask {a} is missing", rest
            elif a is not Number(-1):
                yield "factor", f"the factor {short(a)} is missing", rest
                yield "factor", f"an extra factor {short(a)}", mul(node, a)
    elif isinstance(node, Add):
        for k, a in enumerate(node.args):
            others = [b for j, b in enumerate(node.args) if j != k]
            if not isinstance(a, Number):
                yield "addend", f"the addend {short(a)} is missing", add(*others)
            yield "addend", f"the addend {short(a)} has the wrong sign", add(*others, neg(a))
    elif isinstance(node, Pow) and isinstance(node.exponent, Number):
        e = node.exponent.value
        for other in (-e, e * 2, e / 2):
            yield "factor", f"the power of {short(node.base)} is {other}, and should be {e}", power(node.base, Number(other))
    elif isinstance(node, Func):
        for name in NEIGHBOURS.get(node.name, ()):
            yield "neighbour", f"{name} in place of {node.name}", func(name, *node.args)
        if len(node.args) == 1:
            yield "neighbour", f"{node.name} is missing", node.args[0]
    elif isinstance(node, Ref):
        dims = scene.full.dims(node.name)
        for name in scene.case.forward.inputs:
            if name != node.name and scene.full.dims(name) == dims and scene.full.kind(name) == "float" and dims:
                yield "variable", f"{name} is read where {node.name} is meant", Ref(name, node.at)
    elif isinstance(node, Bracket):
        for words, shifted in moved(node):
            yield "mask", f"the mask {node} is {words}", shifted
    for words, new in readings(node):
        yield "constant", words, new
    if node is d.term:
        for words, new in (("square", power(node, 2)), ("root", power(node, Fraction(1, 2))), ("reciprocal", power(node, -1))):
            yield "factor", f"its {words} is taken", new
