"""What torch's kernels ask of shapes and positions, its shape functions do not: a derivation holds only where the code runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import derivcheck as dc

F64 = torch.float64


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=F64)


def index_add(x: Tensor, ids: Tensor, v: Tensor) -> Tensor:
    return x.index_add(0, ids, v) * x


def index_copy(x: Tensor, ids: Tensor, v: Tensor) -> Tensor:
    return x.index_copy(0, ids, v) * x


def index_reduce(x: Tensor, ids: Tensor, v: Tensor) -> Tensor:
    return x.index_reduce(0, ids, v, "amax") * x


def index_put(x: Tensor, ids: Tensor, v: Tensor) -> Tensor:
    return x.index_put((ids,), v) * x


@pytest.mark.parametrize("f", [index_add, index_copy, index_reduce, index_put])
def test_the_values_are_tied_to_the_rows_that_they_go_to(f: Callable[..., Tensor]) -> None:
    d = dc.derive(f, x=randn(5, 4), ids=torch.tensor([2, 0, 3]), v=randn(3, 4))
    dims = {a.name: a.dims for a in d.program.arguments}
    assert dims["v"] == (*dims["ids"], dims["x"][1])


def test_a_diagonal_is_tied_to_its_matrix() -> None:
    d = dc.derive(lambda x, v: torch.diagonal_scatter(x, v) * x, x=randn(4, 6), v=randn(4))
    with pytest.raises(ValueError):
        d.compile()(x=randn(3, 6), v=randn(4), grad_output=randn(3, 6))


def test_code_whose_tensors_do_not_fit_fails_as_torch_does() -> None:
    with pytest.raises(Exception, match="expected"):
        dc.derive(index_add, x=randn(5, 4), ids=torch.tensor([2, 0]), v=randn(2, 3))


def fill(x: Tensor, v: Tensor) -> Tensor:
    y = x.clone()
    y[torch.arange(3), torch.arange(3)] = v
    return y * x


def test_positions_that_the_code_makes_need_a_tensor_that_holds_them() -> None:
    d = dc.derive(fill, x=randn(5, 6), v=randn(3))
    assert {"N >= 3", "M >= 3"} <= set(d.program.conditions)
    with pytest.raises(IndexError):
        fill(randn(2, 6), randn(3))
    with pytest.raises(ValueError, match="derived for N >= 3; found N = 2"):
        d.compile()(x=randn(2, 6), v=randn(3), grad_output=randn(2, 6))
    dc.assert_gradients(fill, {"x": randn(4, 5), "v": randn(3)})


def diagonal(x: Tensor, v: Tensor) -> Tensor:
    return x.scatter(1, torch.arange(x.shape[0])[:, None], v) * x


def test_equal_positions_in_two_dimensions_are_a_diagonal() -> None:
    dc.assert_gradients(diagonal, {"x": randn(3, 3), "v": randn(3, 1)})
    d = dc.derive(diagonal, x=randn(3, 3), v=randn(3, 1))
    x, v = randn(4, 5).requires_grad_(), randn(4, 1).requires_grad_()
    value, found = d.compile()(x=x.detach(), v=v.detach(), grad_output=torch.ones(4, 5, dtype=F64))
    torch.testing.assert_close(value, diagonal(x, v).detach())
    for g, name in zip(torch.autograd.grad(diagonal(x, v).sum(), (x, v)), "xv"):
        torch.testing.assert_close(found[name], g)


@pytest.mark.parametrize("short", ["rows", "columns", "source"])
def test_a_scatter_needs_room(short: str) -> None:
    d = dc.derive(lambda x, ids, v: x.scatter_add(1, ids, v), x=randn(3, 4), ids=torch.tensor([[0, 3], [1, 1]]), v=randn(2, 5))
    ids = torch.zeros(2, 2, dtype=torch.int64)
    x, v = randn(1 if short == "rows" else 3, 4), randn(1 if short == "source" else 2, 1 if short == "columns" else 5)
    with pytest.raises(RuntimeError):
        x.scatter_add(1, ids, v)
    with pytest.raises(ValueError, match="this was derived for"):
        d.compile()(x=x, ids=ids, v=v, grad_output=randn(*x.shape))


def test_a_gather_needs_room() -> None:
    d = dc.derive(lambda x, ids: x.gather(1, ids), x=randn(3, 4), ids=torch.tensor([[0, 3], [1, 1]]))
    with pytest.raises(ValueError, match="this was derived for N >= K; found"):
        d.compile()(x=randn(1, 4), ids=torch.zeros(2, 2, dtype=torch.int64), grad_output=randn(2, 2))


@pytest.mark.parametrize("name, states", [("lstm", 2), ("gru", 1)])
def test_the_states_of_a_recurrent_network_are_of_its_batch_and_layers(name: str, states: int) -> None:
    """The kernel reads beyond a state that is too small; the shape function lets it pass."""
    rows = {"lstm": 4, "gru": 3}[name] * 2
    operator = getattr(torch.ops.aten, name).input
    weights = [randn(rows, 3), randn(rows, 2), randn(rows), randn(rows)]

    def f(x: Tensor, **given: Tensor) -> Tensor:
        start = list(given.values())
        found: Tensor = operator(x, start if states > 1 else start[0], weights, True, 1, 0.0, False, False, False)[0]
        return found

    inputs = {f"h{k}": randn(1, 5, 2) for k in range(states)}
    d = dc.derive(f, x=randn(4, 5, 3), **inputs)
    assert len(d.program.sizes()) == 2 and str(d.program.dims("h0")[0]) == "1"
    x = {n: randn(1, 6, 2) for n in inputs}
    value, _ = d.compile()(x=randn(3, 6, 3), **x, grad_output=torch.ones(3, 6, 2, dtype=F64))
    assert value.shape == (3, 6, 2)


def bilinear(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.bilinear(x, y, w, b)


def along_time(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return torch.conv_tbc(x, w, b, 1)


LOOPS = {  # torch finds their results by a loop over a size: inputs that fit, and inputs that do not
    bilinear: (((2, 3), (2, 5), (7, 3, 5), (7,)), ((2, 3), (2, 4), (7, 3, 5), (7,))),
    along_time: (((5, 2, 3), (3, 3, 4), (4,)), ((5, 2, 3), (3, 2, 4), (4,))),
}


@pytest.mark.parametrize("f", LOOPS)
def test_results_without_a_loop_are_those_of_torch(f: Callable[..., Tensor]) -> None:
    fit, unfit = ([randn(*shape) for shape in shapes] for shapes in LOOPS[f])
    names = ("x", "y", "w", "b") if len(fit) > 3 else ("x", "w", "b")
    d = dc.derive(f, **dict(zip(names, fit)))
    larger = [randn(*(n + 2 for n in t.shape)) for t in fit]
    for tensors in (fit, larger):
        value, _ = d.compile()(**dict(zip(names, tensors)), grad_output=torch.ones_like(f(*tensors)))
        torch.testing.assert_close(value, f(*tensors))
    with pytest.raises(dc.InputError, match="expected"):
        dc.derive(f, **dict(zip(names, unfit)))
