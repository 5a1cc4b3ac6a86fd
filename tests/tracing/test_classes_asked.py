"""Code that chooses by the class of a tensor takes the branch that it takes with data."""

import operator

import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.tracing.trace import trace
from tests.tracing.meant import normal, same

ASKS = {
    "isinstance": lambda w: isinstance(w, nn.Parameter),
    "type": lambda w: type(w) is nn.Parameter,
    "class": lambda w: w.__class__ is nn.Parameter,
    "attrgetter": lambda w: operator.attrgetter("__class__")(w) is nn.Parameter,
    "name": lambda w: w.__class__.__name__ == "Parameter",
    "made of one": lambda w: not isinstance(w + 0, nn.Parameter) and (w + 0).__class__ is torch.Tensor,
    "detached": lambda w: not isinstance(w.detach(), nn.Parameter) and type(w.data) is torch.Tensor,
}


class Chooses(nn.Module):
    def __init__(self, asks):
        super().__init__()
        self.weight, self.asks = nn.Parameter(torch.randn(4)), asks

    def forward(self, x):
        return x * self.weight if self.asks(self.weight) else x + self.weight


@pytest.mark.parametrize("asks", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_parameter(asks, frozen):
    layer, x = Chooses(asks).double(), normal(3, 4)
    layer.weight.requires_grad_(not frozen)
    assert dc.check(layer, {"x": x}).passed  # the derivation's forward is held against the layer's


@pytest.mark.parametrize("asks", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("kind", [torch.Tensor, nn.Parameter])
def test_an_argument_and_a_closed_over_tensor(asks, kind):
    x = normal(3, 4)
    w = nn.Parameter(normal(4)) if kind is nn.Parameter else normal(4)

    def given(x, w):
        return x * w if asks(w) else x + w

    def held(x):
        return given(x, w)

    same(trace(given, {"x": x, "w": w}), given, {"x": x, "w": w})
    same(trace(held, {"x": x}), held, {"x": x})
