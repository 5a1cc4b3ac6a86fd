"""Sums: one that is missing over a broadcast or reduced axis, one too many, over the wrong axis, or cut short."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess, Spot, edited, place, short, spots
from derivcheck.diagnosis.paths import without_idle_paths
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.atoms import exact_quotient
from derivcheck.notation.integers.polynomials import Index, fresh, i_poly
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import div, mul, power, size_of
from derivcheck.notation.terms.nodes import Mul, Over, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import substitute, summation, transform
from derivcheck.notation.terms.walk import bound_indices

EXAMPLE = Example(
    forward="y[n,o] := x[n,o] + b[o]",
    dims={"x": "N out", "b": "out"},
    parameter="b",
    right="b_bar[o] := sum(n: grad_output[n,o])",
    wrong="b_bar[o] := grad_output[0,o]",
    says="sum over n",
)

GROUPED = Example(
    forward="m[n] := sum(c, l: x[n,c,l])/(C*L); y[n,c,l] := (x[n,c,l] - m[n])^3",
    dims={"x": "N C L"},
    parameter="x",
    right="m[n] := sum(c, l: x[n,c,l])/(C*L); g[n,c,l] := 3*grad_output[n,c,l]*(x[n,c,l] - m[n])^2; "
    "x_bar[n,c,l] := g[n,c,l] - sum(d, k: g[n,d,k])/(C*L)",
    wrong="m[n] := sum(c, l: x[n,c,l])/(C*L); g[n,c,l] := 3*grad_output[n,c,l]*(x[n,c,l] - m[n])^2; "
    "x_bar[n,c,l] := g[n,c,l] - sum(k: g[n,c,k])/L",
    says="the mean over c is missing",
)
LONGEST = 400  # nodes of a gradient in one term, all of whose sums are altered at once


def sums(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Sums that are missing, cut short, averaged, over another axis, or too many."""
    yield from _unreduced(scene)
    yield from _inside(scene)
    yield from _too_many(scene)
    yield from _narrowed(scene)


def _unreduced(scene: Scene) -> Iterator[Guess]:
    """Axes that were not summed away, by the shape of what came back."""
    found, right = scene.found, scene.right
    if found is None or found.ndim < right.ndim or found.shape == right.shape:
        return
    extra = found.ndim - right.ndim
    for axes in combinations(range(found.ndim), extra) if extra else [()]:
        rest = [n for k, n in enumerate(found.shape) if k not in axes]
        also = tuple(k for k, (a, b) in enumerate(zip(rest, right.shape)) if a != b and b == 1)
        total = found.sum(axes)
        if also:
            total = total.sum(also, keepdims=True)
        if total.shape == right.shape and scene.near(total, right):
            if all(found.shape[k] == 1 for k in axes) and not also:
                yield Guess(
                    "shape", f"it has shape {found.shape}, expected {right.shape}: the values are right", lambda s: s.found
                )
                return
            yield Guess(
                "sum",
                f"the sum over {_names(scene, found.shape, axes)} is missing: shape {found.shape}, expected {right.shape}",
                partial(_not_summed, axes, also),
            )
            return


def _not_summed(axes: tuple[int, ...], also: tuple[int, ...], scene: Scene) -> Array | None:
    if scene.found is None or scene.found.ndim != scene.right.ndim + len(axes):
        return None
    total = scene.found.sum(axes)
    total = total.sum(also, keepdims=True) if also else total
    return scene.found if total.shape == scene.right.shape and scene.near(total, scene.right) else None


def _names(scene: Scene, shape: tuple[int, ...], axes: tuple[int, ...]) -> str:
    """The indices that the last definition sums over, where they are as long as the axes; else the lengths."""
    final = scene.program.definition(f"{scene.name}_bar")
    bound = sorted(bound_indices(final.term), key=lambda i: i.key)
    words = []
    for k in axes:
        fit = [i for i in bound if not i.size.names and i.size.at(scene.sizes) == shape[k]]
        words.append(str(fit[0]) if fit else f"axis {k} of length {shape[k]}")
        if fit:
            bound.remove(fit[0])
    return ", ".join(words)


def _inside(scene: Scene) -> Iterator[Guess]:
    """One sum of the adjoint missing, a mean, one short or over another index; mistaken means in products."""
    for spot in spots(scene):
        node = spot.node
        if isinstance(node, Mul):
            yield from _means(scene, spot, node)
        if not isinstance(node, Over) or node.kind != "sum":
            continue
        where = place(scene, spot.definition)
        around = [*spot.definition.indices, *spot.bound]
        for i in node.indices:
            rest = tuple(j for j in node.indices if j is not i)
            outer = [a for a in around if a.size is i.size and a not in node.indices]
            for a in outer:
                diagonal = summation(rest, substitute(node.body, {i: i_poly(a)}))
                yield edited(
                    "sum",
                    f"the sum over {i} is missing{where}: {short(node)} is replaced by its own element, "
                    f"{short(diagonal)}, as if elementwise",
                    spot.changed(diagonal),
                )
            first = summation(rest, substitute(node.body, {i: 0}))
            yield edited(
                "sum",
                f"the sum over {i} is missing{where}: only its first element is taken of {short(node)}",
                spot.changed(first),
            )
            last = summation(rest, substitute(node.body, {i: i.size - 1}))
            yield edited(
                "sum", f"the sum over {i} is missing{where}: only its last element is left of {short(node)}", spot.changed(last)
            )
            mean = div(node, size_of(i.size))
            yield edited("sum", f"a mean over {i} in place of the sum{where}: {short(node)}", spot.changed(mean))
            for a in outer:
                yield edited(
                    "sum",
                    f"{where.removeprefix(' ') or 'the gradient'}: {short(node)} is summed over {a}, and should be over {i}",
                    spot.changed(_exchanged(node, i, a)),
                )
            for a in [b for b in around if b in node.free and b.size is not i.size]:
                for free in [b for b in around if b.size is i.size and b is not a]:
                    yield edited(
                        "sum",
                        f"the sum of {short(node)} runs over {a}, and should run over {i}{where}",
                        spot.changed(_other_axis(node, i, a, free)),
                    )
            cut = summation(node.indices, mul(_below(i), node.body))
            yield edited("sum", f"the sum over {i} stops one short{where}: {short(node)}", spot.changed(cut))


def _means(scene: Scene, spot: Spot, node: Mul) -> Iterator[Guess]:
    """A sum with the count that it is divided by: the mean left out, or taken over another axis."""
    where = place(scene, spot.definition)
    around = [*spot.definition.indices, *spot.bound]
    for over in (a for a in node.args if isinstance(a, Over) and a.kind == "sum"):
        for i in over.indices:
            count = power(size_of(i.size), -1)
            if count not in node.args:
                continue
            rest = [a for a in node.args if a is not over and a is not count]
            inner = tuple(j for j in over.indices if j is not i)
            for a in (b for b in around if b.size is i.size and b not in over.indices):
                bare = mul(*rest, summation(inner, substitute(over.body, {i: i_poly(a)})))
                yield edited("sum", f"the mean over {i} is missing{where}, in {short(node)}", spot.changed(bare))
                for b in (c for c in around if c in over.free and c is not a):
                    turned = mul(*rest, power(size_of(b.size), -1), _other_axis(over, i, b, a))
                    yield edited(
                        "sum", f"the mean runs over {b}, and should run over {i}{where}, in {short(node)}", spot.changed(turned)
                    )


def _narrowed(scene: Scene) -> Iterator[Guess]:
    """Every sum of the gradient over fewer axes: each channel's own mean, where a group of channels shares one."""
    final = scene.program.definition(f"{scene.name}_bar")
    whole = scene.written_out(without_idle_paths(scene), LONGEST)
    if whole is None:
        return
    for own in final.indices:

        def narrow(t: Term, own: Index = own) -> Term:
            if not isinstance(t, Over) or t.kind != "sum" or len(t.indices) < 2:
                return t
            i = next((i for i in t.indices if i.size is own.size and i is not own), None)
            return t if i is None else summation([j for j in t.indices if j is not i], substitute(t.body, {i: i_poly(own)}))

        def counted(t: Term, own: Index = own) -> Term:
            rest = exact_quotient(t.value, own.size) if isinstance(t, SizeOf) else None
            return t if rest is None else size_of(rest)

        narrowed = transform(whole, narrow)
        if narrowed is not whole:
            words = f"the sum over {own} is missing everywhere: each runs over its other axes alone"
            yield edited("sum", words, {final.name: narrowed})
            words = f"the mean over {own} is missing everywhere: each runs over its other axes alone"
            yield edited("sum", words, {final.name: transform(narrowed, counted)})


def _below(i: Index) -> Term:
    return bracket(">=", i.size - 2 - i_poly(i))


def _exchanged(node: Over, bound: Index, free: Index) -> Term:
    """The sum with a bound and a free index of the same size exchanged."""
    step = fresh(bound, [*node.free, *bound_indices(node), free])
    body = substitute(node.body, {free: i_poly(step), bound: i_poly(free)})
    return summation(tuple(step if j is bound else j for j in node.indices), body)


def _other_axis(node: Over, bound: Index, summed: Index, free: Index) -> Term:
    """The sum over an axis that should stay, with the one that should be summed left free."""
    step = fresh(summed, [*node.free, *bound_indices(node), free])
    body = substitute(node.body, {summed: i_poly(step), bound: i_poly(free)})
    return summation(tuple(step if j is bound else j for j in node.indices), body)


def _too_many(scene: Scene) -> Iterator[Guess]:
    """The gradient, or one reference inside it, summed or averaged over an index that stays."""
    dims = scene.right.ndim
    indices = scene.program.definition(f"{scene.name}_bar").indices
    for k in range(dims):
        yield Guess("sum", f"it is summed over {indices[k]}, and should not be", partial(_total, (k,), False))
        yield Guess("sum", f"it is averaged over {indices[k]}, and should not be", partial(_total, (k,), True))
    if dims > 1:
        yield Guess(
            "sum",
            "it is summed over all its elements, and should not be",
            partial(_total, tuple(range(dims)), False),
        )
    for spot in spots(scene):
        node = spot.node
        if not isinstance(node, Ref) or not (node.name.endswith("_bar") or node.name in scene.case.upstream):
            continue
        for at in node.at:
            i = at.index
            if i is not None:
                step = fresh(i, [*node.free, *spot.bound, *spot.definition.indices])
                total = summation([step], substitute(node, {i: i_poly(step)}))
                words = f"{node.name} is summed over {i}{place(scene, spot.definition)}, and should not be"
                yield edited("sum", words, spot.changed(total))
                yield edited("sum", words.replace("summed", "averaged"), spot.changed(div(total, size_of(i.size))))


def _total(axes: tuple[int, ...], mean: bool, scene: Scene) -> Array:
    total: Array = scene.right.mean(axes, keepdims=True) if mean else scene.right.sum(axes, keepdims=True)
    if scene.found is not None and scene.found.shape == total.shape:
        return total
    if scene.found is not None and scene.found.shape == tuple(n for k, n in enumerate(scene.right.shape) if k not in axes):
        return np.squeeze(total, axes)
    return np.broadcast_to(total, scene.right.shape)
