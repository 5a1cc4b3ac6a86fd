"""A fixed quarter of PyTorch's own sample inputs: nothing wrong, nothing unclear; and the judge can fail."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch

import derivcheck as dc
from benchmarks.coverage import Sample, judge, module_entries, op_entries

MODULES = dict(itertools.islice(module_entries(), 0, None, 4))
OPERATORS = dict(itertools.islice(op_entries(), 0, None, 4))


def outcome(make: object, samples: int) -> list[tuple[str, str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [judge(s, seconds=60) for s in make(samples)]  # type: ignore[operator]


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    found = outcome(MODULES[name], 2)
    assert {kind for kind, _, _ in found} <= {"right", "unsupported"}, found


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    found = outcome(OPERATORS[name], 2)
    assert {kind for kind, _, _ in found} <= {"right", "unsupported"}, found


def test_the_judge_can_fail() -> None:
    x = torch.randn(3, dtype=torch.float64)
    square = dc.derive(lambda x: x * x, x=x)
    assert judge(Sample(lambda: square, {"x": x}, lambda leaf: [leaf["x"] ** 2]))[0] == "right"
    assert judge(Sample(lambda: square, {"x": x}, lambda leaf: [leaf["x"] ** 3]))[:2] == ("wrong", "the value differs")
    detached = [lambda leaf: [leaf["x"] * leaf["x"].detach()]]
    assert judge(Sample(lambda: square, {"x": x}, detached[0]))[:2] == ("wrong", "the gradient of x differs")
    assert judge(Sample(lambda: dc.derive(torch.sort, x), {"x": x}, lambda leaf: [leaf["x"]]))[0] != "right"
