"""TorchScript runs where a trace does not see it: it is refused in one sentence, wherever it is met."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import derivcheck as dc


def plain(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x) * x


X = torch.randn(4, 3)
SCRIPTED = torch.jit.script(plain)
TRACED = torch.jit.trace(plain, (X,))
MODULE = torch.jit.script(torch.nn.Linear(3, 2))


@pytest.mark.parametrize("f", [SCRIPTED, TRACED, lambda x: SCRIPTED(x) + 1, lambda x: MODULE(x)])
def test_a_scripted_function_is_refused(f: Any) -> None:
    with pytest.raises(dc.UnsupportedOperation, match="torch.jit .*Give the Python function or module") as e:
        dc.derive(f, dims={"x": "N 3"})
    assert "\n" not in str(e.value)
    with pytest.raises(dc.UnsupportedOperation, match="torch.jit"):
        dc.check(f, {"x": X})


@pytest.mark.parametrize("module", [MODULE, torch.nn.Sequential(MODULE, torch.nn.Tanh())])
def test_so_is_a_scripted_module(module: Any) -> None:
    with pytest.raises(dc.UnsupportedOperation, match="torch.jit"):
        dc.derive(module, X)
    with pytest.raises(dc.UnsupportedOperation, match="torch.jit"):
        dc.check(module, {"input": X})


def test_what_it_was_made_of_is_not() -> None:
    assert dc.check(plain, {"x": X}).passed
