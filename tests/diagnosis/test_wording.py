"""Sentences in the names that the user has, and where alone a gradient is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc

Backward = Callable[..., dict[str, Tensor]]


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def lengths(q: Tensor) -> Tensor:
    return torch.cos(q / q.abs().sum(-1, keepdim=True))


def not_through_the_length(grad_output: Tensor, q: Tensor) -> dict[str, Tensor]:
    return {"q": -grad_output * torch.sin(q / q.abs().sum(-1, keepdim=True))}


def entropy(v: Tensor, x: Tensor) -> Tensor:
    return (x * v).sum() + torch.log(v * v).sum()


def no_logarithm(grad_output: Tensor, v: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"v": grad_output * x.sum(0), "x": grad_output * v.expand_as(x)}


def softplus(x: Tensor) -> Tensor:
    return F.softplus(x)


def of_its_output(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output * torch.sigmoid(F.softplus(x))}


def scaled(x: Tensor, w: Tensor) -> Tensor:
    factor = (x.square().sum(-1, keepdim=True) + 1).rsqrt()
    return x * factor * w


def factor_held(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    factor = (x.square().sum(-1, keepdim=True) + 1).rsqrt()
    return {"x": grad_output * w * factor, "w": (grad_output * x * factor).sum(0)}


def twice(x: Tensor, w: Tensor) -> Tensor:
    h = x * w
    h = torch.tanh(h)
    h = h * h
    return h


def second_h_held(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    h = torch.tanh(x * w)
    return {"x": grad_output * h * (1 - h**2) * w, "w": (grad_output * 2 * h * (1 - h**2) * x).sum(0)}


CASES: list[tuple[Callable[..., Any], dict[str, Tensor], Backward, str]] = [
    (lengths, {"q": drawn(4, 3)}, not_through_the_length, "`q / q.abs().sum(-1, keepdim=True)`"),
    (entropy, {"v": drawn(3).abs() + 1, "x": drawn(4, 3)}, no_logarithm, "the path through `v * v`"),
    (softplus, {"x": drawn(4, 3)}, of_its_output, "`F.softplus(x)`"),
    (scaled, {"x": drawn(4, 3), "w": drawn(3)}, factor_held, "the path through factor"),
]


@pytest.mark.parametrize(("forward", "data", "backward", "says"), CASES, ids=[c[2].__name__ for c in CASES])
def test_a_sentence_has_the_users_names(
    forward: Callable[..., Any], data: dict[str, Tensor], backward: Backward, says: str
) -> None:
    said = str(next(r for r in dc.check(forward, data, backward) if not r.passed).diagnosis)
    assert says in said, said
    assert not re.search(r"(?<![\w.])(?:[a-z]+_\d+|z|z_bar)(?![\w(.])", said), said


def test_a_variable_that_is_assigned_again_has_no_number() -> None:
    report = dc.check(twice, {"x": drawn(4, 3), "w": drawn(3)}, second_h_held)
    assert "h_1" not in str(report) and "h_2" not in str(report), str(report)


def test_index_text_keeps_its_names() -> None:
    d = dc.derive("z_1[n] := x[n]^2; z[n] := sin(z_1[n])", dims={"x": "N"})
    row = dc.check(d, {"x": drawn(4)}, "z_1[n] := x[n]^2; x_bar[n] := grad_output[n]*cos(z_1[n])")["x"]
    assert "z_1" in str(row.diagnosis)


def dropped(x: Tensor, m: Tensor) -> Tensor:
    return x * m


def found_by_division(grad_output: Tensor, x: Tensor, m: Tensor) -> dict[str, Tensor]:
    return {"x": torch.where(x == 0, grad_output, grad_output * (x * m) / torch.where(x == 0, 1.0, x))}


def test_right_but_at_zero() -> None:
    m = (torch.arange(20).reshape(4, 5) % 3 > 0).double()
    report = dc.check(dropped, {"x": drawn(4, 5), "m": m}, found_by_division, wrt=["x"])
    assert "right except where x = 0 and m = 0" in str(report)


def clamped(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.sin(x), 3 * x)


def one_branch(grad_output: Tensor, x: Tensor) -> dict[str, Tensor]:
    return {"x": grad_output * torch.where(x > 0, torch.cos(x), torch.sin(3.3 * x) + 0.1 * x**3)}


def test_where_alone_it_is_wrong() -> None:
    row = dc.check(clamped, {"x": drawn(4, 5)}, one_branch)["x"]
    assert row.only_where == "right except where x < 0" and row.only_where in str(
        dc.check(clamped, {"x": drawn(4, 5)}, one_branch)
    )


def test_wrong_everywhere_is_not_told_apart() -> None:
    assert dc.check(softplus, {"x": drawn(4, 3)}, of_its_output)["x"].only_where == ""


def test_an_article_is_no_name_of_the_tracers() -> None:
    def preference(chosen: Tensor, rejected: Tensor) -> Tensor:
        return -F.logsigmoid(0.1 * (chosen - rejected)).mean()  # the tracer calls a step of it ``a``

    def backward(grad_output: Tensor, chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
        weight = torch.sigmoid(-0.1 * (chosen - rejected))
        return {"chosen": -grad_output * weight / len(chosen), "rejected": grad_output * weight / len(chosen)}

    data = {n: torch.linspace(-1, k, 5, dtype=torch.float64) for k, n in enumerate(("chosen", "rejected"))}
    assert "10× too large at every size tried: the factor 1/10 is missing at" in str(
        dc.check(preference, data, backward)["chosen"].diagnosis
    )
