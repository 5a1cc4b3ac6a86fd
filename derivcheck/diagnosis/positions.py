"""Right numbers at the wrong place: transposed, flipped, shifted, laid out in the wrong order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations

import numpy as np

from derivcheck.diagnosis.guess import (
    Example,
    Guess,
    Spot,
    edited,
    everywhere,
    forward_with,
    occurrences,
    place,
    reread,
    short,
    spots,
)
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly, as_poly, i_poly
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import mul
from derivcheck.notation.terms.nodes import Bracket, Ref, Term
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="y[n,c] := x[n,c]*w[c]",
    dims={"x": "N C", "w": "C"},
    parameter="w",
    right="w_bar[c] := sum(n: grad_output[n,c]*x[n,c])",
    wrong="w_bar[c] := sum(n: grad_output[n,C-1-c]*x[n,C-1-c])",
    says="flipped",
)
EDGES = Example(
    forward="y[v,d] := sum(e: [dst[e] == v]*x[src[e],d])/deg[v]",
    dims={"x": "V D", "src": "int<V: M>", "dst": "int<V: M>", "deg": "V"},
    parameter="x",
    right="x_bar[v,d] := sum(e: [src[e] == v]*grad_output[dst[e],d]/deg[dst[e]])",
    wrong="x_bar[v,d] := sum(e: [src[e] == v]*grad_output[dst[e],d])/deg[v]",
    says="deg[v] is read in place of",
    special={"src": [1, 2, 1, 0, 2, 2, 3], "dst": [0, 1, 2, 3, 1, 0, 2], "deg": [2.0, 2.5, 1.5, 1.0]},
)

Move = Callable[[Ref], Term]


def positions(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """The gradient, or a tensor inside it, read at other positions."""
    yield from _whole(scene)
    yield from _inside(scene)


def _whole(scene: Scene) -> Iterator[Guess]:
    """The right gradient with its elements moved: axes permuted, flipped, shifted or halves exchanged."""
    right = scene.right
    indices = [str(i) for i in scene.program.definition(f"{scene.name}_bar").indices]
    dims = range(right.ndim)
    for order in permutations(dims):
        if order == tuple(dims) or right.ndim > 4:
            continue
        moved = [k for k, a in enumerate(order) if a != k]
        if len(moved) == 2:
            words = f"it is transposed: {indices[moved[0]]} and {indices[moved[1]]} are exchanged"
        else:
            words = f"its axes are permuted: [{', '.join(indices[a] for a in order)}] in place of [{', '.join(indices)}]"
        yield Guess("position", words, partial(_transposed, order))
        yield Guess(
            "position",
            f"{words}, and then reshaped without moving the elements back (view in place of transpose)",
            partial(_relaid, order),
        )
    for k in dims:
        yield Guess("position", f"it is flipped over {indices[k]}", partial(_flipped, k))
        for step in (1, -1):
            yield Guess("position", f"it is shifted by one over {indices[k]}", partial(_shifted, k, step))
            yield Guess(
                "position",
                f"it is shifted by one over {indices[k]}, the end wrapped round",
                partial(_rolled, k, step),
            )
        if right.shape[k] % 2 == 0 and right.shape[k] > 2:
            yield Guess("position", f"its two halves over {indices[k]} are exchanged", partial(_halved, k))
    if right.ndim > 1:
        yield Guess("position", "it is flipped over all its axes", partial(_flipped, None))


def _transposed(order: tuple[int, ...], scene: Scene) -> Array:
    return scene.right.transpose(order)


def _relaid(order: tuple[int, ...], scene: Scene) -> Array:
    return scene.right.transpose(order).reshape(scene.right.shape)


def _flipped(axis: int | None, scene: Scene) -> Array:
    return np.flip(scene.right, axis)


def _rolled(axis: int, step: int, scene: Scene) -> Array:
    return np.roll(scene.right, step, axis)


def _halved(axis: int, scene: Scene) -> Array | None:
    n = scene.right.shape[axis]
    return None if n % 2 else _rolled(axis, n // 2, scene)


def _shifted(axis: int, step: int, scene: Scene) -> Array:
    moved = _rolled(axis, step, scene)
    edge: list[slice | int] = [slice(None)] * moved.ndim
    edge[axis] = 0 if step > 0 else -1
    moved[tuple(edge)] = 0
    return moved


def _inside(scene: Scene) -> Iterator[Guess]:
    """One tensor read at other positions everywhere in the adjoint, then single entries and strides."""
    names = dict.fromkeys(s.node.name for s in spots(scene) if isinstance(s.node, Ref))
    for name in names:
        for words, move in _moves(scene.full, name):

            def change(t: Term, name: str = name, move: Move = move) -> Term:
                return move(t) if isinstance(t, Ref) and t.name == name else t

            if terms := everywhere(scene, change):
                yield _fitting(scene, name, words, terms)
    yield from _entries(scene)
    yield from _strides(scene)


def one_position(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """A tensor read at other positions in one place alone."""
    for spot in spots(scene):
        node = spot.node
        if isinstance(node, Ref) and node.at:
            for words, move in _moves(scene.full, node.name):
                yield _fitting(
                    scene,
                    node.name,
                    f"{words}{place(scene, spot.definition)}, at {short(node)}",
                    spot.changed(move(node)),
                )


def another_place(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """A tensor read at another index, or entry, than it should: the degree of an edge's source for its destination's."""
    for spot in spots(scene):
        node = spot.node
        if not isinstance(node, Ref) or node.name.endswith("_bar"):
            continue
        around = [*spot.definition.indices, *spot.bound]
        dims = scene.full.dims(node.name)
        for k, p in enumerate(node.at):
            for q in dict.fromkeys((*(i_poly(i) for i in around if i.size is dims[k]), *_looked_up(scene, spot, dims[k]))):
                if q is not p and q.indices <= set(around) and q not in node.at:
                    moved = Ref(node.name, (*node.at[:k], q, *node.at[k + 1 :]))
                    words = f"{moved} is read in place of {node}{_tied(spot, p)}{place(scene, spot.definition)}"
                    yield edited("position", words, spot.changed(moved))


def _tied(spot: Spot, p: Poly) -> str:
    """The brackets that tie an index to something that says what it is."""
    every = dict.fromkeys(t for t in subterms(spot.definition.term) if isinstance(t, Bracket) and t.relation == "==")
    ties = [str(b) for b in every if p.indices & set(spot.bound) & b.free]
    return f" with {' '.join(ties)}" if ties else ""


def _looked_up(scene: Scene, spot: Spot, length: Poly) -> Iterator[Poly]:
    """The entries of integer tensors that the definition around a place reads as positions along an axis of this length."""
    below = {a.name: a.below for a in scene.full.arguments if a.kind == "int"}
    for t in subterms(spot.definition.term):
        operands = t.at if isinstance(t, Ref) else (t.operand,) if isinstance(t, Bracket) else ()
        for p in operands:
            if isinstance(p, Poly):
                yield from (as_poly(a) for a in p.atoms() if isinstance(a, Entry) and below.get(a.name) is length)


def _entries(scene: Scene) -> Iterator[Guess]:
    """An integer tensor whose entries point one too far."""
    program = scene.case.forward
    for argument in program.arguments:
        if argument.kind != "int" or argument.below is None:
            continue
        below = argument.below
        for step, words in ((1, "one too high"), (below - 1, "one too low")):

            def moved(p: Poly, name: str = argument.name, step: Poly | int = step, below: Poly = below) -> Poly:
                return p.substitute(
                    {a: (as_poly(a) + step) % below for a in p.atoms() if isinstance(a, Entry) and a.name == name}
                )

            def change(t: Term, moved: Callable[[Poly], Poly] = moved) -> Term:
                if isinstance(t, Ref):
                    return Ref(t.name, tuple(moved(p) for p in t.at))
                if isinstance(t, Bracket) and isinstance(t.operand, Poly):
                    new = moved(t.operand)
                    return t if new is t.operand else bracket(t.relation, new)
                return t

            yield edited("position", f"the indices of {argument.name} are read {words}", everywhere(scene, change))


def _strides(scene: Scene) -> Iterator[Guess]:
    """A stride or an offset inside a position that is forgotten."""
    program = scene.case.forward
    for d in program.definitions:
        for node, put, _ in occurrences(d.term):
            if not isinstance(node, Ref):
                continue
            for k, p in enumerate(node.at):
                for j, (monomial, c) in enumerate(p.terms):
                    others = Poly(t for i, t in enumerate(p.terms) if i != j)
                    runs = [a for a, _ in monomial if isinstance(a, Index)]
                    changes = [(f"without {Poly(((monomial, c),))}", others)] if len(p.terms) > 1 else []
                    if len(runs) == 1 and (c != 1 or len(monomial) > 1):
                        changes.append(("without its stride", others + as_poly(runs[0])))
                    for words, new in changes:
                        moved = Ref(node.name, (*node.at[:k], new, *node.at[k + 1 :]))
                        yield reread(
                            "position",
                            f"{node.name} is read at {new} in place of {p}: {words}",
                            forward_with(program, d.name, put(moved)),
                        )


def _fitting(scene: Scene, name: str, words: str, terms: dict[str, Term]) -> Guess:
    """The guess at sizes at which the user's own code would run: a transposed read needs its two last axes equal."""
    guess = edited("position", f"{name} is {words}", terms)
    if "transposed" not in words:
        return guess

    def predict(s: Scene) -> Array | None:
        shape = s.values[name].shape
        return guess.predict(s) if shape[-1] == shape[-2] else None

    return Guess("position", guess.sentence, predict)


def _moves(program: Program, name: str) -> Iterator[tuple[str, Move]]:
    """Ways to read a tensor wrongly, in words, with what is read then."""
    dims = program.dims(name)
    for k, n in enumerate(dims):
        axis = f" over its axis {k}" if len(dims) > 1 else ""
        yield f"flipped{axis}", partial(_at, k, -1, n - 1, n)
        for step, end in ((1, "end"), (-1, "start")):
            yield f"shifted by one{axis}", partial(_filled, k, step, n)
            yield f"shifted by one{axis}, the {end} wrapped round", partial(_at, k, 1, as_poly(1) if step > 0 else n - 1, n)
        yield f"read at its first element{axis}", partial(_at, k, 0, as_poly(0), n)
    if len(dims) > 2:
        yield "flipped over its last two axes", partial(_turned, dims[-2], dims[-1])
    if len(dims) > 1:
        yield "transposed", lambda r: Ref(r.name, (*r.at[:-2], r.at[-1], r.at[-2]))


def _turned(height: Poly, width: Poly, r: Ref) -> Term:
    """A kernel turned by half a turn."""
    return Ref(r.name, (*r.at[:-2], height - 1 - r.at[-2], width - 1 - r.at[-1]))


def _at(axis: int, slope: int, offset: Poly, length: Poly, r: Ref) -> Term:
    """A read with one of its positions moved: ``(slope·p + offset) mod length``."""
    moved = r.at[axis] * slope + offset
    return Ref(r.name, (*r.at[:axis], moved if slope < 1 else moved % length, *r.at[axis + 1 :]))


def _filled(axis: int, step: int, length: Poly, r: Ref) -> Term:
    """A read one further along an axis, 0 beyond its end."""
    moved = r.at[axis] + step
    inside = bracket(">=", length - 1 - moved if step > 0 else moved)
    return mul(inside, _at(axis, 1, as_poly(1) if step > 0 else length - 1, length, r))
