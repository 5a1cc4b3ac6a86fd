"""What generated code costs, counted by hand, and the sizes that it is asked for."""

from __future__ import annotations

import pytest
import torch.nn.functional as F
from torch import ones

import derivcheck as dc

LINEAR = "y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]"
DIMS = {"x": "N in", "w": "out in", "b": "out"}
SIZES = {"N": 8, "in": 4, "out": 2}


def test_linear_counted_by_hand() -> None:
    found = dc.derive(LINEAR, dims=DIMS).profile(SIZES)
    n, i, o = SIZES.values()
    assert found.forward.count == 2 * n * i * o + n * o  # a multiplication and an addition each, and the bias
    assert found.gradients.count == 2 * (2 * n * i * o) + n * o  # two products, and the bias's sum
    inputs, results = n * i + o * i + o + n * o, n * o + n * i + o * i + o
    assert found.least == 4 * (inputs + results)
    assert found.bound >= found.least / found.bandwidth and found.measured > 0


def test_its_text_has_formulas_and_numbers() -> None:
    text = str(dc.derive(LINEAR, dims=DIMS).profile(SIZES))
    assert "forward: 144 operations = 2*N*in*out + N*out" in text
    assert "inputs and results alone:" in text and "bound by" in text and "measured" in text


def test_the_count_grows_as_the_formula_says() -> None:
    d = dc.derive(lambda x: F.softmax(x, -1), x=ones(3, 5))
    small, large = (d.profile({"N": n, "M": 16}) for n in (8, 16))
    assert large.forward.count == 2 * small.forward.count and large.gradients.moved == 2 * small.gradients.moved


@pytest.mark.parametrize(
    "sizes, words",
    [
        ({"N": 8, "in": 4}, "sizes says nothing of out; give every one of N, in, out"),
        ({**SIZES, "K": 1}, "sizes names 'K', which is no size here; those are N, in, out"),
        ({**SIZES, "N": 0}, "the size N is 0; expected a positive integer"),
        ({**SIZES, "N": 2.0}, "the size N is 2.0; expected a positive integer"),
    ],
)
def test_sizes_are_checked(sizes: dict[str, int], words: str) -> None:
    with pytest.raises(dc.InputError, match=words):
        dc.derive(LINEAR, dims=DIMS).profile(sizes)


def test_sizes_that_the_derivation_does_not_hold_for() -> None:
    def f(x):  # type: ignore[no-untyped-def]
        return x.sum() if x.shape[0] > 3 else 2 * x.sum()

    with pytest.raises(dc.InputError, match="this was derived for N > 3; found N = 2"):
        dc.derive(f, x=ones(5)).profile({"N": 2})
