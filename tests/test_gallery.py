"""Every layer of the gallery passes and is proved for every size; every mistake in it is found, by number and by proof."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import derivcheck as dc
from tests.gallery import LAYERS, Layer, mistakes

UNPROVED = {"maximum"}  # the first of two equal ones, said in two ways


@pytest.mark.parametrize("name", LAYERS)
def test_a_right_backward(name: str) -> None:
    layer = LAYERS[name]
    report = dc.check(layer.forward, layer.data(), layer.backward)
    assert report.passed and [r.name for r in report] == list(layer.wrt), str(report)
    proof = dc.prove(layer.forward, layer.backward, dims=dict(layer.dims))
    assert proof.status == ("undecided" if name in UNPROVED else "proved"), str(proof)


@pytest.mark.parametrize("layer, what, wrong", mistakes(), ids=[what for _, what, _ in mistakes()])
def test_a_mistake(layer: Layer, what: str, wrong: Callable[..., Any]) -> None:
    report = dc.check(layer.forward, layer.data(), wrong)
    assert report.faulty and report.failures[0].diagnosis is not None, str(report)
    if what == "its strides are ignored":  # no mathematics: a proof does not read strides
        with pytest.raises(dc.UnsupportedOperation, match="as_strided"):
            dc.prove(layer.forward, wrong, dims=dict(layer.dims))
        return
    assert dc.prove(layer.forward, wrong, dims=dict(layer.dims)).status != "proved"
