"""Each way in which a size becomes a Python number is watched: a branch on it is a condition, listed with its line."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc
from tests.tracing.meant import normal


@pytest.mark.parametrize(
    ("condition", "required"),
    [
        (lambda x: x.numel() > 6, "M*N > 6"),
        (lambda x: torch.numel(x) > 6, "M*N > 6"),
        (lambda x: x.nelement() > 6, "M*N > 6"),
        (lambda x: x.shape.numel() > 6, "M*N > 6"),
        (lambda x: math.prod(x.shape) > 6, "M*N > 6"),
        (lambda x: reduce(operator.mul, x.size()) > 6, "M*N > 6"),
        (lambda x: x.flatten().shape[0] > 6, "M*N > 6"),
        (lambda x: torch.cat([x, x]).shape[0] > 11, "2*N > 11"),
        (lambda x: int(x.shape[0]) > 4, "N > 4"),
        (lambda x: x.size(dim=0) > 4, "N > 4"),
        (lambda x: x.size()[:1][0] > 4, "N > 4"),
        (lambda x: len(x) > 4, "N > 4"),
        (lambda x: float(x.shape[0]) > 4.5, "2*N > 9"),
        (lambda x: x.stride(0) > 2, "M > 2"),
        (lambda x: x[1:].storage_offset() > 2, "M > 2"),
        (lambda x: x.shape[0] // 2 > 2, "(N//2) > 2"),
        (lambda x: int(x.shape[0] / 2) > 2, "(N//2) > 2"),
        (lambda x: x.shape[0] / x.shape[1] > 0.1, "10*N > M"),
        (lambda x: x.shape[0] != 4, "N != 4"),
        (lambda x: not x.shape[0] == 4, "N != 4"),
        (lambda x: bool(x.shape[0]), "N != 0"),
        (lambda x: min(x.shape[0], 4) == 4, "N >= 4"),
        (lambda x: math.sqrt(x.shape[0]) > 2, "N > 4"),
        (lambda x: x.shape[0] ** 0.5 > 2, "N > 4"),
        (lambda x: 0.5 * x.shape[0] > 2, "N > 4"),
        (lambda x: max(range(x.shape[0]), default=0) > 3 if False else len(range(x.shape[0])) > 3, "N > 3"),
        (lambda x: x.shape[0].bit_length() > 2, "bit_length(N) > 2"),
        (lambda x: x.shape[0] % 2 == 0, "N == 2*(N//2)"),
        (lambda x: x.shape[0] & 1 == 0, "N == 2*(N//2)"),
        (lambda x: round(x.shape[0] / 4) > 1, ""),
        (lambda x: math.gcd(x.shape[0], 6) == 2, "gcd(6, N) == 2"),
        (lambda x: [False, True][x.shape[0] > 4], "N > 4"),
    ],
)
def test_a_branch_on_a_size_is_required_and_enforced(condition: Callable[[Any], bool], required: str) -> None:
    def f(x: Any) -> Any:
        return 2 * x if condition(x) else 3 * x

    d = dc.derive(f, x=normal(8, 5))
    if required:
        assert required in [str(r) for r in d.program.requires]
        assert any(c.startswith(f"{required} at test_watched.py:") for c in d.conditions)
    run, refused = d.compile(), 0
    for shape in ((0, 3), (1, 1), (1, 2), (2, 1), (4, 1), (4, 2), (5, 1), (9, 4), (1, 30)):  # right, or refused
        x = torch.ones(shape, dtype=torch.float64)
        try:
            found = run(x=x, grad_output=x)[1]["x"]
        except ValueError as e:
            assert "this was derived for" in str(e)
            refused += 1
        else:
            if x.numel():
                assert found.tolist() == (2 * x if condition(x) else 3 * x).tolist()
    assert refused


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        (lambda x: operator.index(x.shape[0]) > 4, "operator.index"),
        (lambda x: x.shape[0] in {1, 2}, "hash"),
        (lambda x: {8: 1}.get(x.shape[0]) == 1, "hash"),
        (lambda x: len(str(x.shape[0])) > 1, "str"),
        (lambda x: f"{x.shape[0]:03d}" == "008", "format"),
        (lambda x: [0, 1, 2, 3, 4, 5, 6, 7, 0][x.shape[0]] > 1, "index"),
        (lambda x: math.comb(x.shape[0], 2) > 4, "math.comb"),
        (lambda x: math.tanh(x.shape[0]) > 0.5, "math.tanh"),
        (lambda x: type(x.shape[0]) is int and x.shape[0] > 4, "a plain int"),
    ],
)
def test_a_number_that_carries_no_expression_pins_its_sizes(condition: Callable[[Any], bool], what: str) -> None:
    def f(x: Any) -> Any:
        return 2 * x if condition(x) else 3 * x

    d = dc.derive(f, x=normal(8, 5))
    said = (f"x.shape[0] = 8: `{what}` of it at test_watched.py:", "x.shape[0] = 8: compared at test_watched.py:")
    assert any(n.startswith(said) for n in d.program.notes), d.program.notes
    x = torch.ones(8, 5)
    assert torch.equal(d.compile()(x=x, grad_output=x)[1]["x"], f(x))
    with pytest.raises(ValueError, match=r"expected"):
        d.compile()(x=x[:3], grad_output=x[:3])
    with pytest.raises(dc.UnsupportedOperation, match=r"plain number, of which no expression is known"):
        dc.derive(f, dims={"x": "N M"})


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 2 * x if x.ndim == 2 and x.dim() == 2 and x.element_size() == 8 else 3 * x,
        lambda x: x / math.sqrt(x.shape[0]),
        lambda x: x / x.shape[0] + float(len(x)),
    ],
)
def test_what_decides_nothing_is_no_condition(f: Callable[[Any], Any]) -> None:
    assert dc.derive(f, x=normal(8, 5)).program.conditions == ()


@pytest.mark.parametrize(
    ("f", "what"),
    [
        (lambda x: x * x.untyped_storage().size(), r"Tensor.untyped_storage at test_watched.py:\d+ .* the memory"),
    ],
)
def test_what_cannot_be_a_condition_is_refused(f: Callable[[Any], Any], what: str) -> None:
    with pytest.raises(dc.UnsupportedOperation, match=what):
        dc.derive(f, x=normal(8, 5))


class Wide(nn.Module):
    """A module that branches on a size in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 6
        self.proj = nn.Linear(4, 6)

    def forward(self, x: Any) -> Any:
        hidden = self.proj(x)
        assert hidden.shape[-1] == self.width
        return hidden * (2 if self.width > 4 else 3)


def test_an_attribute_that_is_a_size_is_watched() -> None:
    d = dc.derive(Wide(), torch.ones(3, 4))
    assert [str(r) for r in d.program.requires] == ["out > 4"]


def test_the_code_finds_the_builtins_as_they_were() -> None:
    def f(x: Any) -> Any:
        return x * int(x.shape[0])

    dc.derive(f, x=normal(8, 5))
    assert "int" not in f.__globals__ and "range" not in f.__globals__ and int(len("ab")) == 2
    assert operator.index(True) == 1
