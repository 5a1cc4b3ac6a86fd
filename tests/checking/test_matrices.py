"""Checks of layers with inverses and determinants: the condition of the matrix is in the bound."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.arithmetic.pairs import Pair

inv, solve = torch.linalg.inv, torch.linalg.solve
Grads = dict[str, Tensor]


def conditioned(n: int, decades: float, seed: int = 0) -> Tensor:
    """A matrix whose singular values span so many decades."""
    g = torch.Generator().manual_seed(seed)
    q, r = (torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64))[0] for _ in range(2))
    return q @ torch.diag(torch.logspace(0, -decades, n, dtype=torch.float64)) @ r


def inverse(A: Tensor) -> Any:
    return inv(A)


def inverse_right(grad_output: Tensor, A: Tensor) -> Grads:
    X = inv(A)
    return {"A": -X.T @ grad_output @ X.T}


def inverse_not_turned(grad_output: Tensor, A: Tensor) -> Grads:
    X = inv(A)
    return {"A": -X @ grad_output @ X}


def system(A: Tensor, b: Tensor) -> Any:
    return solve(A, b)


def system_right(grad_output: Tensor, A: Tensor, b: Tensor) -> Grads:
    g = solve(A.T, grad_output)
    return {"A": -torch.outer(g, solve(A, b)), "b": g}


def system_not_turned(grad_output: Tensor, A: Tensor, b: Tensor) -> Grads:
    g = solve(A, grad_output)
    return {"A": -torch.outer(g, solve(A, b)), "b": solve(A.T, grad_output)}


def log_size(A: Tensor) -> Any:
    return torch.linalg.slogdet(A)[1]


def log_size_right(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * inv(A).T}


def log_size_not_turned(grad_output: Tensor, A: Tensor) -> Grads:
    return {"A": grad_output * inv(A)}


LAYERS = [
    (inverse, inverse_right, inverse_not_turned),
    (system, system_right, system_not_turned),
    (log_size, log_size_right, log_size_not_turned),
]


def data(forward: Any, decades: float, dtype: torch.dtype) -> dict[str, Tensor]:
    found = {"A": conditioned(4, decades)}
    if forward is system:
        found["b"] = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    return {n: t.to(dtype) for n, t in found.items()}


@pytest.mark.parametrize(("forward", "right", "wrong"), LAYERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("decades", "dtype"), [(0, torch.float32), (3, torch.float32), (6, torch.float64)])
def test_the_condition_is_no_alarm_and_hides_nothing(
    forward: Any, right: Any, wrong: Any, decades: float, dtype: torch.dtype
) -> None:
    inputs = data(forward, decades, dtype)
    assert dc.check(forward, inputs, backward=right, dtype=dtype).passed
    assert dc.check(forward, inputs, backward=wrong, dtype=dtype).faulty


@pytest.mark.parametrize(("forward", "right", "wrong"), LAYERS, ids=lambda f: f.__name__)
def test_a_matrix_that_is_singular_but_for_rounding_is_no_verdict(forward: Any, right: Any, wrong: Any) -> None:
    inputs = data(forward, 15, torch.float64)
    report = dc.check(forward, inputs, backward=right)
    assert not report.passed and not report.faulty and "vacuous" in str(report)
    assert dc.check(forward, inputs, backward=wrong).faulty


@pytest.mark.parametrize("kind", ["inv", "det", "logdet", "logabsdet", "cholesky"])
@pytest.mark.parametrize("decades", [0, 2, 4])
def test_what_rounding_did_is_within_the_bound_and_not_far(kind: str, decades: float) -> None:
    """Computed in float32, against float64: within the bound, which is at most a few hundred times larger."""
    for seed in range(4):
        a = conditioned(6, decades / 2, seed)
        a = (a @ a.T + (a @ a.T).T) / 2
        single = a.float()
        pair = Bound(torch.float32).matrix(kind, Pair(single.double()))
        found = Live(torch.float32).matrix(kind, single).double()
        assert pair.error is not None
        assert bool(((found - pair.value).abs() <= pair.error).all())
        assert float(pair.error.max()) <= 1e-4 * 10**decades * float(pair.value.abs().max().clamp(min=1))


def test_the_error_of_the_matrix_itself_counts() -> None:
    """The inverse of an inverse that was rounded."""
    a = conditioned(6, 2, 1).float()
    first = Bound(torch.float32).matrix("inv", Pair(a.double()))
    again = Live(torch.float32).matrix("inv", Live(torch.float32).matrix("inv", a)).double()
    whole = Bound(torch.float32).matrix("inv", first)
    without = Bound(torch.float32).matrix("inv", Pair(first.value))
    assert whole.error is not None and without.error is not None
    assert bool(((again - a.double()).abs() <= whole.error).all())
    assert float(without.error.max()) < float(whole.error.max())


@pytest.mark.parametrize("batch", [(), (3,)])
def test_gradients_of_gradients_are_those_of_autograd(batch: tuple[int, ...]) -> None:
    f = dc.derive(
        lambda A, b: torch.linalg.solve(A, b), dims={"A": "k k" if not batch else "n k k", "b": "n k m" if batch else "k m"}
    )
    A = (torch.stack([conditioned(4, 1, s) for s in range(3)]) if batch else conditioned(4, 1)).requires_grad_()
    b = torch.randn(*batch, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(f.to_function().apply, (A, b))
    assert torch.autograd.gradgradcheck(f.to_function().apply, (A, b))


def test_a_singular_matrix_raises_as_torch_does() -> None:
    d = dc.derive(inverse, dims={"A": "n n"})
    assert "the matrix is not singular" in d.conditions
    with pytest.raises(torch.linalg.LinAlgError):
        d.compile()(A=torch.ones(3, 3), grad_output=torch.ones(3, 3))
