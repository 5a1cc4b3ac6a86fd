"""Backwards that are right on the data given and wrong in one situation alone: each is shown, and by which probe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from tests.real.functions import CASES
from tests.real.test_real_functions import tensors

Gradients = dict[str, Tensor]


def linear(x: Tensor, w: Tensor) -> Tensor:
    return x @ w.T


def right(g: Tensor, x: Tensor, w: Tensor) -> Gradients:
    return {"x": g @ w, "w": g.T @ x}


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64).to(dtype)


DATA = {"x": drawn(6, 5), "w": drawn(4, 5)}


def twice_where(condition: Callable[[Tensor, Tensor, Tensor], bool]) -> Callable[..., Gradients]:
    def backward(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
        g = right(grad_output, x, w)
        return {"x": g["x"], "w": 2 * g["w"]} if condition(grad_output, x, w) else g

    return backward


def upstream_read_as(read: Callable[[Tensor], Tensor]) -> Callable[..., Gradients]:
    return lambda grad_output, x, w: right(read(grad_output), x, w)


class Cached:
    """Keeps a transposed weight by where it lies in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, torch.Size], Tensor] = {}

    def __call__(self, grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
        kept = self.kept.setdefault((w.data_ptr(), w.shape), w.clone())
        return right(grad_output, x, kept)


@pytest.mark.parametrize(
    "backward, shown",
    [
        (twice_where(lambda g, x, w: len(x) == 2), "sizes 2 and 3"),
        (twice_where(lambda g, x, w: x.shape[1] == 2), "sizes 3 and 2"),
        (twice_where(lambda g, x, w: len(w) == 3), "sizes 3 and 2"),
        (twice_where(lambda g, x, w: len(x) == 0), ""),  # nothing to double: a sum over no rows is zero
        (lambda grad_output, x, w: {"x": grad_output @ w, "w": grad_output.T @ x + (len(x) == 0)}, "N = 0"),
        (upstream_read_as(lambda g: g.clamp(-100, 100)), "upstream of all magnitudes"),
        (upstream_read_as(lambda g: g * (g.abs() > 1e-5)), "upstream of all magnitudes"),
        (upstream_read_as(lambda g: g * g / g), "upstream of all magnitudes"),
        (twice_where(lambda g, x, w: x.requires_grad), "inputs that require a gradient"),
        (twice_where(lambda g, x, w: not torch.is_grad_enabled()), "inputs that require a gradient"),
        (twice_where(lambda g, x, w: x.storage_offset() > 0), "non-contiguous inputs"),
        (twice_where(lambda g, x, w: g.storage_offset() > 0), "non-contiguous upstream"),
        (twice_where(lambda g, x, w: x.dtype is torch.float32), "in float32"),
        (Cached(), "twice in a row"),
    ],
)
def test_a_situation_shows_it(backward: Any, shown: str) -> None:
    if not isinstance(backward, Cached):
        assert check_at(linear, DATA, backward).passed, "it is right on the data itself"
    report = check(linear, DATA, backward)
    assert report.passed == (not shown)
    assert all(r.where.split(" (")[0] == shown for r in report.failures), str(report)


@pytest.mark.parametrize("name", ["x", "grad_output"])
def test_an_input_that_is_written_into_and_restored_is_said(name: str) -> None:
    def backward(grad_output: Tensor, x: Tensor, w: Tensor) -> Gradients:
        t = {"x": x, "grad_output": grad_output}[name]
        t.neg_()
        g = right(grad_output, x, w)
        t.neg_()
        return {"x": g["x"] * (-1 if name != "x" else 1), "w": -g["w"]}

    row = check_at(linear, DATA, backward)[name]
    assert row.verdict == "changed input"
    assert row.note == f"the backward writes into {name}, and puts back what was there: work on a copy"


@pytest.mark.parametrize("clamp", [lambda g: g.clamp(-100, 100), lambda g: g * g / g])
def test_a_loss_is_probed_with_a_large_and_with_a_zero_upstream(clamp: Any) -> None:
    def loss(x: Tensor) -> Tensor:
        return (x * x).mean()

    report = check(loss, {"x": drawn(5, 3)}, lambda grad_output, x: {"x": clamp(grad_output) * 2 * x / x.numel()})
    assert report["x"].where.split(" (")[0] in ("upstream of all magnitudes", "zero upstream")


def from_the_start_of_memory(grad_output: Tensor, x: Tensor, w: Tensor) -> Any:
    return {"x": grad_output @ w, "w": grad_output.T @ x.as_strided(x.shape, x.stride(), 0)}


def test_a_reproducer_lays_its_tensors_out_as_they_were(tmp_path: Path) -> None:
    text = check(linear, DATA, from_the_start_of_memory).reproducer()
    file = tmp_path / "shows.py"
    file.write_text(text)
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "found nan, expected" in ran.stdout, ran.stderr[-400:]


def softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, -1)


def of_softmax(y: Tensor, g: Tensor) -> Gradients:
    return {"x": y * (g - (y * g).sum(-1, keepdim=True))}


def test_strides_of_a_batch_are_probed() -> None:
    def dense(grad_output: Tensor, x: Tensor) -> Gradients:
        _, rows, columns = x.shape
        return of_softmax(softmax(x.as_strided(x.shape, (rows * columns, *x.stride()[1:]))), grad_output)

    report = check(softmax, {"x": drawn(3, 4, 5)}, dense)
    assert report["x"].where.startswith("non-contiguous inputs") and "strides are ignored" in str(report["x"].diagnosis)


def test_an_exponential_that_overflows_is_shown_and_named() -> None:
    def naive(grad_output: Tensor, x: Tensor) -> Gradients:
        return of_softmax(x.exp() / x.exp().sum(-1, keepdim=True), grad_output)

    report = check(softmax, {"x": drawn(3, 5)}, naive)
    assert report["x"].where.startswith("large inputs") and "an intermediate overflows" in str(report["x"].diagnosis)


def test_where_the_forward_overflows_too_a_backward_may() -> None:
    def naive(x: Tensor) -> Tensor:
        return x.exp() / x.exp().sum(-1, keepdim=True)

    assert check(naive, {"x": drawn(3, 5)}, lambda grad_output, x: of_softmax(naive(x), grad_output)).passed


def test_one_tensor_as_two_inputs() -> None:
    def by_identity(grad_output: Tensor, a: Tensor, b: Tensor) -> Gradients:
        times = 2 if a is b else 1
        return {"a": times * grad_output * b, "b": times * grad_output * a}

    report = check(lambda a, b: a * b, {"a": drawn(4, 3), "b": drawn(4, 3)}, by_identity)
    assert {r.where.split(" (")[0] for r in report.failures} == {"one tensor as two inputs"}


def test_a_graph_that_is_kept_gives_the_same_again() -> None:
    class Forgets(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            ctx.scale = 2.0
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
            scale, ctx.scale = ctx.scale, 1.0
            return g * scale * ctx.saved_tensors[0]

    report = check(Forgets, {"x": drawn(4, 3)})
    assert report["x"].where.startswith("backward twice through one graph")


def test_rounding_in_float32_is_no_fault_of_a_check_in_float64() -> None:
    def cancels(grad_output: Tensor, x: Tensor) -> Gradients:
        return {"x": grad_output * ((x + 1e4) - 1e4) * 2}

    assert check(lambda x: x * x, {"x": drawn(5)}, cancels, dtype=torch.float32)["x"].verdict != "passed"
    exact = torch.tensor([1.0, -2.0, 3.0, 0.5])
    report = check(lambda x: x * x, {"x": exact}, lambda grad_output, x: {"x": grad_output * (x + x)})
    assert report.passed and "in float32" in " ".join(report.notes)


def test_a_branch_for_one_type_is_named() -> None:
    report = check(linear, DATA, twice_where(lambda g, x, w: x.dtype is torch.float32))
    assert str(report["w"].diagnosis).endswith("a factor 2 too many; in this type alone, in float64 it is right")


def test_zeros_at_which_the_forward_is_not_a_number_prove_nothing() -> None:
    """relu of 0/0: masks let NaN through or not, and there is no gradient to hold them against."""
    case = CASES["spherical_harmonics"]
    report = check(dc.derive(case.f, dims=case.dims), tensors(case, case.sizes[0], 0))
    (limit,) = report.limits
    assert report.passed and limit.startswith("never reached: sum(i: direction[n, i]^2) <= 0"), str(report)
