"""A forward whose code loops or branches over a size is checked at the sizes given: only those sizes are fixed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import derivcheck as dc
from derivcheck.errors import UnsupportedOperation


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decaying(x: Tensor, w: Tensor) -> Tensor:
    """A loop over time with a state."""
    h = torch.zeros_like(x[0])
    for t in range(x.shape[0]):
        h = torch.exp(-w) * h + x[t]
    return h


def decaying_backward(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
    g, steps, a = torch.zeros_like(x), x.shape[0], torch.exp(-w)
    states = [torch.zeros_like(x[0])]
    for t in range(steps):
        states.append(a * states[-1] + x[t])
    h, total = grad_output.clone(), torch.zeros_like(w)
    for t in reversed(range(steps)):
        g[t] = h
        total -= (h * a * states[t]).sum(0)
        h = h * a
    return {"x": g, "w": total}


def chain(emit: Tensor, trans: Tensor) -> Tensor:
    """The logarithm of a chain's sum over all paths."""
    alpha = emit[0]
    for t in range(1, emit.shape[0]):
        alpha = torch.logsumexp(alpha[:, None] + trans, 0) + emit[t]
    return torch.logsumexp(alpha, 0)


def horner(c: Tensor, x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for k in reversed(range(len(c))):
        y = y * x + c[k]
    return y


def narrowed(x: Tensor) -> Tensor:
    while x.shape[0] > 1:
        x = x[:-1] * x[1:]
    return x


def parity(x: Tensor) -> Tensor:
    return {"4": x.sin(), "5": x.cos()}.get(str(x.shape[0]), x)


class Steps(nn.Module):
    """A cell of torch's in a loop of the user's."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], 2)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return h


CASES: dict[str, tuple[Callable[..., Any], dict[str, Tensor], str]] = {
    "time": (decaying, {"x": randn(4, 2, 3), "w": randn(3, seed=1)}, "x.shape[0] = 4"),
    "chain": (chain, {"emit": randn(4, 3), "trans": randn(3, 3, seed=1)}, "emit.shape[0] = 4"),
    "coefficients": (horner, {"c": randn(5), "x": randn(3, seed=1)}, "c.shape[0] = 5"),
    "while": (narrowed, {"x": randn(4, 3)}, "x.shape[0] = 4"),
    "text": (parity, {"x": randn(4)}, "x.shape[0] = 4"),
    "module": (Steps(), {"x": randn(2, 4, 3)}, "x.shape[1] = 4"),
}


@pytest.mark.parametrize("name", CASES)
def test_only_the_sizes_of_the_loop_are_fixed_and_said(name: str) -> None:
    forward, data, fixed = CASES[name]
    report = dc.check(forward, data, strict=True)
    assert not report.failures and not report.passed, str(report)
    (said,) = [n for n in report.limits if n.startswith("fixed at")]
    assert said.startswith(f"fixed at {fixed}: ") and said.count(" = ") == 1, said


def test_a_wrong_backward_of_a_loop_is_caught_and_the_right_one_passes() -> None:
    data = {"x": randn(4, 2, 3), "w": randn(3, seed=1)}
    assert dc.check(decaying, data, decaying_backward).passed

    def forgets(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
        found = decaying_backward(grad_output, x, w)
        return {**found, "w": found["w"] * (x.shape[0] - 1) / x.shape[0]}

    def two_rows_alone(grad_output: Tensor, x: Tensor, w: Tensor) -> dict[str, Tensor]:
        """Right at the batch that was given."""
        found = decaying_backward(grad_output, x, w)
        return {**found, "w": found["w"] if x.shape[1] == 2 else 2 * found["w"]}

    assert dc.check(decaying, data, forgets)["w"].verdict == "wrong"
    shown = dc.check(decaying, data, two_rows_alone)["w"]
    assert shown.verdict == "wrong" and shown.where, "the sizes that no loop goes over are still probed"


def test_a_branch_on_data_is_refused_all_the_same() -> None:
    with pytest.raises(UnsupportedOperation, match="value") as refused:
        dc.check(lambda x: x * 2 if x.sum() > 0 else x * 3, {"x": randn(3)})
    assert refused.value.__suppress_context__


def test_gradcheck_of_a_loop() -> None:
    leaves = [t.requires_grad_() for t in (randn(4, 3), randn(3, 3, seed=1))]
    assert dc.gradcheck(chain, leaves)


def test_what_is_refused_at_the_example_is_not_tried_at_other_sizes() -> None:
    calls = []

    def f(x: Tensor) -> Tensor:
        calls.append(x.shape)
        return torch.linalg.svdvals(x).sum() * x.shape[0]

    with pytest.raises(dc.UnsupportedOperation, match="svd") as refused:
        dc.check(f, {"x": torch.randn(3, 4, dtype=torch.float64)})
    assert refused.value.anywhere and {*calls} == {(3, 4)}


def grouped_scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.repeat_interleave(q.shape[0] // k.shape[0], dim=0).mT


@pytest.mark.parametrize(
    ("f", "shapes", "held"),
    [
        (grouped_scores, [(4, 3, 5), (2, 6, 5)], "q.shape[0] = 4, k.shape[0] = 2"),
        (grouped_scores, [(4, 3, 5), (1, 6, 5)], "q.shape[0] = 4"),
        (lambda x: F.pixel_shuffle(x, 2), [(2, 4, 3, 3)], "x.shape[1] = 4"),
        (  # of so many sizes not each is varied alone
            lambda a, b, c, d, e, f, g: sum(F.pixel_shuffle(t, 2).sum() for t in (a, b, c, d, e, f, g)),
            [(k, 4 * k, 3, 3) for k in range(2, 9)],
            "a.shape[1] = 8",
        ),
        (lambda x: F.layer_norm(x, (4,)), [(3, 4)], ""),  # it takes no other
        (lambda a, b: torch.linalg.cross(a, b), [(5, 3), (5, 3)], ""),
        (lambda x, w: x @ w, [(3, 4), (4, 2)], ""),
    ],
)
def test_sizes_that_stayed_at_the_examples_are_said_where_the_code_runs_at_others(f: Any, shapes: Any, held: str) -> None:
    inputs = {n: randn(*s) for n, s in zip(inspect.signature(f).parameters, shapes)}
    report = dc.check(f, inputs, order=1)
    assert report.passed
    said = [n for n in report.limits if n.startswith("fixed at")]
    assert all(n.startswith(f"fixed at {held}") and "the code runs at others" in n for n in said), said
    assert bool(said) == bool(held)
    assert dc.check(f, inputs, order=1, strict=True).passed == (not report.limits)
