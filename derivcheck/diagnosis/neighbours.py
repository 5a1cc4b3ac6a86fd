"""The gradient of a neighbour: another function, another constant, another count, a detached part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess, edited, forward_with, occurrences, place, reread, short, spots
from derivcheck.diagnosis.scene import Scene
from derivcheck.notation.integers.polynomials import Size, size
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, div, func, mul, power, size_of
from derivcheck.notation.terms.nodes import Add, Func, Number, Over, Pow, SizeOf, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import subterms

EXAMPLE = Example(
    forward="y[n] := gelu(x[n])",
    dims={"x": "N"},
    parameter="x",
    right="x_bar[n] := grad_output[n]*((1 + erf(x[n]/2^(1/2)))/2 + x[n]*exp(-x[n]^2/2)/(2*pi())^(1/2))",
    wrong=lambda grad_output, x: {"x": _gelu_tanh(grad_output, x)},
    says="gelu_tanh",
)
NEIGHBOURS = {
    "gelu": ("gelu_tanh", "silu", "sigmoid"),
    "gelu_tanh": ("gelu", "silu"),
    "silu": ("sigmoid", "gelu", "softplus"),
    "sigmoid": ("tanh", "silu", "logsigmoid"),
    "tanh": ("sigmoid", "sin", "tan"),
    "softplus": ("sigmoid", "silu"),
    "logsigmoid": ("sigmoid", "softplus"),
    "sin": ("cos",),
    "cos": ("sin",),
    "exp": ("expm1", "log"),
    "log": ("log1p",),
    "log1p": ("log",),
    "sinh": ("cosh", "sin"),
    "cosh": ("sinh", "cos"),
    "erf": ("tanh",),
    "log2": ("log", "log10"),
    "log10": ("log", "log2"),
    "exp2": ("exp",),
    "atan": ("tan", "tanh"),
    "tan": ("tanh",),
}


def _gelu_tanh(grad_output: Tensor, x: Tensor) -> Tensor:
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    t = u.tanh()
    return grad_output * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2))


def neighbours(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Forwards one step away from this one, whose gradient was returned; constants one step away in the adjoint."""
    program = scene.case.forward
    yield from _functions(program)
    yield from _wrapped(program)
    yield from _constants(program)
    yield from _exchanged(program)
    yield from _detached(program)
    yield from _in_the_adjoint(scene)


def _functions(program: Program) -> Iterator[Guess]:
    """The gradient of another forward, in which one function is one that it is often mistaken for."""
    for d in program.definitions:
        for node, put, _ in occurrences(d.term):
            if isinstance(node, Func):
                for other in NEIGHBOURS.get(node.name, ()):
                    yield reread(
                        "neighbour",
                        f"it is the gradient of {other}, and should be that of {node.name} (in {d.name})",
                        forward_with(program, d.name, put(Func(other, node.args))),
                    )


def _wrapped(program: Program) -> Iterator[Guess]:
    """A definition with an exponential or logarithm more or less: softmax for log softmax, sigmoid for its logarithm."""
    for d in program.definitions:
        if d.kind != "float" or d.recurrent:
            continue
        for words, new in (
            ("exp", func("exp", d.term)),
            ("log", func("log", d.term)),
            ("the square", power(d.term, 2)),
            ("the square root", power(d.term, Fraction(1, 2))),
        ):
            yield reread(
                "neighbour",
                f"it is the gradient of {words} of {d.name}, {_known(d.term, words) or 'not of ' + d.name}",
                forward_with(program, d.name, new),
            )
        if isinstance(d.term, Func) and d.term.name in ("log", "exp") and len(d.term.args) == 1:
            yield reread(
                "neighbour",
                f"it is the gradient of {d.name} without its {d.term.name}",
                forward_with(program, d.name, d.term.args[0]),
            )
        if isinstance(d.term, Pow):
            yield reread(
                "neighbour",
                f"it is the gradient of {d.name} without its power {d.term.exponent}",
                forward_with(program, d.name, d.term.base),
            )


def _known(term: Term, words: str) -> str:
    """The name that a mistake has in the field, where the term is a softmax or its logarithm; else nothing."""
    normal = any(
        isinstance(t, Func) and t.name == "log" and any(isinstance(u, Over) for u in subterms(t)) for t in subterms(term)
    )
    if words == "exp" and normal:
        return "softmax in place of log softmax"
    if words == "log" and any(isinstance(t, Pow) and isinstance(t.base, Over) for t in subterms(term)):
        return "log softmax in place of softmax"
    return ""


def _constants(program: Program) -> Iterator[Guess]:
    """Counts off by one, an epsilon left out or outside the root."""
    for d in program.definitions:
        for node, put, _ in occurrences(d.term):
            for words, new in readings(node):
                yield reread("constant", _in(node, f"{words} in {d.name}"), forward_with(program, d.name, put(new)))


def _in(node: Term, words: str) -> str:
    """Words with the term that they are about, where they do not name it."""
    return words if short(node) in words else f"{words}, in {short(node)}"


def _exchanged(program: Program) -> Iterator[Guess]:
    """Two constants of one definition, each in the place of the other: τ and 1 − τ, β₁ and β₂."""
    for d in program.definitions:
        numbers = dict.fromkeys(abs(t.value) for t in subterms(d.term) if isinstance(t, Number))
        for a, b in combinations([v for v in numbers if v not in (0, 1)], 2):
            other = {a: b, b: a, -a: -b, -b: -a}

            def change(t: Term, other: dict[Fraction, Fraction] = other) -> Term:
                return Number(other[t.value]) if isinstance(t, Number) and t.value in other else t

            new = transform(d.term, change)
            if new is not d.term:
                words = f"the constants {_plainly(a)} and {_plainly(b)} of {d.name} are exchanged"
                yield reread("constant", words, forward_with(program, d.name, new))


def _plainly(value: Fraction) -> str:
    return str(value) if value.denominator < 1000 else f"{float(value):g}"


def readings(node: Term) -> Iterator[tuple[str, Term]]:
    """Counts and constants read otherwise, in words."""
    if isinstance(node, SizeOf):
        for n in sorted(node.value.sizes()):
            for step in (-1, 1):
                new = node.value.substitute({Size(n): size(n) + step})
                yield f"{new} in place of {node.value}", size_of(new)
    if isinstance(node, Over) and node.kind == "sum":
        count = size_of(1)
        for i in node.indices:
            count = mul(count, size_of(i.size))
        yield "a mean in place of a sum", div(node, count)
        yield f"{count} in place of {short(node)}", count
    if isinstance(node, Add):
        for a in node.args:
            small = isinstance(a, Number) and abs(a.value) < Fraction(1, 50)
            if small:
                rest = add(*(b for b in node.args if b is not a))
                yield f"the {_eps(a)} is missing", rest
    if (
        isinstance(node, Pow)
        and isinstance(node.base, Add)
        and isinstance(node.exponent, Number)
        and node.exponent.value == Fraction(-1, 2)
    ):
        for a in node.base.args:
            if isinstance(a, Number) and 0 < a.value < Fraction(1, 50):
                rest = add(*(b for b in node.base.args if b is not a))
                yield f"the {_eps(a)} is added outside the root", power(add(power(rest, Fraction(1, 2)), a), -1)
    if isinstance(node, Func) and len(node.args) == 1:
        for factor in (Fraction(1, 2), Fraction(2), Fraction(-1)):
            other = func(node.name, mul(Number(factor), node.args[0]))
            yield f"{short(other)} in place of {short(node)}", other


def _eps(a: Term) -> str:
    return f"eps = {float(a.value):g}" if isinstance(a, Number) else str(a)


def undetached(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """A gradient that flows through what the forward detaches."""
    for guess in _detached(scene.case.forward):
        if "is detached in the forward" in guess.sentence:
            yield guess


def _detached(program: Program) -> Iterator[Guess]:
    """A definition taken as a constant, or one that should be and is not."""
    for d in program.definitions:
        if d.kind != "float":
            continue
        definitions = tuple(replace(e, stop=not e.stop) if e is d else e for e in program.definitions)
        words = (
            f"{d.name} is detached in the forward, but a gradient flows through it"
            if d.stop
            else f"{d.name} is taken as a constant: no gradient flows through it"
        )
        yield reread("detached", words, replace(program, definitions=definitions))


def _in_the_adjoint(scene: Scene) -> Iterator[Guess]:
    """The same constants and functions, read otherwise in the backward alone."""
    for spot in spots(scene):
        where = place(scene, spot.definition)
        for words, new in readings(spot.node):
            yield edited("constant", _in(spot.node, f"{words}{where}"), spot.changed(new))
        if isinstance(spot.node, Func):
            for other in NEIGHBOURS.get(spot.node.name, ()):
                yield edited(
                    "neighbour",
                    f"{other} in place of {spot.node.name}{where}, in {short(spot.node)}",
                    spot.changed(Func(other, spot.node.args)),
                )
            if len(spot.node.args) == 1:
                argument = spot.node.args[0]
                words = f"{spot.node.name} is missing{where}: {short(argument)} is read for {short(spot.node)}"
                yield edited("neighbour", words, spot.changed(argument))
