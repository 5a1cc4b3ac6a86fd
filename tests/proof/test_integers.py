"""Integers in positions: deltas with a coefficient, digits of any radix, masked positions of lanes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.notation.integers.bounds import nonnegative
from derivcheck.notation.integers.polynomials import Index, i_poly, size
from derivcheck.proof.numbers.comparison import NumbersAt

# forward, dimensions of x, the backward, what makes it wrong
STRIDES = [
    ("y[i < n] := 3*x[2*i]", "2*n", "x_bar[m] := [m % 2 = 0]*3*grad_output[m//2]", ("m % 2 = 0", "m % 2 = 1")),
    ("y[i < n] := 3*x[2*i + 1]", "2*n", "x_bar[m] := [m % 2 = 1]*3*grad_output[m//2]", ("m//2", "m//3")),
    ("y[i < n] := 3*x[2*i + 1]", "2*n", "x_bar[m] := [m % 2 = 1]*3*grad_output[(m-1)//2]", ("m % 2 = 1", "m >= 1")),
    (
        "y[i < n] := x[3*i]*x[3*i + 2]",
        "3*n",
        "x_bar[m] := grad_output[m//3]*([m % 3 = 0]*x[3*(m//3) + 2] + [m % 3 = 2]*x[3*(m//3)])",
        ("m % 3 = 2", "m % 3 = 1"),
    ),
    ("y[i < n] := x[s*i]^2", "s*n", "x_bar[m] := [m % s = 0]*2*grad_output[m//s]*x[m]", ("[m % s = 0]*", "")),
    ("y[i < (N+1)//2] := 3*x[2*i]", "N", "x_bar[m] := [m % 2 = 0]*3*grad_output[m//2]", ("3*", "")),
    (
        "y[i < N//2] := x[2*i]*x[2*i + 1]",
        "N",
        "x_bar[m] := [m//2 < N//2]*grad_output[m//2]*([m % 2 = 0]*x[m+1] + [m % 2 = 1]*x[m-1])",
        ("x[m-1]", "x[m]"),
    ),
    (
        "y[n, h < H, w < W] := x[n, 2*h, 2*w]",
        "N 2*H 2*W",
        "x_bar[n,a,b] := [a % 2 = 0]*[b % 2 = 0]*grad_output[n, a//2, b//2]",
        ("[b % 2 = 0]*", ""),
    ),
]


@pytest.mark.parametrize(("forward", "dims", "backward", "mistake"), STRIDES)
def test_a_delta_with_a_coefficient(
    forward: str, dims: str, backward: str, mistake: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = dc.prove(forward, backward, dims={"x": dims})
    assert proof.status == "proved", str(proof)
    wrong = backward.replace(*mistake)
    assert wrong != backward and dc.prove(forward, wrong, dims={"x": dims}).status == "refuted"
    monkeypatch.setattr(NumbersAt, "suspicious", lambda self, c: False)  # nor does the algebra prove it
    monkeypatch.setattr(NumbersAt, "ask", lambda self, claims, suspicious: None)
    assert dc.prove(forward, wrong, dims={"x": dims}).status == "undecided"


def test_a_multiple_of_a_quotient_is_bounded() -> None:
    n = size("N")
    assert nonnegative(n - 2 * (n // 2)) and nonnegative(2 * (n // 2) - n + 1)
    assert not nonnegative(2 * (n // 2) - n) and not nonnegative(n - 3 * (n // 2))
    i = i_poly(Index("i", n))
    assert nonnegative(n - 1 - 4 * (i // 4)) and not nonnegative(4 * (i // 4) - 1)


def _loaded(flat: Tensor, at: Tensor, on: Tensor) -> Tensor:
    return torch.where(on, flat[torch.where(on, at, 0)], 0.0)


def _lanes(grad_output: Tensor, x: Tensor, w: Tensor, more: int = 3, turned: bool = False) -> dict[str, Any]:
    """The gradient of ``(x*x*w).sum(1)`` as a kernel finds it: a lane per column, flat positions, masked loads."""
    N, D = x.shape
    lane = torch.arange(D + more)[None, :]
    at = torch.arange(N)[:, None] * D + lane
    on = (lane < D).expand(N, D + more)
    row = _loaded(x.reshape(-1), at, on)
    column = _loaded(w, lane.expand(N, D + more), on)
    found = 2 * grad_output[:, None] * row * column
    return {"x": found[:, more:] if turned else found[:, :D], "w": (grad_output[:, None] * row * row).sum(0)[:D]}


def test_lanes_of_a_masked_block() -> None:
    def forward(x: Tensor, w: Tensor) -> Tensor:
        return (x * x * w).sum(1)

    dims = {"x": "N D", "w": "D"}
    proof = dc.prove(forward, _lanes, dims=dims, time_limit=15.0)
    assert proof.status == "proved", str(proof)
    assert dc.prove(forward, lambda grad_output, x, w: _lanes(grad_output, x, w, 2, True), dims=dims).status == "refuted"


def test_a_masked_position_with_a_mistake() -> None:
    """The last column is masked out."""

    def backward(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
        N, D = x.shape
        lane = torch.arange(D)[None, :]
        at = torch.arange(N)[:, None] * D + lane
        return {"x": grad_output * 2 * _loaded(x.reshape(-1), at, (lane < D - 1).expand(N, D))}

    assert dc.prove(lambda x: x * x, backward, dims={"x": "N D"}).status == "refuted"


@pytest.mark.parametrize(
    ("claim", "right"),
    [
        ("x_bar[n] := 2*x[n]*sum(i: [2*i == n])*grad_output", True),
        ("x_bar[n] := x[n]*sum(i: [2*i == n])*grad_output", False),
        ("x_bar[n] := 2*x[n]*[n - 2*(n//2) == 0]*grad_output", False),  # beyond the last of the sum it is 0
    ],
)
def test_a_sum_may_end_where_no_input_does(claim: str, right: bool) -> None:
    proof = dc.prove(dc.derive("L := sum(i: x[2*i]^2)", dims={"x": "N"}), claim)
    assert proof.status == ("proved" if right else "refuted")
