"""A decimal that the code writes is that decimal in the generated code, whatever type the example has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import derivcheck as dc


def written_into(x: Any, where: Any, what: Any) -> Any:
    y = torch.zeros_like(x)
    y[where] = what
    return x * y


TENTHS: dict[str, Any] = {
    "setitem of a column": lambda x: written_into(x, (slice(None), 0), 0.1),
    "setitem of all": lambda x: written_into(x, ..., 0.1),
    "setitem under a mask": lambda x: written_into(x, torch.ones_like(x) > 0, 0.1),
    "setitem at a list": lambda x: written_into(x, (slice(None), [0, 1]), 0.1),
    "setitem of a tensor": lambda x: written_into(x, slice(None), torch.tensor([0.1, 0.2])),
    "setitem of new_tensor": lambda x: written_into(x, slice(None), x.new_tensor([0.1, 0.2])),
    "new_tensor": lambda x: x * x.new_tensor(0.1),
    "new_tensor of a list": lambda x: x * x.new_tensor([0.1, 0.2]),
    "new_tensor of nested lists": lambda x: x * x.new_tensor([[0.1, 1]]),
    "tensor": lambda x: x * torch.tensor(0.1),
    "tensor of the input's type": lambda x: x * torch.tensor([0.1, 0.2], dtype=x.dtype),
    "an element of a tensor": lambda x: x * torch.tensor([0.3, 0.1], dtype=x.dtype)[1],
    "tensor, then to": lambda x: x * torch.tensor([0.1, 0.2]).to(x),
    "tensor, then type_as": lambda x: x * torch.tensor([0.1, 0.2]).type_as(x),
    "tensor of an array": lambda x: x * torch.tensor(np.array([0.1, 0.2]), dtype=x.dtype),
    "as_tensor": lambda x: x * torch.as_tensor([0.1, 0.2], dtype=x.dtype),
    "as_tensor of a number": lambda x: x * torch.as_tensor(0.1, dtype=x.dtype),
    "asarray": lambda x: x * torch.asarray(0.1, dtype=x.dtype),
    "scalar_tensor": lambda x: x * torch.scalar_tensor(0.1, dtype=x.dtype),
    "full": lambda x: x * torch.full((1,), 0.1, dtype=x.dtype),
    "full_like": lambda x: x * torch.full_like(x, 0.1),
    "new_full": lambda x: x * x.new_full((1,), 0.1),
    "fill_": lambda x: x * torch.zeros_like(x).fill_(0.1),
    "fill_ with a tensor": lambda x: x * torch.zeros_like(x).fill_(torch.tensor(0.1)),
    "copy_ of a tensor": lambda x: x * torch.zeros_like(x).copy_(torch.tensor(0.1)),
    "masked_fill": lambda x: x * torch.zeros_like(x).masked_fill(x > -9, 0.1),
    "index_fill": lambda x: x * torch.zeros_like(x).index_fill(0, torch.arange(x.shape[0]), 0.1),
    "clamp": lambda x: x * torch.zeros_like(x).clamp(min=0.1),
    "maximum": lambda x: x * torch.maximum(torch.zeros_like(x), torch.tensor(0.1, dtype=x.dtype)),
    "where": lambda x: x * torch.where(x > 9, x, 0.1),
    "where of two numbers": lambda x: x * torch.where(x > 9, 0.2, 0.1),
    "threshold": lambda x: x * F.threshold(torch.zeros_like(x), 0.05, 0.1),
    "a number of NumPy": lambda x: x * np.float64(0.1),
}


@pytest.mark.parametrize("name", TENTHS)
@pytest.mark.parametrize("example", [torch.float32, torch.float64, None], ids=["float32", "float64", "dims"])
def test_a_tenth_is_a_tenth_in_float64(name: str, example: torch.dtype | None) -> None:
    f = TENTHS[name]
    x = torch.tensor([[1.0, 2.0], [1.0, -3.0], [1.0, 5.0]], dtype=torch.float64)
    d = dc.derive(f, dims={"x": "N 2"}) if example is None else dc.derive(f, x=x.to(example))
    value, grads = d.compile()(x=x, grad_output=torch.ones_like(x))
    assert value[0, 0].item() == 0.1
    if name != "clamp":  # its own zeros lie below
        assert grads["x"][0, 0].item() == 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_list_of_decimals_is_in_the_type_of_the_inputs(dtype: torch.dtype) -> None:
    d = dc.derive(lambda x: x * x.new_tensor([0.1, 0.2]), dims={"x": "N 2"})
    x = torch.ones(3, 2, dtype=dtype, requires_grad=True)
    value, grads = d.compile()(x=x.detach(), grad_output=torch.ones_like(x).detach())
    assert value.dtype is grads["x"].dtype is dtype
    y = d.to_function().apply(x, *d.values.values())
    y.sum().backward()
    assert y.dtype is dtype and x.grad is not None
    assert torch.equal(x.grad[0], torch.tensor([0.1, 0.2], dtype=dtype))


def test_a_tensor_that_float32_made_outside_holds_its_number_and_that_is_said() -> None:
    tenth, fine = torch.tensor(0.1), torch.tensor(0.5)
    d = dc.derive(lambda x: x * tenth, dims={"x": "N"})
    x = torch.ones(2, dtype=torch.float64)
    assert d.compile()(x=x, grad_output=x)[0][0].item() == tenth.double().item() != 0.1
    assert "tenth holds float32's 0.1, which is 0.10000000149011612" in d.program.notes
    assert not any("float32" in n for n in dc.derive(lambda x: x * fine, dims={"x": "N"}).program.notes)


def test_numbers_that_only_look_alike_keep_their_own_digits() -> None:
    """0.1 of float32 and 0.1 are two numbers where both are written."""
    outside = torch.tensor([0.1, 0.1])
    d = dc.derive(lambda x: x * torch.where(x > 0, outside, 0.1), dims={"x": "N 2"})
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    assert d.compile()(x=x, grad_output=x)[0].tolist() == [[outside[0].double().item(), -0.1]]


def test_a_proof_does_not_stumble_over_a_decimal() -> None:
    def f(x: Any) -> Any:
        y = torch.zeros_like(x)
        y[:, 0] = 0.1
        return (x * y).sum()

    def right(grad_output: Any, x: Any) -> dict[str, Any]:
        return {"x": torch.where(torch.arange(3) == 0, 0.1, 0.0) * grad_output * torch.ones_like(x)}

    def wrong(grad_output: Any, x: Any) -> dict[str, Any]:
        return {"x": torch.where(torch.arange(3) == 0, 0.1000001, 0.0) * grad_output * torch.ones_like(x)}

    assert dc.prove(f, right, dims={"x": "N 3"}).status == "proved"
    assert dc.prove(f, wrong, dims={"x": "N 3"}).status == "refuted"
