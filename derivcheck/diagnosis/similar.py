"""A function in place of one that looks like it: quick GELU for GELU, hard swish for SiLU, ReLU for softplus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from derivcheck.diagnosis.guess import Example, Guess, forward_with, occurrences, reread, short
from derivcheck.diagnosis.scene import Array, Scene
from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.polynomials import Index, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import MINUS_ONE, ONE, add, func, mul, power, ref
from derivcheck.notation.terms.nodes import Add, Func, Mul, Number, Over, Ref, SizeOf, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.terms.walk import refs, subterms
from derivcheck.notation.values.evaluator import evaluate

EXAMPLE = Example(
    forward="y[n] := gelu(x[n])",
    dims={"x": "N"},
    parameter="x",
    right="x_bar[n] := grad_output[n]*((1 + erf(x[n]/2^(1/2)))/2 + x[n]*exp(-x[n]^2/2)/(2*pi())^(1/2))",
    wrong=lambda grad_output, x: {"x": grad_output * _quick_slope(x)},
    says="quick GELU",
)
WRITTEN_OUT = Example(
    forward="y[n] := x[n]*sigmoid(1.702*x[n])",
    dims={"x": "N"},
    parameter="x",
    right=lambda grad_output, x: {"x": grad_output * _quick_slope(x)},
    wrong="x_bar[n] := grad_output[n]*((1 + erf(x[n]/2^(1/2)))/2 + x[n]*exp(-x[n]^2/2)/(2*pi())^(1/2))",
    says="gradient of GELU",
)
PIECES = Example(
    forward="y[n] := x[n]*([x[n] + 3 > 0]*[3 - x[n] > 0]*(x[n] + 3)/6 + [x[n] - 3 >= 0])",
    dims={"x": "N"},
    parameter="x",
    right="x_bar[n] := grad_output[n]*([x[n] + 3 > 0]*[3 - x[n] > 0]*(2*x[n] + 3)/6 + [x[n] - 3 >= 0])",
    wrong="x_bar[n] := grad_output[n]*sigmoid(x[n])*(1 + x[n]*(1 - sigmoid(x[n])))",
    says="gradient of SiLU",
)
Shape = Callable[[Term], Term]


def _quick_slope(x: Tensor) -> Tensor:
    s = torch.sigmoid(1.702 * x)
    return s + 1.702 * x * s * (1 - s)


def _number(value: str) -> Term:
    return Number(Fraction(value))


def _clamped(x: Term, low: int, high: int) -> Term:
    above, below = add(x, Number(-low)), add(Number(high), mul(MINUS_ONE, x))
    inside = mul(bracket(">", above), bracket(">", below), x)
    return add(inside, mul(Number(high), bracket("<=", below)), mul(Number(low), bracket("<=", above)))


def _size(x: Term) -> Term:
    return add(mul(bracket(">", x), x), mul(MINUS_ONE, bracket("<=", x), x))


def _hard_sigmoid(x: Term) -> Term:
    return mul(_number("1/6"), add(_clamped(x, -3, 3), Number(3)))


SHAPES: dict[str, Shape] = {
    "GELU": lambda x: func("gelu", x),
    "the tanh form of GELU": lambda x: func("gelu_tanh", x),
    "quick GELU, x·σ(1.702·x)": lambda x: mul(x, func("sigmoid", mul(_number("1.702"), x))),
    "SiLU": lambda x: func("silu", x),
    "hard swish": lambda x: mul(x, _hard_sigmoid(x)),
    "ReLU": lambda x: mul(bracket(">", x), x),
    "ReLU6": lambda x: _clamped(x, 0, 6),
    "sigmoid": lambda x: func("sigmoid", x),
    "hard sigmoid": _hard_sigmoid,
    "tanh": lambda x: func("tanh", x),
    "hard tanh": lambda x: _clamped(x, -1, 1),
    "softsign": lambda x: mul(x, power(add(ONE, _size(x)), -1)),
    "softplus": lambda x: func("softplus", x),
    "Mish": lambda x: mul(x, func("tanh", func("softplus", x))),
    "ELU": lambda x: add(mul(bracket(">", x), x), mul(bracket("<=", x), add(func("exp", x), MINUS_ONE))),
}
AT = Index("k", size("K"))
POINT = ref("x", AT)
RAMPS = tuple(n for n in SHAPES if "LU" in n or n in ("softplus", "Mish", "hard swish"))
STEPS = ("sigmoid", "hard sigmoid", "tanh", "hard tanh", "softsign")
LIKE = {"gelu": RAMPS, "gelu_tanh": RAMPS, "silu": RAMPS, "softplus": RAMPS, "sigmoid": STEPS, "tanh": STEPS}


def similar(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Forwards with one function replaced by one of its look-alikes."""
    program = scene.case.forward
    for d in program.definitions:
        for node, put, _ in occurrences(d.term):
            for shapes, argument, rest in _functions(node):
                for name in shapes:
                    other = mul(*rest, SHAPES[name](argument))
                    if other is not node:
                        words = f"it is the gradient of {name}, and should be that of {short(node)} (in {d.name})"
                        yield reread("neighbour", words, forward_with(program, d.name, put(other)))


def _functions(node: Term) -> Iterator[tuple[tuple[str, ...], Term, list[Term]]]:
    """Functions that have look-alikes, with their argument and what else is multiplied; also those that are written out."""
    if isinstance(node, Func) and node.name in LIKE:
        yield LIKE[node.name], node.args[0], []
    if isinstance(node, Mul):
        arguments = dict.fromkeys(t for a in node.args for t in subterms(a) if isinstance(t, Ref))
        for x in arguments:
            own = [a for a in node.args if not a.names or set(refs(a)) == {x}]
            for part in (own, [a for a in own if a.names]):
                if name := recognised(mul(*part), x):
                    yield RAMPS if name in RAMPS else STEPS, x, [a for a in node.args if a not in part]
                    break
    elif isinstance(node, Add):
        arguments = dict.fromkeys(refs(node))
        if len(arguments) == 1:
            x = next(iter(arguments))
            if name := recognised(node, x):
                yield RAMPS if name in RAMPS else STEPS, x, []


@lru_cache(maxsize=1024)
def recognised(term: Term, x: Ref) -> str:
    """The name of the function of ``x`` that a term spells out, or ""; told by its values."""
    if len(list(subterms(term))) < 3 or any(isinstance(t, (Over, SizeOf)) for t in subterms(term)):
        return ""
    values = _values(transform(term, lambda t: POINT if t is x else t))
    if values is None:
        return ""
    return next((n for n, known in _known().items() if np.allclose(values, known, rtol=1e-12, atol=1e-13)), "")


@lru_cache(maxsize=1)
def _known() -> dict[str, Array]:
    found = {name: _values(shape(POINT)) for name, shape in SHAPES.items()}
    return {name: values for name, values in found.items() if values is not None}


def _values(term: Term) -> Array | None:
    program = Program((Input("x", (AT.size,)),), (Definition("y", (AT,), term),), ("y",))
    try:
        found: Array = evaluate(program, {"x": np.linspace(-7.3, 7.1, 37)})["y"]
    except (DerivcheckError, ArithmeticError, IndexError, KeyError, ValueError):
        return None
    return found if np.isfinite(found).all() else None
