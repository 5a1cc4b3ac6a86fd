"""Axes of literal size, whole on one side and spelt out on the other: proved where right, refuted where one is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.notation.integers.polynomials import Index
from derivcheck.notation.text.dims import parse_input
from derivcheck.notation.text.parse import TextScope, parse_term
from derivcheck.proof.expressions.context import Mode
from derivcheck.proof.normal_form.elements import each_element
from derivcheck.proof.normal_form.normal import new_context, of_term
from tests.proof.random_elements import gap, pair, proof_of

Backward = Callable[..., dict[str, Tensor]]
cross = torch.linalg.cross


def stacked(*parts: Tensor) -> Tensor:
    return torch.stack(parts, -1)


def turned(a: Tensor) -> Tensor:
    return a.transpose(-1, -2)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """A product of 3×3 matrices, by entries."""
    entry = [[a[:, i, 0] * b[:, 0, j] + a[:, i, 1] * b[:, 1, j] + a[:, i, 2] * b[:, 2, j] for j in range(3)] for i in range(3)]
    return torch.stack([stacked(*row) for row in entry], -2)


def softmax_backward(grad_output: Tensor, x: Tensor, last: int = 2) -> dict[str, Tensor]:
    e = [torch.exp(x[:, i]) for i in range(3)]
    p = [v / (e[0] + e[1] + e[last]) for v in e]
    dot = p[0] * grad_output[:, 0] + p[1] * grad_output[:, 1] + p[2] * grad_output[:, 2]
    return {"x": stacked(*(p[i] * (grad_output[:, i] - dot) for i in range(3)))}


def unit_backward(grad_output: Tensor, x: Tensor, sign: float = 1.0) -> dict[str, Tensor]:
    """The Jacobian of x/|x| with the inverse cube of the length, component by component."""
    a, b, c = x.unbind(-1)
    p, q, r = grad_output.unbind(-1)
    s = a * a + b * b + c * c
    k = 1 / torch.sqrt(s * s * s)
    first = (s - a * a) * p - b * a * q - c * a * r
    second = sign * (-a * b * p) + (s - b * b) * q - c * b * r
    return {"x": stacked(first, second, -a * c * p - b * c * q + (s - c * c) * r) * k[:, None]}


def inverse(a: Tensor) -> Tensor:
    """The inverse of a 2×2 matrix."""
    p, q, r, s = a[:, 0, 0], a[:, 0, 1], a[:, 1, 0], a[:, 1, 1]
    return torch.stack([stacked(s, -q), stacked(-r, p)], -2) / (p * s - q * r)[:, None, None]


def rotation(q: Tensor) -> Tensor:
    w, x, y, z = q.unbind(-1)
    first = stacked(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y))
    second = stacked(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x))
    return torch.stack([first, second, stacked(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))], -2)


def covariance(q: Tensor, s: Tensor) -> Tensor:
    m = rotation(q) * s[:, None, :]
    return m @ turned(m)


def covariance_backward(grad_output: Tensor, q: Tensor, s: Tensor, factor: float = 2.0) -> dict[str, Tensor]:
    w, x, y, z = q.unbind(-1)
    r = rotation(q)
    g = (grad_output + turned(grad_output)) @ (r * s[:, None, :])
    h = g * s[:, None, :]

    def v(i: int, j: int) -> Tensor:
        return h[:, i, j]

    found = stacked(
        2 * (x * (v(2, 1) - v(1, 2)) + y * (v(0, 2) - v(2, 0)) + z * (v(1, 0) - v(0, 1))),
        2 * (-2 * x * (v(1, 1) + v(2, 2)) + y * (v(1, 0) + v(0, 1)) + z * (v(2, 0) + v(0, 2)) + w * (v(2, 1) - v(1, 2))),
        2 * (x * (v(1, 0) + v(0, 1)) - 2 * y * (v(0, 0) + v(2, 2)) + z * (v(2, 1) + v(1, 2)) + w * (v(0, 2) - v(2, 0))),
        2 * (x * (v(2, 0) + v(0, 2)) + y * (v(2, 1) + v(1, 2)) - factor * z * (v(0, 0) + v(1, 1)) + w * (v(1, 0) - v(0, 1))),
    )
    return {"q": found, "s": stacked(*((r * g)[:, :, j].sum(1) for j in range(3)))}


# name: forward, dimensions, the right backward, wrong ones
KINDS: dict[str, tuple[Callable[..., Tensor], dict[str, str], Backward, tuple[Backward, ...]]] = {
    "twice": (
        lambda x: 2 * x,
        {"x": "N 3"},
        lambda grad_output: {"x": stacked(*(2 * grad_output[:, i] for i in range(3)))},
        (lambda grad_output: {"x": stacked(*(2 * grad_output[:, i] for i in (0, 1, 1)))},),
    ),
    "exp of a sum": (
        lambda x: torch.exp(x.sum(-1)),
        {"x": "N 3"},
        lambda grad_output, x: {"x": (grad_output * torch.exp(x[:, 0] + x[:, 1] + x[:, 2]))[:, None].expand(-1, 3)},
        (lambda grad_output, x: {"x": (grad_output * torch.exp(x[:, 0] + x[:, 1] - x[:, 2]))[:, None].expand(-1, 3)},),
    ),
    "length": (
        lambda x: (x * x).sum(-1).sqrt(),
        {"x": "N 3"},
        lambda grad_output, x: {"x": grad_output[:, None] * x / (x[:, 0] ** 2 + x[:, 1] ** 2 + x[:, 2] ** 2).sqrt()[:, None]},
        (lambda grad_output, x: {"x": grad_output[:, None] * x / (x[:, 0] ** 2 + x[:, 1] ** 2).sqrt()[:, None]},),
    ),
    "unit vector": (
        lambda x: x / torch.sqrt((x * x).sum(-1, keepdim=True)),
        {"x": "N 3"},
        unit_backward,
        (lambda grad_output, x: unit_backward(grad_output, x, -1.0),),
    ),
    "cross product": (
        cross,
        {"input": "N 3", "other": "N 3"},
        lambda grad_output, input, other: {"input": cross(other, grad_output), "other": cross(grad_output, input)},
        (lambda grad_output, input, other: {"input": cross(grad_output, other), "other": cross(grad_output, input)},),
    ),
    "two cross products": (
        lambda a, b, c: cross(a, cross(b, c)),
        {"a": "N 3", "b": "N 3", "c": "N 3"},
        lambda grad_output, a, b, c: {
            "b": grad_output * (a * c).sum(-1, keepdim=True) - a * (c * grad_output).sum(-1, keepdim=True)
        },
        (
            lambda grad_output, a, b, c: {
                "b": grad_output * (a * c).sum(-1, keepdim=True) - c * (a * grad_output).sum(-1, keepdim=True)
            },
        ),
    ),
    "matrix product": (
        torch.matmul,
        {"input": "N 3 3", "other": "N 3 3"},
        lambda grad_output, input, other: {
            "input": matmul(grad_output, turned(other)),
            "other": matmul(turned(input), grad_output),
        },
        (
            lambda grad_output, input, other: {"input": matmul(grad_output, other)},
            lambda grad_output, input, other: {"other": matmul(turned(input), turned(grad_output))},
        ),
    ),
    "matrix product by entries": (
        matmul,
        {"a": "N 3 3", "b": "N 3 3"},
        lambda grad_output, a, b: {"a": grad_output @ turned(b), "b": turned(a) @ grad_output},
        (lambda grad_output, a, b: {"a": grad_output @ turned(b), "b": a @ grad_output},),
    ),
    "outer product": (
        lambda a, b: a[:, :, None] * b[:, None, :],
        {"a": "N 3", "b": "N 3"},
        lambda grad_output, a, b: {
            "a": stacked(*(sum(grad_output[:, i, j] * b[:, j] for j in range(3)) for i in range(3))),
            "b": stacked(*(sum(grad_output[:, i, j] * a[:, i] for i in range(3)) for j in range(3))),
        },
        (lambda grad_output, a, b: {"a": stacked(*(sum(grad_output[:, j, i] * b[:, j] for j in range(3)) for i in range(3)))},),
    ),
    "softmax": (
        lambda x: x.softmax(-1),
        {"x": "N 3"},
        softmax_backward,
        (lambda grad_output, x: softmax_backward(grad_output, x, 1),),
    ),
    "product": (
        lambda x: x.prod(-1),
        {"x": "N 3"},
        lambda grad_output, x: {"x": grad_output[:, None] * stacked(x[:, 1] * x[:, 2], x[:, 0] * x[:, 2], x[:, 0] * x[:, 1])},
        (
            lambda grad_output, x: {
                "x": grad_output[:, None] * stacked(x[:, 1] * x[:, 2], x[:, 0] * x[:, 2], x[:, 0] * x[:, 0])
            },
        ),
    ),
    "running sum": (
        lambda x: x.cumsum(-1),
        {"x": "N 4"},
        lambda grad_output: {"x": stacked(*(sum(grad_output[:, j] for j in range(i, 4)) for i in range(4)))},
        (lambda grad_output: {"x": stacked(*(sum(grad_output[:, j] for j in range(i + 1)) for i in range(4)))},),
    ),
    "inverse": (
        inverse,
        {"a": "N 2 2"},
        lambda grad_output, a: {"a": -turned(inverse(a)) @ grad_output @ turned(inverse(a))},
        (lambda grad_output, a: {"a": -inverse(a) @ grad_output @ inverse(a)},),
    ),
    "covariance": (
        covariance,
        {"q": "N 4", "s": "N 3"},
        covariance_backward,
        (lambda grad_output, q, s: covariance_backward(grad_output, q, s, 1.0),),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spelt_out_on_one_side_is_proved(kind: str) -> None:
    forward, dims, right, wrong = KINDS[kind]
    proof = dc.prove(forward, right, dims=dims)
    assert proof.status == "proved", str(proof)
    for backward in wrong:
        assert dc.prove(forward, backward, dims=dims).status == "refuted"


def test_the_proof_says_that_it_went_element_by_element() -> None:
    forward, dims, right, _ = KINDS["cross product"]
    assert "element by element" in dc.prove(forward, right, dims=dims)["input"].detail


def test_a_size_that_is_a_symbol_is_not_written_out() -> None:
    """Three components are not all of C."""

    def backward(grad_output: Tensor, x: Tensor) -> Any:
        return {"x": (grad_output * torch.exp(x[:, 0] + x[:, 1] + x[:, 2]))[:, None].expand(-1, x.shape[1])}

    assert dc.prove(lambda x: torch.exp(x.sum(-1)), backward, dims={"x": "N C"}).status == "refuted"


def test_free_axes_are_written_out_as_far_as_they_are_few() -> None:
    n = Index("n", 3)
    scope = TextScope({"x": parse_input("x", "3 100"), "y": parse_input("y", "3 16 16")}, (n, Index("m", 100), Index("i", 16)))
    context = new_context(Mode(elements=True))
    assert len(each_element(context, of_term(context, parse_term("x[n, m]", scope)))) == 3
    assert len(each_element(context, of_term(context, parse_term("x[n, 0] + y[n, i, 0]", scope)))) == 48
    assert str(of_term(context, parse_term("sum(i < 16: y[0, i, 0])", scope))).count("y[") == 16
    assert str(of_term(context, parse_term("sum(i < 100: x[0, i])", scope))).count("x[") == 1


def test_random_terms_spelt_out_are_equal_only_where_they_are_on_numbers() -> None:
    proved = refuted = 0
    for p in map(pair, range(90)):
        if p.left is p.right:
            continue
        proof = proof_of(p)
        assert proof.status != "proved" or gap(p) < 1e-6, f"seed {p.seed}: {p.left}  |  {p.right}"
        assert not (p.equal and proof.status == "refuted"), f"seed {p.seed}: {p.left}  |  {p.right}"
        proved += proof.status == "proved" and p.equal
        refuted += proof.status == "refuted"
    assert proved > 20 and refuted > 15
