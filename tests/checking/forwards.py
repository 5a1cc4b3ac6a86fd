"""Forwards for the tests of checking: Programs by hand of layers of the gallery, with its backwards; and a recurrence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from derivcheck.notation.integers.atoms import entry
from derivcheck.notation.integers.polynomials import Index, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import add, div, func, mul, power, ref, size_of, sub
from derivcheck.notation.terms.nodes import Bracket, Number, Over, Term
from derivcheck.notation.terms.substitute import summation
from examples.gallery import LAYERS

N, IN, OUT, D, V = size("N"), size("in"), size("out"), size("D"), size("V")
n, i, o, d, k = Index("n", N), Index("i", IN), Index("o", OUT), Index("d", D), Index("k", D)
Tensors = dict[str, torch.Tensor]


@dataclass
class Forward:
    """A forward Program, a right backward, and data for it."""

    program: Program
    backward: Callable[..., Tensors]
    data: Callable[[torch.Generator, tuple[int, ...]], Tensors]
    native: Callable[..., Any]  # torch's own, for autograd
    wrt: tuple[str, ...]


def _of(name: str, program: Program, data: Callable[[torch.Generator, tuple[int, ...]], Tensors]) -> Forward:
    layer = LAYERS[name]
    return Forward(program, layer.backward, data, layer.forward, layer.gradients_of)


def randn(*shape: int, g: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=g, dtype=torch.float64)


def _linear() -> Forward:
    yhat = Definition("yhat", (n, o), add(summation([i], mul(ref("x", n, i), ref("w", o, i))), ref("b", o)))
    loss = Definition("L", (), div(summation([n, o], power(sub(ref("yhat", n, o), ref("y", n, o)), 2)), size_of(N * OUT)))
    arguments = (
        Input("x", (N, IN)),
        Input("w", (OUT, IN), role="parameter"),
        Input("b", (OUT,), role="parameter"),
        Input("y", (N, OUT)),
    )

    def data(g: torch.Generator, s: tuple[int, ...]) -> Tensors:
        a, b, c = (*s, 3, 2)[:3]
        return {"x": randn(a, b, g=g), "w": randn(c, b, g=g), "b": randn(c, g=g), "y": randn(a, c, g=g)}

    return _of("mse", Program(arguments, (yhat, loss), ("L",)), data)


def _norm() -> Forward:
    mean = Definition("mean", (n,), div(summation([d], ref("x", n, d)), size_of(D)))
    gap: Term = sub(ref("x", n, d), ref("mean", n))
    var = Definition("var", (n,), div(summation([d], power(gap, 2)), size_of(D)))
    rstd = Definition("rstd", (n,), power(add(ref("var", n), div(Number(1), Number(100000))), div(Number(-1), Number(2))))
    y = Definition("y", (n, d), add(mul(gap, ref("rstd", n), ref("w", d)), ref("b", d)))
    arguments = (Input("x", (N, D)), Input("w", (D,), role="parameter"), Input("b", (D,), role="parameter"))

    def data(g: torch.Generator, s: tuple[int, ...]) -> Tensors:
        return {"x": randn(*s[:2], g=g), "w": randn(s[1], g=g), "b": randn(s[1], g=g)}

    return _of("layer norm", Program(arguments, (mean, var, rstd, y), ("y",)), data)


def _softmax() -> Forward:
    top = Definition("top", (n,), Over("max", (d,), ref("x", n, d)), stop=True)
    e = Definition("e", (n, d), func("exp", sub(ref("x", n, d), ref("top", n))))
    p = Definition("P", (n, d), div(ref("e", n, d), summation([k], ref("e", n, k))))

    return _of("softmax", Program((Input("x", (N, D)),), (top, e, p), ("P",)), lambda g, s: {"x": randn(*s[:2], g=g)})


def _relu() -> Forward:
    y = Definition("y", (n, o), mul(Bracket(">", ref("h", n, o)), ref("h", n, o)))
    h = Definition("h", (n, o), summation([i], mul(ref("x", n, i), ref("w", o, i))))

    def data(g: torch.Generator, s: tuple[int, ...]) -> Tensors:
        a, b, c = (*s, 3, 2)[:3]
        return {"x": randn(a, b, g=g), "w": randn(c, b, g=g)}

    return _of("relu of linear", Program((Input("x", (N, IN)), Input("w", (OUT, IN))), (h, y), ("y",)), data)


def _embedding() -> Forward:
    y = Definition("y", (n, d), ref("table", entry("ids", i_poly(n)), d))

    def data(g: torch.Generator, s: tuple[int, ...]) -> Tensors:
        return {"table": randn(7, s[1], g=g), "ids": torch.randint(7, (s[0],), generator=g)}

    return _of("embedding", Program((Input("table", (V, D)), Input("ids", (N,), "int", below=V)), (y,), ("y",)), data)


def _gelu() -> Forward:
    y = Definition("y", (n, d), func("gelu", ref("x", n, d)))

    return _of("gelu", Program((Input("x", (N, D)),), (y,), ("y",)), lambda g, s: {"x": randn(*s[:2], g=g)})


def _maximum() -> Forward:
    where = Definition("where", (n,), Over("argmax", (d,), ref("x", n, d)), stop=True, kind="int")
    y = Definition("y", (n,), ref("x", n, entry("where", i_poly(n))))

    return _of("maximum", Program((Input("x", (N, D)),), (where, y), ("y",)), lambda g, s: {"x": randn(*s[:2], g=g)})


def _decay() -> Forward:
    """A recurrence: T[k] = T[k−1]·(1 − a[k−1])."""
    p = i_poly(n)
    T = Definition(
        "T", (n,), add(Bracket("==", p), mul(Bracket(">=", p - 1), ref("T", p - 1), sub(Number(1), ref("a", p - 1))))
    )

    def backward(grad_output: Any, a: Any) -> Tensors:
        # the product without its own factor, by running products from both ends
        out = torch.zeros_like(a)
        T = torch.cumprod(torch.cat([torch.ones_like(a[:1]), (1 - a)[:-1]]), 0)
        carried = torch.zeros_like(a[0])
        for j in range(len(a) - 2, -1, -1):
            carried = grad_output[j + 1] + carried * ((1 - a[j + 1]) if j + 1 < len(a) - 1 else 0)
            out[j] = -T[j] * carried
        return {"a": out}

    return Forward(
        Program((Input("a", (N,)),), (T,), ("T",)),
        backward,
        lambda g, s: {"a": torch.rand(s[0], generator=g, dtype=torch.float64) * 0.9},
        lambda a: torch.cumprod(torch.cat([torch.ones_like(a[:1]), (1 - a)[:-1]]), 0),
        ("a",),
    )


FORWARDS: dict[str, Forward] = {
    "linear": _linear(),
    "norm": _norm(),
    "softmax": _softmax(),
    "relu": _relu(),
    "embedding": _embedding(),
    "gelu": _gelu(),
    "maximum": _maximum(),
    "decay": _decay(),
}
