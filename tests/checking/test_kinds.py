"""What the data are of, a probe keeps; where the forward has no value there is no verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.subject.kinds import kinds_of


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


A = normal(4, 4)
KINDS = {
    "is symmetric positive definite": A @ A.T + torch.eye(4),
    "is symmetric": A + A.T,
    "is lower triangular": A.tril(),
    "is upper triangular": A.triu(),
    "has norm 1 along axis 1": torch.nn.functional.normalize(normal(3, 5), dim=1),
    "has norm 1 along axis 0": torch.nn.functional.normalize(normal(3, 5), dim=0),
    "has norm 1": torch.nn.functional.normalize(normal(7), dim=0),
    "adds up to 1 along axis 1": torch.softmax(normal(3, 5), 1),
    "is one-hot along axis 1": torch.eye(5)[torch.tensor([1, 4, 0])].double(),
    "is 0 or 1": (normal(3, 5) > 0).double(),
    "is sorted along axis 1": torch.sort(normal(3, 5), 1)[0],
    "is sorted downwards": torch.sort(normal(9), descending=True)[0],
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_seen_and_drawn(name: str) -> None:
    data = KINDS[name]
    assert [k.name for k in kinds_of(data)] == [name]
    assert kinds_of(normal(*data.shape, seed=3)) == () and kinds_of(normal(*data.shape).abs()) == ()
    drawn = kinds_of(data)[0].fit(normal(*(2 * n for n in data.shape), seed=5))
    assert [k.name for k in kinds_of(drawn)] == [name]
    report = dc.check(lambda x: (x * x).sum(-1), {"x": data})
    assert report.passed and f"kept in every probe: x {name}" in report.notes


def test_chance_is_no_kind() -> None:
    assert kinds_of(torch.tensor([1.0, 2.0])) == () and kinds_of(torch.ones(3, 3)) == () and kinds_of(torch.tensor([1.0])) == ()


POSITIVE = KINDS["is symmetric positive definite"]


@pytest.mark.parametrize(
    "f, backward, factor",
    [
        (torch.logdet, lambda g, A: g * torch.linalg.inv(A).mT, 1.001),
        (lambda A: torch.linalg.slogdet(A)[1], lambda g, A: g * torch.linalg.inv(A).mT, 1.001),
        (torch.linalg.cholesky, None, 1.0),
    ],
)
def test_functions_of_matrices(f: Any, backward: Any, factor: float) -> None:
    def hand(grad_output: torch.Tensor, A: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"A": backward(grad_output, A)}

    def wrong(grad_output: torch.Tensor, A: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"A": backward(grad_output, A) * factor}

    assert dc.check(lambda A: f(A), {"A": POSITIVE}).passed
    if backward is not None:
        assert dc.check(lambda A: f(A), {"A": POSITIVE}, hand).passed
        assert dc.check(lambda A: f(A), {"A": POSITIVE}, wrong)["A"].verdict == "wrong"


def test_beyond_the_forward_s_domain_there_is_no_verdict() -> None:
    """A general matrix whose determinant happens to be positive: drawn ones need not have a logarithm."""
    a = normal(4, 4, seed=2)
    a = a if torch.det(a) > 0 else a[[1, 0, 2, 3]]
    for seed in range(3):
        report = dc.check(lambda A: torch.logdet(A), {"A": a}, seed=seed)
        assert report.passed, str(report)


def test_rows_that_add_up_to_one() -> None:
    """A loss that is made for probabilities: right on them alone, and it is not asked elsewhere."""
    p = torch.softmax(normal(3, 4), -1)

    def entropy(grad_output: torch.Tensor, p: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"p": -grad_output[:, None] * (p.log() + p.sum(-1, keepdim=True))}

    assert dc.check(lambda p: -(p * p.log()).sum(-1), {"p": p}, entropy).passed
    wild = dc.check(lambda p: -(p * p.log()).sum(-1), {"p": normal(3, 4).abs()}, entropy)
    assert wild["p"].verdict == "wrong"


def test_points_in_order_may_stand_at_a_kink() -> None:
    """Sorted data stay sorted, and still meet zeros, ties and both sides."""
    x = torch.linspace(0.5, 3.0, 6, dtype=torch.float64)
    report = dc.check(torch.relu, {"input": x})
    assert report.passed and not report.limits, str(report)
    wrong = dc.check(torch.relu, {"input": x}, lambda grad_output, input: {"input": grad_output})
    assert wrong["input"].verdict == "wrong"
