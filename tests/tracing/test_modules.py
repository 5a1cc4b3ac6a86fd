"""Modules: parameters by name, sizes in attributes, modes, buffers, tied parameters, losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.tracing.modules import LossAfter, trace_module
from derivcheck.tracing.trace import Traced, trace
from tests.tracing.meant import normal, same


def check(traced: Traced, module: nn.Module, args: dict[str, torch.Tensor], positional: bool = True) -> None:
    """The Program means the module, with its own values and at its own sizes."""

    def code(**tensors: torch.Tensor) -> Any:
        return module(*tensors.values()) if positional else module(**tensors)

    values = {n: t for n, t in traced.values.items() if n in traced.program.inputs}
    same(traced, lambda **t: code(**{n: v for n, v in t.items() if n in args}), {**values, **args})


def dims(traced: Traced, name: str) -> list[str]:
    return [str(p) for p in traced.program.dims(name)]


def test_a_linear_layer_needs_no_example_and_has_the_fields_names() -> None:
    traced = trace_module(nn.Linear(3, 2).double())
    assert traced.program.inputs == ("input", "weight", "bias")
    assert (dims(traced, "input"), dims(traced, "weight"), dims(traced, "bias")) == (["N", "in"], ["out", "in"], ["out"])
    other = nn.Linear(7, 5).double()
    same(
        traced,
        lambda input, weight, bias: torch.nn.functional.linear(input, weight, bias),
        {"input": normal(4, 7), "weight": other.weight, "bias": other.bias},
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (4, 4)])
def test_the_derivation_is_the_same_whatever_the_layers_own_size(shape: tuple[int, int]) -> None:
    program = trace_module(nn.Linear(*shape)).program
    assert program.definitions == trace_module(nn.Linear(3, 2)).program.definitions
    assert program.arguments == trace_module(nn.Linear(3, 2)).program.arguments


def test_an_example_gives_the_rank() -> None:
    module = nn.Linear(3, 3).double()
    traced = trace_module(module, (normal(3, 3, 3),))
    assert len(set(dims(traced, "input"))) == 3
    assert dims(traced, "weight")[1] == dims(traced, "input")[2]
    check(traced, module, {"input": normal(2, 5, 3)})


class Scaled(nn.Module):
    """A user's module with sizes in its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 6
        self.proj = nn.Linear(4, 6)
        self.register_buffer("shift", torch.arange(6.0))
        self.register_buffer("unused", torch.ones(3))

    def forward(self, x: Any) -> Any:
        hidden = self.proj(x) - self.shift
        assert hidden.shape[-1] == self.width
        return torch.tanh(hidden) / self.width


def test_attributes_follow_the_sizes_that_they_repeat() -> None:
    module = Scaled().double()
    traced = trace_module(module, (normal(3, 4),))
    assert traced.program.inputs == ("x", "proj_weight", "proj_bias", "shift")
    assert traced.program.argument("shift").role == "buffer"
    assert traced.wrt == ("x", "proj_weight", "proj_bias")
    check(traced, module, {"x": normal(5, 4)})

    def wider(x: Any, proj_weight: Any, proj_bias: Any, shift: Any) -> Any:
        return torch.tanh(torch.nn.functional.linear(x, proj_weight, proj_bias) - shift) / len(shift)

    same(traced, wider, {"x": normal(5, 3), "proj_weight": normal(8, 3), "proj_bias": normal(8), "shift": normal(8, seed=3)})
    assert module.width == 6


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: Any) -> Any:
        return self.b(torch.tanh(self.a(x)))


def test_tied_parameters_are_one_input() -> None:
    module = Tied().double()
    traced = trace_module(module, (normal(3, 4),))
    assert traced.program.inputs == ("x", "a_weight")
    check(traced, module, {"x": normal(5, 4)})


def test_names_of_a_sequential_are_identifiers() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    traced = trace_module(module)
    assert all(n.isidentifier() for n in traced.program.inputs)
    check(traced, module, {"input": normal(5, 3)})


def test_dropout_depends_on_the_mode() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).double()
    with pytest.raises(UnsupportedOperation, match="dropout.*random.*eval mode"):
        trace_module(module)
    check(trace_module(module.eval()), module, {"input": normal(5, 3)})


def test_a_loss_takes_a_target_shaped_like_the_output() -> None:
    def squared(output: Any, target: Any) -> Any:
        return (output - target) ** 2

    traced = trace_module(nn.Linear(3, 2).double(), loss=LossAfter(squared))
    assert traced.program.inputs == ("input", "weight", "bias", "target")
    assert dims(traced, "target") == ["N", "out"]
    assert traced.wrt == ("input", "weight", "bias", "target")


def test_an_example_target_may_broadcast() -> None:
    def squared(output: Any, target: Any) -> Any:
        return (output - target) ** 2

    traced = trace_module(nn.Linear(3, 2).double(), (normal(4, 3),), loss=LossAfter(squared, normal(4, 1)))
    assert dims(traced, "target")[1] == "1"


def test_a_function_that_calls_a_module_holds_its_parameters() -> None:
    layer = nn.Linear(3, 2).double()

    def f(x: Any) -> Any:
        return torch.tanh(layer(x))

    traced = trace(f, {"x": normal(4, 3)})
    assert set(traced.program.inputs) == {"x", "layer_weight", "layer_bias"}
    assert set(traced.wrt) == {"x", "layer_weight", "layer_bias"}
    check(traced, nn.Sequential(layer, nn.Tanh()), {"x": normal(5, 3)})


def test_the_module_is_as_it_was() -> None:
    module = Scaled().double()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    trace_module(module, (normal(3, 4),))
    assert module.training and all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert all(type(p) is nn.Parameter for p in module.parameters())


def test_changed_attributes_change_the_derivation() -> None:
    class Power(nn.Module):
        exponent = 2

        def forward(self, x: Any) -> Any:
            return x**self.exponent

    module = Power()
    two = trace_module(module, (normal(3),)).program
    module.exponent = 3
    assert trace_module(module, (normal(3),)).program != two


@pytest.mark.parametrize(
    ("module", "kwargs", "message"),
    [
        (nn.Identity(), {}, "input dimensions of Identity are not known; give example inputs"),
        (nn.Linear(3, 2), {"args": (torch.ones(2, 4),)}, "raises on its example inputs"),
        (nn.Linear(3, 2), {"args": (torch.ones(2, 3), torch.ones(2))}, "2 example inputs for a forward of 1"),
        (nn.Linear(3, 2), {"inputs": {"inputs": torch.ones(2, 3)}}, "no parameter 'inputs'"),
        (nn.Linear(3, 2), {"loss": LossAfter(nn.MSELoss(), 3)}, "target: expected a tensor, found int"),
        (nn.Linear(3, 2), {"dims": {"inputs": "N in"}}, "dims names 'inputs'"),
    ],
)
def test_inputs_that_do_not_fit_are_named(module: nn.Module, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace_module(module, **kwargs)


class Attention(nn.Module):
    """Queries, keys and values of one linear layer, in two heads, and a residual path."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        q, k, v = (p.view(b, t, 2, d // 2).transpose(1, 2) for p in self.qkv(x).chunk(3, -1))
        return x + self.out((q @ k.mT / math.sqrt(d // 2)).softmax(-1).matmul(v).transpose(1, 2).reshape(b, t, d))


@pytest.mark.parametrize("blocks", [1, 2, 3, 4])
def test_the_width_of_a_stack_of_attentions_stays_a_symbol(blocks: int) -> None:
    traced = trace_module(nn.Sequential(*(Attention(8) for _ in range(blocks))).double(), (normal(3, 5, 8),))
    assert not any(p.isdigit() for n in traced.values for p in dims(traced, n))
    wider = nn.Sequential(*(Attention(6) for _ in range(blocks))).double()
    named = {"_" + n.replace(".", "_"): n for n, _ in wider.named_parameters()}

    def code(input: torch.Tensor, **tensors: torch.Tensor) -> Any:
        return torch.func.functional_call(wider, {named[n]: t for n, t in tensors.items()}, (input,))

    same(traced, code, {"input": normal(2, 4, 6), **{n: wider.get_parameter(m).detach() for n, m in named.items()}})
