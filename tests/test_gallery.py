"""The gallery: its right backwards are torch.autograd's and its mistakes are not; some are checked, proved and found."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import derivcheck as dc
from examples.gallery import LAYERS, Layer, Mistake

TORCH = [layer for layer in LAYERS.values() if layer.language == "python"]
UNPROVED = {"crf", "gated delta rule", "max pool"}
FEW = ("linear", "softmax", "layer norm", "embedding", "alpha compositing")  # release/ takes all
MISTAKES = [(layer, m) for layer in TORCH for m in layer.mistakes]
FEW_MISTAKES = [(LAYERS[name], m) for name in FEW for m in LAYERS[name].mistakes]


def name_of(value: Any) -> str:
    """A short name of a case."""
    return value.name.replace(" ", "-") if isinstance(value, (Layer, Mistake)) else str(value)


def wrong(layer: Layer, backward: Any, contiguous: bool = True, **sizes: int) -> list[str]:
    """The inputs whose gradient is not the one of torch.autograd."""
    inputs = layer.tensors(**sizes)
    leaves = {n: inputs[n].clone().requires_grad_() for n in layer.gradients_of}
    y = layer.forward(**{**inputs, **leaves})
    upstream = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    want = torch.autograd.grad(y, list(leaves.values()), upstream)
    got = backward(grad_output=upstream if contiguous else upstream.mT.contiguous().mT, **inputs)
    return [n for n, w in zip(leaves, want) if got[n].shape != w.shape or not torch.allclose(got[n], w, 1e-9, 1e-10)]


@pytest.mark.parametrize("layer", TORCH, ids=name_of)
def test_a_right_backward_is_that_of_autograd(layer: Layer) -> None:
    assert wrong(layer, layer.backward) == [] == wrong(layer, layer.backward, N=2, T=4, D=3)


@pytest.mark.parametrize(("layer", "mistake"), MISTAKES, ids=name_of)
def test_a_mistake_is_one(layer: Layer, mistake: Mistake) -> None:
    assert wrong(layer, layer.mistaken(mistake), contiguous=mistake.name != "its strides are ignored") != []


def holds(layer: Layer) -> None:
    """A right backward passes, and is proved where that is known."""
    if layer.file is None:
        report = layer.check(layer.right)
        assert report.passed and {r.name for r in report} >= {*layer.gradients_of}, str(report)
    proof = layer.prove(layer.right)
    assert proof.status == ("undecided" if layer.name in UNPROVED else "proved"), str(proof)


def found(layer: Layer, mistake: Mistake) -> None:
    """A mistake does not pass, and is not proved."""
    backward = layer.mistaken(mistake)
    if layer.language == "python":
        assert layer.check(backward).faulty
    else:
        assert layer.prove(backward).status == "refuted"


@pytest.mark.parametrize("name", FEW)
def test_a_right_backward_holds(name: str) -> None:
    holds(LAYERS[name])


@pytest.mark.parametrize(("layer", "mistake"), FEW_MISTAKES, ids=name_of)
def test_a_mistake_is_found(layer: Layer, mistake: Mistake) -> None:
    found(layer, mistake)


def test_strides_are_not_mathematics() -> None:
    layer = LAYERS["linear"]
    with pytest.raises(dc.UnsupportedOperation, match="as_strided"):
        layer.prove(layer.mistaken("its strides are ignored"))


def test_a_mistake_has_a_place() -> None:
    torn = Mistake("nowhere", "dx = 3", "dx = 4", "")
    with pytest.raises(AssertionError, match="is there 0 times"):
        LAYERS["layer norm"].mistaken(torn)
    for layer in LAYERS.values():
        for m in layer.mistakes:
            layer.mistaken(m)
