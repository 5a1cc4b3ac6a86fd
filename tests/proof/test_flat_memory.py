"""Values put into flat memory, as kernels store them: proved where no element is written twice, and not where one may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import derivcheck as dc

A = torch.arange
Gradients = dict[str, torch.Tensor]
Backward = Callable[[torch.Tensor, torch.Tensor], Gradients]


def put(size: int, at: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return torch.zeros(size, dtype=values.dtype).index_put((at,), values)


def flat(stride: Callable[[int, int], int], row: Callable[[int], torch.Tensor], length: Callable[[int, int], int]) -> Backward:
    """Rows put at ``n*stride + row(D)``."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
        n, d = x.shape
        at = A(n)[:, None] * stride(n, d) + row(d)[None, :]
        values = 2 * x * grad_output
        values = torch.cat([values, values[:, :1].expand(-1, at.shape[1] - d)], 1)
        whole = put(length(n, d), at, values)
        return {"x": whole[: n * stride(n, d)].view(n, stride(n, d))[:, :d] if stride(n, d) >= d else whole[: n * d].view(n, d)}

    return backward


def masked(at_least: int, elsewhere: Callable[[int, int], int], first: int, length: Callable[[int, int], int]) -> Backward:
    """A lane per column and some more, which write elsewhere."""

    def backward(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
        n, d = x.shape
        lanes = A(d + at_least)
        at = A(n)[:, None] * d + lanes[None, :] + first
        on = (lanes < d).expand(n, d + at_least)
        values = torch.cat([2 * x * grad_output, torch.ones(n, at_least, dtype=x.dtype)], 1)
        return {"x": put(length(n, d), torch.where(on, at, elsewhere(n, d)), values)[first : first + n * d].view(n, d)}

    return backward


def reversed_rows(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
    n, d = x.shape
    at = (n - 1 - A(n))[:, None] * d + (d - 1 - A(d))[None, :]
    return {"x": put(n * d, at, (2 * x * grad_output).flip(0, 1)).view(n, d)}


def transposed(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
    n, d = x.shape
    at = A(n)[:, None] + A(d)[None, :] * n
    return {"x": put(n * d, at, 2 * x * grad_output).view(d, n).T}


def every_second(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
    n, d = x.shape
    at = A(n)[:, None] * (2 * d) + 2 * A(d)[None, :] + 1
    return {"x": put(2 * n * d, at, 2 * x * grad_output).view(n, d, 2)[:, :, 1]}


def two_places(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
    n, d = x.shape
    at = ((n - 1 - A(n))[:, None].expand(n, d), A(d)[None, :].expand(n, d))
    return {"x": torch.zeros_like(x).index_put(at, (2 * x * grad_output).flip(0))}


def scattered(grad_output: torch.Tensor, x: torch.Tensor) -> Gradients:
    n, d = x.shape
    return {"x": torch.zeros_like(x).scatter(1, (d - 1 - A(d))[None, :].expand(n, d), (2 * x * grad_output).flip(1))}


PROVED: dict[str, Backward] = {
    "rows": flat(lambda n, d: d, A, lambda n, d: n * d),
    "rows that are padded": flat(lambda n, d: d + 2, A, lambda n, d: n * (d + 2)),
    "a masked tail": masked(3, lambda n, d: n * d, 0, lambda n, d: n * d + 1),
    "a masked tail, to the first place": masked(3, lambda n, d: 0, 1, lambda n, d: n * d + 1),
    "reversed": reversed_rows,
    "transposed": transposed,
    "every second": every_second,
    "two positions": two_places,
    "scatter": scattered,
}
NOT_PROVED: dict[str, Backward] = {
    "rows that overlap by one": flat(lambda n, d: d, lambda d: A(d + 1), lambda n, d: n * d + 1),
    "a stride of another size": flat(lambda n, d: n, A, lambda n, d: n * n + n * d),
    "all rows at the first": flat(lambda n, d: 0, A, lambda n, d: n * d),
    "a masked tail into the last element": masked(3, lambda n, d: n * d - 1, 0, lambda n, d: n * d),
    "a masked tail into the first element": masked(3, lambda n, d: 0, 0, lambda n, d: n * d),
    "two lanes for an element": lambda grad_output, x: {
        "x": torch.zeros_like(x).index_put((A(x.shape[0]) // 2,), 2 * x * grad_output)
    },
}


@pytest.mark.parametrize("name", PROVED)
def test_positions_that_differ_are_proved(name: str) -> None:
    proof = dc.prove(lambda x: x * x, PROVED[name], dims={"x": "N D"})
    assert proof.status == "proved"
    assert not any("written to twice" in c for c in proof.conditions)


@pytest.mark.parametrize("name", NOT_PROVED)
def test_positions_that_may_meet_are_not(name: str) -> None:
    assert dc.prove(lambda x: x * x, NOT_PROVED[name], dims={"x": "N D"}).status != "proved"


def test_ids_of_the_data_may_meet() -> None:
    def forward(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x).index_put((ids,), x)

    program = dc.derive(forward, dims={"x": "N", "ids": "int<N: N"}).program
    assert any("written to twice" in n for n in program.notes)


def test_one_number_for_all_may_be_written_twice() -> None:
    """What is written is the same wherever lanes meet."""

    def forward(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return x.index_put((ids,), torch.tensor(3.0, dtype=x.dtype))

    program = dc.derive(forward, dims={"x": "N", "ids": "int<N: M"}).program
    assert not any("written to twice" in n for n in program.notes)
