"""Another tensor as a factor: one that is used twice, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import combinations

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess, Spot, edited, everywhere, place, short, spots
from derivcheck.diagnosis.scene import Array, Scene, backward_definitions
from derivcheck.notation.terms.build import add, mul, neg, power
from derivcheck.notation.terms.nodes import Bracket, Mul, Number, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="r[n] := (sum(c: x[n,c]^2)/C + 1/1000)^(-1/2); y[n,c] := x[n,c]*r[n]*w[c]",
    dims={"x": "N C", "w": "C"},
    parameter="w",
    right="r[n] := (sum(c: x[n,c]^2)/C + 1/1000)^(-1/2); w_bar[c] := sum(n: grad_output[n,c]*x[n,c]*r[n])",
    wrong="r[n] := (sum(c: x[n,c]^2)/C + 1/1000)^(-1/2); w_bar[c] := sum(n: grad_output[n,c]*w[c]*x[n,c]*r[n])",
    says="w",
)


def factors(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Factors that are missing or doubled, everywhere or in one place, or that do not belong there."""
    yield from _everywhere(scene)
    yield from _whole(scene)
    yield from _one_place(scene)
    yield from _some_places(scene)
    yield from _arriving(scene)


def _invisible(scene: Scene, name: str) -> str:
    return f"; invisible at {name} = 1" if name in scene.case.inputs else ""


def _everywhere(scene: Scene) -> Iterator[Guess]:
    """A tensor that is a factor, left out or squared wherever it is one."""
    names: dict[str, None] = {}
    for spot in spots(scene):
        if isinstance(spot.node, Mul):
            for a in spot.node.args:
                base = a.base if isinstance(a, Pow) else a
                if isinstance(base, Ref):
                    names[base.name] = None
    for name in names:
        if name in scene.case.upstream:
            continue

        def altered(t: Term, name: str = name, twice: bool = False) -> Term:
            if not isinstance(t, Mul):
                return t
            hit = [a for a in t.args if isinstance(a, Ref) and a.name == name]
            if not hit:
                return t
            return mul(*t.args, *hit) if twice else mul(*(a for a in t.args if a not in hit))

        if dropped := everywhere(scene, altered):
            yield edited("factor", f"the factor {name} is missing{_invisible(scene, name)}", dropped)
        if doubled := everywhere(scene, partial(altered, twice=True)):
            yield edited("factor", f"an extra factor {name}: it is used twice{_invisible(scene, name)}", doubled)


def _whole(scene: Scene) -> Iterator[Guess]:
    """The whole gradient times a power of a tensor whose dimensions it has."""
    dims = scene.full.dims(f"{scene.name}_bar")
    for name in scene.values:
        if name == f"{scene.name}_bar" or scene.full.kind(name) != "float":
            continue
        its = scene.full.dims(name)
        axes = laid(its, dims)
        if axes is None or scene.values[name].size == 0:
            continue
        for p in (Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-1, 2)):
            if p.denominator == 2 and (scene.values[name] < 0).any():
                continue
            power = {Fraction(1): name, Fraction(-1): f"1/{name}", Fraction(1, 2): f"√{name}", Fraction(-1, 2): f"1/√{name}"}[p]
            yield Guess(
                "factor",
                f"an extra factor {power}{_invisible(scene, name)}",
                partial(_scaled, name, axes, float(p)),
            )


def laid(its: tuple[object, ...], dims: tuple[object, ...]) -> tuple[int, ...] | None:
    """The axes of a gradient that a tensor's dimensions are, in order; None where they are not."""
    axes: list[int] = []
    start = 0
    for p in its:
        fit = [k for k in range(start, len(dims)) if dims[k] is p]
        if not fit:
            return None
        axes.append(fit[0])
        start = fit[0] + 1
    return tuple(axes)


def _scaled(name: str, axes: tuple[int, ...], p: float, scene: Scene) -> Array:
    value = scene.values[name]
    shape = [1] * scene.right.ndim
    for k, n in zip(axes, value.shape):
        shape[k] = n
    with np.errstate(all="ignore"):
        found: Array = scene.right * value.reshape(shape) ** p
    return found


def _one_place(scene: Scene) -> Iterator[Guess]:
    """A factor that is missing, doubled or inverted in one product, or a wrong exponent, at one place of the adjoint."""
    for spot in spots(scene):
        node = spot.node
        if isinstance(node, Mul):
            for k, a in enumerate(node.args):
                if isinstance(a, (Number, SizeOf, Bracket)) or (isinstance(a, Pow) and isinstance(a.base, SizeOf)):
                    continue
                rest = mul(*(b for j, b in enumerate(node.args) if j != k))
                where = place(scene, spot.definition)
                yield edited("factor", f"the {_called(a)} {short(a)} is missing{where}, in {short(node)}", spot.changed(rest))
                yield edited(
                    "factor",
                    f"an extra factor {short(a)}{where}: it is used twice in {short(node)}",
                    spot.changed(mul(*node.args, a)),
                )
                inverse = mul(rest, power(a, -1))
                yield edited(
                    "factor", f"divided by {short(a)}, and should be multiplied{where}, in {short(node)}", spot.changed(inverse)
                )
            yield from _two_of(scene, spot, node)
        elif isinstance(node, Pow) and isinstance(node.exponent, Number):
            e = node.exponent.value
            for other in (e + 1, e - 1, e / 2, e * 2, -e):
                if other not in (0, e):
                    yield edited(
                        "factor",
                        f"the power of {short(node.base)} is {other}, and should be {e}{place(scene, spot.definition)}",
                        spot.changed(Pow(node.base, Number(other)) if other != 1 else node.base),
                    )


def _called(term: Term) -> str:
    """What a factor is called: a mask, where it is made of brackets alone."""
    parts = [term] if isinstance(term, (Number, Bracket)) else list(term.children)
    return "mask" if parts and all(isinstance(p, (Number, Bracket)) or _called(p) == "mask" for p in parts) else "factor"


def _two_of(scene: Scene, spot: Spot, node: Mul) -> Iterator[Guess]:
    """Two factors of a product left out, as a derivative like ``y·(1 − y)`` is."""
    own = [a for a in node.args if a.free and not any(n.endswith("_bar") or n in scene.case.upstream for n in a.names)]
    for a, b in combinations(own, 2) if 2 <= len(own) <= 5 else ():
        rest = mul(*(c for c in node.args if c is not a and c is not b))
        words = f"the factor {short(mul(a, b))} is missing{place(scene, spot.definition)}, in {short(node)}"
        yield edited("factor", words, spot.changed(rest))


def _some_places(scene: Scene) -> Iterator[Guess]:
    """A factor left out in more than one path of the chain rule, and kept in others; a tensor with the wrong sign."""
    holders: dict[str, list[tuple[str, int]]] = {}
    definitions = {d.name: d for d in backward_definitions(scene.program, scene.case.forward)}
    for d in definitions.values():
        for k, p in enumerate(d.paths):
            names = {a.name for t in subterms(p.term) if isinstance(t, Mul) for a in t.args if isinstance(a, Ref)}
            for n in names:
                holders.setdefault(n, []).append((d.name, k))
    for name, where in holders.items():
        if name in scene.case.upstream:
            continue

        def dropped(t: Term, name: str = name) -> Term:
            return mul(*(a for a in t.args if not (isinstance(a, Ref) and a.name == name))) if isinstance(t, Mul) else t

        for count in range(2, len(where)) if len(where) <= 5 else ():
            for chosen in combinations(where, count):
                terms = {}
                for n in dict.fromkeys(n for n, _ in chosen):
                    every = enumerate(definitions[n].paths)
                    terms[n] = add(*(transform(p.term, dropped) if (n, k) in chosen else p.term for k, p in every))
                places = " and ".join(dict.fromkeys(n.removesuffix("_bar") for n, _ in chosen))
                yield edited(
                    "factor", f"the factor {name} is missing in the gradient of {places}{_invisible(scene, name)}", terms
                )
    for name in holders:

        def negated(t: Term, name: str = name) -> Term:
            return neg(t) if isinstance(t, Ref) and t.name == name else t

        if turned := everywhere(scene, negated):
            yield edited("sign", f"{name} comes in with the wrong sign", turned)


def _arriving(scene: Scene) -> Iterator[Guess]:
    """Each adjoint as it arrives, times another tensor over the same indices (one that is no factor of it)."""
    seen: set[tuple[str, str]] = set()
    for spot in spots(scene):
        node = spot.node
        if not isinstance(node, Ref) or not (node.name in scene.case.upstream or node.name.endswith("_bar")):
            continue
        dims = scene.full.dims(node.name)
        for name in scene.values:
            if (node.name, name) in seen or name == node.name or name not in scene.case.forward.names:
                continue
            its = scene.full.dims(name)
            axes = laid(its, dims)
            if axes is None or scene.full.kind(name) != "float":
                continue
            seen.add((node.name, name))
            for p, text in ((1, name), (-1, f"1/{name}")):

                def times(t: Term, ref: str = node.name, name: str = name, axes: tuple[int, ...] = axes, p: int = p) -> Term:
                    """The reference with a power of another tensor beside it; the other's axes are chosen among the reference's
                    own."""
                    return (
                        mul(
                            t,
                            Pow(Ref(name, tuple(t.at[k] for k in axes)), Number(p))
                            if p != 1
                            else Ref(name, tuple(t.at[k] for k in axes)),
                        )
                        if isinstance(t, Ref) and t.name == ref
                        else t
                    )

                yield edited(
                    "factor",
                    f"{node.name} comes in with an extra factor {text}{_invisible(scene, name)}",
                    everywhere(scene, times),
                )
