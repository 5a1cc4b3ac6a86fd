"""Rows: of ignored or padding entries, of repeated indices, at the tail; masks that are missing or off by one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from derivcheck.diagnosis.conditions import left_out
from derivcheck.diagnosis.guess import (
    Example,
    Guess,
    edited,
    everywhere,
    exchanged,
    forward_with,
    occurrences,
    place,
    reread,
    short,
    spots,
)
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.atoms import Entry
from derivcheck.notation.integers.polynomials import Index, Poly, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket, opposite
from derivcheck.notation.terms.build import MINUS_ONE, ONE, add, mul
from derivcheck.notation.terms.nodes import Add, Bracket, Mul, Over, Term
from derivcheck.notation.terms.substitute import product, substitute, summation, transform
from derivcheck.notation.terms.walk import bound_indices, subterms

EXAMPLE = Example(
    forward="y[m,d] := E[ids[m],d]",
    dims={"E": "V D", "ids": "int<V: M>"},
    parameter="E",
    right="E_bar[v,d] := sum(m: [ids[m] == v]*grad_output[m,d])",
    wrong="E_bar[v,d] := sum(m: [ids[m] == v]*grad_output[m,d]*prod(k: [k <= m] + [k > m]*[ids[k] != ids[m]]))",
    says="scatter-add",
    special={"ids": [1, 2, 1, 0, 2, 2, 1]},
)


def rows(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Masks left out or moved, repeated indices that overwrite, a tail that is dropped."""
    yield from _masks(scene)
    yield from _branches(scene)
    yield from _choices(scene)
    yield from _overwritten(scene)
    yield from _dropped(scene)


def _masks(scene: Scene) -> Iterator[Guess]:
    """A mask left out, turned or shifted: everywhere, at one place, or in the forward that was differentiated."""
    brackets = dict.fromkeys(s.node for s in spots(scene) if isinstance(s.node, Bracket))
    for b in brackets:
        kind = "rows" if isinstance(b.operand, Poly) and b.names else "mask"
        without = everywhere(scene, exchanged(b, ONE))
        yield edited(kind, _unmasked(b, scene.program.definition(f"{scene.name}_bar").indices), without)
        yield edited(kind, f"the mask {b} is the wrong way round", everywhere(scene, exchanged(b, opposite(b))))
        for words, other in moved(b):
            yield edited(kind, f"the mask {b} is {words}", everywhere(scene, exchanged(b, other)))
    for spot in spots(scene):
        if isinstance(spot.node, Bracket):
            b = spot.node
            kind = "rows" if isinstance(b.operand, Poly) and b.names else "mask"
            where = place(scene, spot.definition)
            yield edited(kind, _unmasked(b, spot.definition.indices, where), spot.changed(ONE))
            for words, other in moved(b):
                yield edited(kind, f"the mask {b} is {words}{where}", spot.changed(other))
    program = scene.case.forward
    for d in program.definitions:
        for b in dict.fromkeys(t for t in subterms(d.term) if isinstance(t, Bracket)):
            new = transform(d.term, exchanged(b, ONE))
            if new is not d.term:
                kind = "rows" if isinstance(b.operand, Poly) and b.names else "mask"
                final = scene.program.definition(f"{scene.name}_bar").indices
                yield reread(kind, _unmasked(b, final, of=f" of {d.name}"), forward_with(program, d.name, new))


def _branches(scene: Scene) -> Iterator[Guess]:
    """A function defined piece by piece: one piece taken everywhere, or two with their masks exchanged."""
    program = scene.case.forward
    for d in program.definitions:
        for node, put, _ in occurrences(d.term):
            for words, new in _pieces(node):
                yield reread("mask", f"{words}, in {d.name}", forward_with(program, d.name, put(new)))
    for spot in spots(scene):
        for words, new in _pieces(spot.node):
            yield edited("mask", f"{words}{place(scene, spot.definition)}", spot.changed(new))


def _choices(scene: Scene) -> Iterator[Guess]:
    """A maximum whose gradient goes to all that it chooses from."""
    for d in scene.case.forward.definitions:
        over = d.term
        if d.kind != "int" or not isinstance(over, Over) or len(over.indices) != 1:
            continue
        chosen = over.indices[0]

        def change(t: Term, name: str = d.name, chosen: Index = chosen) -> Term:
            if not (isinstance(t, Bracket) and isinstance(t.operand, Poly)):
                return t
            entries = [a for a in t.operand.atoms() if isinstance(a, Entry) and a.name == name]
            if len(entries) != 1:
                return t
            step = fresh(chosen, t.free)
            return summation([step], bracket(t.relation, t.operand.substitute({entries[0]: i_poly(step)})))

        words = f"the gradient goes to every element that {d.name} chooses from, and should go to the chosen one alone"
        yield edited("mask", words, everywhere(scene, change))


def _pieces(node: Term) -> Iterator[tuple[str, Term]]:
    """A piecewise sum with one piece taken everywhere, or with two pieces under each other's mask; words and term."""
    if not isinstance(node, Add):
        return
    masks = [[f for f in a.args if isinstance(f, Bracket)] if isinstance(a, Mul) else [] for a in node.args]
    bodies = [mul(*(f for f in a.args if not isinstance(f, Bracket))) if isinstance(a, Mul) else a for a in node.args]
    held = [k for k, m in enumerate(masks) if m]
    whole = [a for k, a in enumerate(node.args) if not masks[k]]
    if len(held) < 2:
        return
    for k in held:
        words = f"the mask {' '.join(map(str, masks[k]))} is ignored: its piece {short(bodies[k])} is taken everywhere"
        yield words, add(bodies[k], *whole)
    for i, j in combinations(held, 2):
        pieces = [mul(*masks[{i: j, j: i}.get(k, k)], bodies[k]) for k in held]
        left, right = (" ".join(map(str, masks[k])) for k in (i, j))
        yield f"the wrong way round: the pieces of {left} and {right} are exchanged", add(*pieces, *whole)


def _unmasked(b: Bracket, indices: tuple[Index, ...], where: str = "", of: str = "") -> str:
    """What is wrong without a mask: elements that must be 0, or addends of a sum that must."""
    inside = sorted({i.name for i in b.free} - {i.name for i in indices})
    if inside:
        return f"the mask {b}{of} is missing under the sum over {', '.join(inside)}{where}"
    return f"{_elements(b)} must be 0{where}, and are not: the mask {b}{of} is missing"


def _elements(b: Bracket) -> str:
    """What a mask leaves out, in words: ``rows with ids = 0`` where it asks an integer tensor, else the opposite condition."""
    opposed = str(opposite(b))[1:-1]
    if not isinstance(b.operand, Poly) or not b.names:
        return f"elements with {opposed if isinstance(b.operand, Poly) else left_out(b)}"
    entries = [a for a in b.operand.atoms() if isinstance(a, Entry)]
    line = b.operand.linear_in(entries[0]) if len(entries) == 1 else None
    if line is not None and abs(line[0]) == 1 and b.relation in ("==", "!="):
        return f"rows with {entries[0]} {'=' if b.relation == '!=' else '≠'} {-line[1] * line[0]}"
    return f"rows with {opposed}"


def moved(b: Bracket) -> list[tuple[str, Term]]:
    """A bound read otherwise, in words: off by one either way, or turned round."""
    if isinstance(b.operand, Poly):
        if b.relation != ">=":
            return []
        found = [bracket(">=", b.operand + k) for k in (-1, 1)]
        turned = [bracket(">=", k - b.operand) for k in (0, 1)]
        return [(f"off by one: it reads {f}", f) for f in found] + [(f"the wrong way round: it reads {f}", f) for f in turned]
    return []


def _overwritten(scene: Scene) -> Iterator[Guess]:
    """A sum over the places that hold one index, of which only the last or the first is kept."""
    for spot in spots(scene):
        node = spot.node
        if not (isinstance(node, Over) and node.kind == "sum" and isinstance(node.body, Mul)):
            continue
        hits = [
            b
            for b in node.body.args
            if isinstance(b, Bracket) and b.relation == "==" and isinstance(b.operand, Poly) and b.free & set(node.indices)
        ]
        bound = tuple(i for i in node.indices if any(i in b.free for b in hits))
        if not hits or not bound:
            continue
        names = sorted(frozenset().union(*(b.names for b in hits)))
        for which, later in (("last", True), ("first", False)):
            new = Over("sum", node.indices, mul(node.body, _only(bound, hits, spot.definition.indices, later)))
            if names:
                words = f"where an index of {', '.join(names)} is repeated, only the {which} one counts"
                words += f"{place(scene, spot.definition)}: it needs a scatter-add, not an assignment"
            else:
                group = ", ".join(i.name for i in bound)
                words = f"the sum over the group of {group} is missing{place(scene, spot.definition)}: of those with "
                words += f"{' '.join(map(str, hits))} only the {which} is taken"
            yield edited("rows" if names else "sum", words, spot.changed(new))


def _only(bound: tuple[Index, ...], hits: list[Bracket], free: tuple[Index, ...], later: bool) -> Term:
    """1 where no later (or earlier) place holds the same index, places ordered row-major."""
    moves: dict[Index, Poly] = {}
    inner: list[Index] = []
    for i in bound:
        j = fresh(i, [*bound, *free, *inner, *bound_indices(hits[0])])
        moves[i] = i_poly(j)
        inner.append(j)
    here = there = i_poly(bound[0]) * 0
    for i, j in zip(bound, inner):
        here, there = here * i.size + i_poly(i), there * i.size + i_poly(j)
    ahead = bracket(">=", there - here - 1) if later else bracket(">=", here - there - 1)
    same = mul(*(substitute(b, moves) for b in hits))
    return product(inner, add(ONE, mul(MINUS_ONE, ahead, same)))


def _dropped(scene: Scene) -> Iterator[Guess]:
    """Rows that are zero in what was found: a tail left over by blocks, the first, the last."""
    indices = scene.program.definition(f"{scene.name}_bar").indices
    for k, _ in _zero_rows(scene):
        over = f"over {indices[k]}"
        for block in (2, 4, 8, 16, 32, 64, 128):
            words = f"the last {indices[k].size} % {block} elements {over} are dropped: a tail that fills no block of {block}"
            yield Guess("rows", words, partial(_without_tail, k, block))
        yield Guess("rows", f"the last element {over} is dropped", partial(_without, k, -1))
        yield Guess("rows", f"the first element {over} is dropped", partial(_without, k, 0))


def some_rows(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Rows that are zero, where nothing says why."""
    for k, off in _zero_rows(scene):
        if not off.all():
            over = scene.program.definition(f"{scene.name}_bar").indices[k]
            words = ", ".join(str(j) for j in np.flatnonzero(off)[:4])
            yield Guess("some rows", f"rows {words} over {over} are zero, and should not be", partial(_without_rows, k, off))


def _zero_rows(scene: Scene) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """Per axis, the rows that are wrong, where what was found is zero in all of them."""
    found, right = scene.found, scene.right
    if found is None or found.shape != right.shape or not right.size:
        return
    for k in range(right.ndim):
        largest = max(float(np.abs(right).max()), 1e-300)
        off = np.moveaxis(np.abs(found - right), k, 0).reshape(right.shape[k], -1).max(1) > 20 * scene.relative * largest
        if off.any() and not np.moveaxis(found, k, 0)[off].any():
            yield k, off


def _without_tail(axis: int, block: int, scene: Scene) -> Array:
    n = scene.right.shape[axis]
    return _without(axis, slice(n - n % block, n), scene)


def _without_rows(axis: int, which: npt.NDArray[np.bool_], scene: Scene) -> Array | None:
    return _without(axis, which, scene) if scene.right.shape[axis] == len(which) else None


def _without(axis: int, which: Any, scene: Scene) -> Array:
    out = scene.right.copy()
    np.moveaxis(out, axis, 0)[which] = 0
    return out
