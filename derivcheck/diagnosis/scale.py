"""A constant factor: a rational times a monomial of the sizes, and why the sizes come in.

One shape cannot tell 2 from ``out``: the factor is fitted over all shapes at which the backward could be run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as grid

import numpy as np

from derivcheck.diagnosis.guess import Example, Guess
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.notation.integers.polynomials import Poly, Size, size
from derivcheck.notation.terms.build import mul, power, size_of
from derivcheck.notation.terms.nodes import Add, Mul, Number, Over, Pow, Ref, SizeOf, Term
from derivcheck.notation.terms.walk import subterms
from derivcheck.notation.values.shortest import told_apart

EXAMPLE = Example(
    forward="y[n,o] := sum(i: x[n,i]*w[o,i]); L := sum(n, o: (y[n,o] - t[n,o])^2)/(N*out)",
    dims={"x": "N in", "w": "out in", "t": "N out"},
    parameter="w",
    right="y[n,o] := sum(i: x[n,i]*w[o,i]); w_bar[o,i] := grad_output*2/(N*out)*sum(n: (y[n,o] - t[n,o])*x[n,i])",
    wrong="y[n,o] := sum(i: x[n,i]*w[o,i]); w_bar[o,i] := grad_output*2/N*sum(n: (y[n,o] - t[n,o])*x[n,i])",
    says="divided by N, but the mean is over N·out",
)
Powers = tuple[tuple[str, Fraction], ...]
EXPONENTS = [Fraction(e) for e in (0, 1, -1)] + [Fraction(1, 2), Fraction(-1, 2), Fraction(2), Fraction(-2)]


def scale(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """The gradient times a constant."""
    scenes = [s for s in (scene, *others) if ratio(s) is not None]
    if not scenes or scenes[0] is not scene:
        return
    ratios = [ratio(s) or 0.0 for s in scenes]
    if abs(ratios[0] - 1) < 1e-9:
        return
    explained = list(explanations(scenes, ratios))
    if len(scenes) > 1:
        explained = explained[:1]
    if not explained:
        if len(scenes) > 1 and (factor := next(factors_of(scenes, ratios), None)) is not None:
            yield Guess("scale", too_many(scene, factor), lambda s: factor.at(s) * s.right)
        elif len(scenes) > 1 and all(abs(r - ratios[0]) <= 1e-6 * abs(r) for r in ratios):
            said = f"it is {told_apart(float(ratios[0]), 1.0)[0]} times the gradient, at every size tried"
            yield Guess("scale", said, lambda s: ratios[0] * s.right)
        return
    if len(scenes) == 1:
        explained = [e for e in explained if _plain(*e)]
        explained.sort(key=lambda e: (e[0] != -1 or bool(e[1]), not (e[1] and why(scene, mean_over(scene), *e)), _cost(e[1])))
        if not explained or (explained[0][0] == -1 and not explained[0][1]):
            explained = explained[:1] or [(Fraction(ratios[0]).limit_denominator(64), ())]
    rational, powers = explained[0]
    kind = "sign" if rational == -1 and not powers else "scale"
    apart = _apart(scene, explained) if len(explained) > 1 else ""
    alternatives = tuple(why(scene, mean_over(scene), *e) or _short(*e) for e in explained[1:4]) if apart else ()
    yield Guess(
        kind,
        _sentence(scene, scenes, ratios, rational, powers),
        _times(rational, powers),
        alternatives=alternatives,
        tell_apart=apart,
    )


def ratio(scene: Scene) -> float | None:
    """The constant ``c`` with found = c·right, or None."""
    found, right = scene.found, scene.right
    if found is None or found.shape != right.shape or not right.any() or not np.isfinite(found).all():
        return None
    c = float((found * right).sum() / (right * right).sum())
    return c if c and scene.near(found, c * right) else None


def explanations(scenes: Sequence[Scene], ratios: Sequence[float]) -> Iterator[tuple[Fraction, Powers]]:
    """Rationals times size monomials that give the ratios at all scenes, simplest first."""
    names = list(scenes[0].sizes)
    slack = max(1e-8, min(0.05, 3 * max(s.relative for s in scenes)))
    for powers in monomial_candidates(tuple(names)):
        values = [_value(powers, s.sizes) for s in scenes]
        rational = Fraction(ratios[0] / values[0]).limit_denominator(16)
        if not rational or abs(rational.numerator) > 64:
            continue
        if all(abs(float(rational) * v - r) <= slack * abs(r) for v, r in zip(values, ratios)):
            if len(scenes) == 1 and powers and any(scenes[0].sizes[n] == 1 for n, _ in powers):
                continue
            if len(scenes) == 1 and powers and abs(rational) not in (1, 2, Fraction(1, 2)):
                continue
            yield rational, powers


@dataclass(frozen=True)
class Factor:
    """A rational times powers of sizes, times or divided by a number that the forward computes (a count, a total)."""

    rational: Fraction
    powers: Powers
    number: str = ""
    exponent: int = 1

    def at(self, scene: Scene) -> float:
        """Its value at a scene."""
        number = float(scene.values[self.number]) ** self.exponent if self.number else 1.0
        return float(self.rational) * _value(self.powers, scene.sizes) * number


def factors_of(scenes: Sequence[Scene], ratios: Sequence[float]) -> Iterator[Factor]:
    """Readings of the ratios at several scenes, of sizes alone before those with a number that the forward computes."""
    for rational, powers in explanations(scenes, ratios):
        yield Factor(rational, powers)
    for d in scenes[0].case.forward.definitions:
        values = [float(s.values[d.name]) for s in scenes] if not d.indices and d.kind == "float" else []
        if not values or not all(values):
            continue
        for exponent in (1, -1):
            rest = [r / v**exponent for r, v in zip(ratios, values)]
            for rational, powers in explanations(scenes, rest):
                yield Factor(rational, powers, d.name, exponent)


def too_many(scene: Scene, factor: Factor) -> str:
    """What is wrong with what comes out a factor too large, in words."""
    if factor.powers and factor.exponent == factor.rational == 1 and factor.number and all(e < 0 for _, e in factor.powers):
        instead = _monomial(tuple((n, -e) for n, e in factor.powers))
        return f"it is divided by {instead}, and should be by {factor.number}"
    number = [(factor.number, Fraction(factor.exponent))] if factor.number else []
    reason = "" if number else why(scene, mean_over(scene), factor.rational, factor.powers)
    return reason or f"a factor {size_text(factor.rational, _monomial((*factor.powers, *number)))} too many"


def monomial_candidates(names: tuple[str, ...]) -> list[Powers]:
    """Products of powers of up to three sizes, simplest first."""
    if len(names) > 5:
        spans = [(a, b) for k, a in enumerate(names) for b in names[k + 1 :]]
        found: dict[Powers, None] = {(): None, **{((n, e),): None for n in names for e in EXPONENTS[1:]}}
        found.update({((a, e), (b, f)): None for a, b in spans for e in EXPONENTS[1:3] for f in EXPONENTS[1:3]})
        return sorted(found, key=_cost)
    every = [tuple((n, e) for n, e in zip(names, es) if e) for es in grid(EXPONENTS, repeat=len(names))]
    return sorted((p for p in every if len(p) <= 3 and sum(e.denominator == 2 for _, e in p) <= 1), key=_cost)


def _cost(powers: Powers) -> tuple[Fraction, int]:
    return sum((abs(e) * (2 if e.denominator == 2 else 1) for _, e in powers), Fraction(0)), len(powers)


def _value(powers: Powers, sizes: dict[str, int]) -> float:
    out = 1.0
    for n, e in powers:
        out *= float(sizes[n]) ** float(e)
    return out


def _times(rational: Fraction, powers: Powers) -> Callable[[Scene], Array]:
    def predict(s: Scene) -> Array:
        return float(rational) * _value(powers, s.sizes) * s.right

    return predict


@dataclass(frozen=True)
class Coefficient:
    """A reading of a factor fitted at one scene: a rational times powers of sizes, as a term and in words."""

    term: Term
    text: str
    rational: Fraction
    powers: Powers = ()

    @property
    def value(self) -> Fraction | None:
        """Its value where no size comes in."""
        return self.rational if self.text == str(self.rational) else None


def exactly(value: Fraction) -> Coefficient:
    """A coefficient that no size comes into."""
    return Coefficient(Number(value), str(value), value)


def monomials(scene: Scene, c: float) -> Iterator[Coefficient]:
    """Readings of a coefficient fitted at one scene, simplest first."""
    slack = max(1e-6, min(0.1, 5 * scene.relative))
    if abs(c) <= slack:
        yield exactly(Fraction(0))
        return
    for powers in monomial_candidates(tuple(scene.sizes)):
        value = _value(powers, scene.sizes)
        rational = Fraction(c / value).limit_denominator(4)
        if rational and abs(rational) in (1, 2, Fraction(1, 2)) and abs(float(rational) * value - c) <= slack * abs(c):
            if powers and any(scene.sizes[n] == 1 for n, _ in powers):
                continue
            factors = [power(size_of(Size(n)), Number(e)) for n, e in powers]
            yield Coefficient(mul(Number(rational), *factors), size_text(rational, _monomial(powers)), rational, powers)
    # N/(N-1), the mistake of an unbiased variance
    for n, v in scene.sizes.items():
        if v > 1:
            for up, text in ((1, f"{n}/({n}-1)"), (-1, f"({n}-1)/{n}")):
                if abs((v / (v - 1)) ** up - c) <= slack:
                    factor = mul(size_of(Size(n)), power(size_of(size(n) - 1), Number(-1)))
                    yield Coefficient(power(factor, Number(up)), text, Fraction(1))


def _monomial(powers: Powers) -> str:
    up = "·".join(_powered(n, e) for n, e in powers if e > 0)
    down = "·".join(_powered(n, -e) for n, e in powers if e < 0)
    if not down:
        return up
    return f"{up or '1'}/{down}" if "·" not in down else f"{up or '1'}/({down})"


def _powered(name: str, e: Fraction) -> str:
    return name if e == 1 else f"√{name}" if e == Fraction(1, 2) else f"{name}^{e}"


def size_text(rational: Fraction, monomial: str) -> str:
    """A factor in words: ``2·N/out``."""
    if not monomial:
        return str(rational)
    return monomial if rational == 1 else f"−{monomial}" if rational == -1 else f"{rational}·{monomial}"


def _plain(rational: Fraction, powers: Powers) -> bool:
    """Whether one shape is enough to think of this factor: a small number, or sizes that are forgotten or doubled."""
    if not powers:
        return abs(rational) <= 16
    return (
        abs(rational) == 1
        and all(abs(e) == 1 for _, e in powers)
        or (rational == 1 and len(powers) == 1 and powers[0][1].denominator == 2)
    )


def _short(rational: Fraction, powers: Powers) -> str:
    return f"the factor is {size_text(rational, _monomial(powers))}"


def _sentence(scene: Scene, scenes: Sequence[Scene], ratios: Sequence[float], rational: Fraction, powers: Powers) -> str:
    """How many times too large, at two sizes where the factor differs, and why: ``divided by N, but the mean is over
    N·out``."""
    if rational == -1 and not powers:
        return "it has the wrong sign"
    ratios = [float(rational) * _value(powers, s.sizes) for s in scenes]
    first = f"{_words(ratios[0])} at {scene}"
    for s, r in zip(scenes[1:], ratios[1:]):
        if abs(r - ratios[0]) > 1e-6 * abs(r):
            first += f", {_words(r, False)} at {s}"
            break
    else:
        first = f"{_words(ratios[0])}" + (" at every size tried" if len(scenes) > 1 else f" at {scene}")
    reason = why(scene, mean_over(scene), rational, powers)
    return first + (f": {reason}" if reason else f": a factor {size_text(rational, _monomial(powers))} too many")


def _words(r: float, ending: bool = True) -> str:
    sign = "of the wrong sign and " if r < 0 else ""
    r = abs(r)
    if abs(r - 1) < 1e-9:
        return sign.removesuffix(" and ") or "right"
    large = r > 1
    return f"{sign}{r if large else 1 / r:.4g}×" + ((" too large" if large else " too small") if ending or not large else "")


def mean_over(scene: Scene) -> dict[str, Fraction]:
    """The sizes that the gradient is divided by as a whole, with their powers."""
    return divided_by(scene, scene.program.definition(f"{scene.name}_bar").term)


def divided_by(scene: Scene, term: Term) -> dict[str, Fraction]:
    """The sizes that a term of the adjoint is divided by as a whole, with their powers."""
    return {n: -e for n, e in _sizes(scene, term, frozenset({f"{scene.name}_bar"})).items() if e < 0}


def _sizes(scene: Scene, term: Term, seen: frozenset[str]) -> dict[str, Fraction]:
    """The powers of sizes that are factors of a term, followed back along the chain rule; none of adjoints seen already."""
    if isinstance(term, Mul):
        found: dict[str, Fraction] = {}
        for a in term.args:
            for n, e in _sizes(scene, a, seen).items():
                found[n] = found.get(n, Fraction(0)) + e
        return found
    if isinstance(term, Add):
        every = [_sizes(scene, a, seen) for a in term.args]
        return {n: max(f.get(n, Fraction(0)) for f in every) for n in every[0]}
    if isinstance(term, Over):
        return _sizes(scene, term.body, seen) if term.kind == "sum" else {}
    if isinstance(term, Pow) and isinstance(term.exponent, Number):
        return (
            {n: e * term.exponent.value for n, e in _sizes(scene, term.base, seen).items()}
            if isinstance(term.base, (SizeOf, Mul))
            else {}
        )
    if isinstance(term, SizeOf) and len(term.value.terms) == 1:
        return {a.name: Fraction(k) for a, k in term.value.terms[0][0] if isinstance(a, Size)}
    if isinstance(term, Ref) and term.name.endswith("_bar") and term.name not in {*scene.case.forward.names, *seen}:
        return _sizes(scene, scene.program.definition(term.name).term, seen | {term.name})  # a recurrence leads back to itself
    return {}


def why(scene: Scene, over: dict[str, Fraction], rational: Fraction, powers: Powers) -> str:
    """The same; the word mean is kept for what the forward sums over and divides by."""
    said = because(over, rational, powers)
    if "but the mean is over" in said and not set(over) <= _averaged(scene):
        return said.replace("but the mean is over", "and should be by")
    return said


def _averaged(scene: Scene) -> set[str]:
    """The sizes that the forward sums over and divides by."""
    terms = [t for d in scene.case.forward.definitions for t in subterms(d.term)]
    sums = (t for t in terms if isinstance(t, Over) and t.kind == "sum" and not _contracts(t))
    over = {n for t in sums for i in t.indices for n in _names(i.size)}
    by = {n for t in terms if isinstance(t, Pow) and isinstance(t.base, SizeOf) for n in _names(t.base.value)}
    return over & by


def _contracts(over: Over) -> bool:
    """Whether it is a product of matrices."""
    return isinstance(over.body, Mul) and sum(isinstance(a, Ref) for a in over.body.args) > 1


def _names(p: Poly) -> set[str]:
    return {a.name for a in p.atoms() if isinstance(a, Size)}


def because(over: dict[str, Fraction], rational: Fraction, powers: Powers) -> str:
    """Why the sizes come in, where the right gradient is divided by ``over``: a mean over something else, or a sum."""
    sign = "" if rational > 0 else "the wrong sign, and "
    extra = "" if abs(rational) == 1 else f", and {abs(rational)}× besides"
    if not powers:
        if rational == 2:
            return "a factor 2 too many"
        if rational == Fraction(1, 2):
            return "a factor 2 is missing"
        return ""
    used = dict(over)
    for n, e in powers:
        used[n] = used.get(n, Fraction(0)) - e
    used = {n: e for n, e in used.items() if e}
    if any(e < 0 for e in used.values()):
        return ""
    right, wrong = _monomial(tuple(over.items())), _monomial(tuple(used.items()))
    if any(e.denominator == 2 for e in used.values()) or any(e.denominator == 2 for e in over.values()):
        if not over:
            return f"{sign}the factor {wrong} is missing, or it is divided by {wrong}{extra}"
        if not wrong:
            return f"{sign}the factor 1/{right} is missing{extra}"
        return f"{sign}it is divided by {wrong}, and should be by {right}{extra}"
    if not over:
        return f"{sign}divided by {wrong}, but it is a sum, not a mean{extra}"
    if not used:
        return (
            f"{sign}the mean's 1/{right if '·' not in right else f'({right})'} is missing: the scale of a sum in a mean{extra}"
        )
    return f"{sign}divided by {wrong}, but the mean is over {right}{extra}"


def _apart(scene: Scene, explained: Sequence[tuple[Fraction, Powers]]) -> str:
    """Sizes at which the two simplest explanations differ."""
    (r, p), (q, k) = explained[0], explained[1]
    for n, v in scene.sizes.items():
        sizes = {**scene.sizes, n: v + 1}
        if abs(float(r) * _value(p, sizes) - float(q) * _value(k, sizes)) > 1e-6:
            return f"{n}={v + 1}"
    return ""
