"""What the code assigns keeps its name, also where one statement assigns several."""

from __future__ import annotations

import torch
from torch import Tensor

import derivcheck as dc


def product(u: Tensor) -> Tensor:
    v, w = u[..., 0::2], u[..., 1::2] + 1
    return v * w


def several(x: Tensor) -> Tensor:
    a, (b, c) = x.sin(), (x + 1, x * 2)
    d, e = torch.exp(a * b), product(x)
    _, f = d.cos(), (x * x).tanh()
    return (d * c * f).sum() * e.sum()


def last(x: Tensor) -> Tensor:
    even = x[..., 0::2]
    return even * even


def named(function: object) -> dict[str, str]:
    """The variable of each definition that has one, and what it means."""
    found = dc.derive(function, dims={"x": "N 2*h"}).program.definitions
    return {d.variable: str(d.term) for d in found if d.variable}


def test_one_statement_that_assigns_several() -> None:
    found = named(several)
    assert {"d", "e", "f"} <= found.keys() and "_" not in found
    assert found["d"].startswith("exp(") and found["f"].startswith("tanh(")


def test_an_index_expression_that_ends_in_an_alias() -> None:
    assert named(last)["even"] == "x[n, 2*i]"
    assert "x[" in named(lambda x: product(x))["v"]


def test_what_is_computed_within_an_element_has_no_name() -> None:
    def function(x: Tensor) -> Tensor:
        a, b = (x * 2 + 1) * x, x - 1
        return a * b

    assert set(named(function)) == {"a", "b"}


def test_two_statements_in_a_line() -> None:
    def function(x: Tensor) -> Tensor:
        a = (x - x.mean()) / x.std(); b = a.exp() + 1  # fmt: skip  # noqa: E702
        return a * b

    assert set(named(function)) == {"a", "b"}


def test_a_lambda_within_an_assignment() -> None:
    losses = {"mean": lambda x: (x * 2).mean()}
    assert not named(losses["mean"])
