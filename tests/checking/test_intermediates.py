"""The gradient of an intermediate, returned under its name, is held against its gradient and never against its value."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.errors import InputError


def steps(x: Any, w: Any) -> Any:
    h = x @ w
    a = torch.tanh(h)
    return (a * a).sum()


def backward(grad_output: Any, x: Any, w: Any, spelling: str = "{}") -> dict[str, Any]:
    h = x @ w
    a = torch.tanh(h)
    da = 2 * grad_output * a
    dh = da * (1 - a * a)
    return {spelling.format("h"): dh, spelling.format("a"): da, "x": dh @ w.T, "w": x.T @ dh}


DATA = {"x": torch.randn(4, 3, dtype=torch.float64), "w": torch.randn(3, 2, dtype=torch.float64)}
SPELLINGS = ["{}", "{}_bar", "grad_{}", "{}_grad", "d{}", "d_{}"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_right_gradient_of_an_intermediate_holds_under_every_spelling(spelling: str) -> None:
    def right(grad_output: Any, x: Any, w: Any) -> dict[str, Any]:
        return backward(grad_output, x, w, spelling)

    report = dc.check(steps, DATA, right)
    assert report.passed and [r.name for r in report] == [spelling.format("a"), spelling.format("h"), "x", "w"]
    proof = dc.prove(steps, right, dims={"x": "N D", "w": "D K"})
    assert proof.status == "proved" and {p.name for p in proof.parts} == {"a", "h", "x", "w"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_wrong_one_does_not(spelling: str) -> None:
    def doubled(grad_output: Any, x: Any, w: Any) -> dict[str, Any]:
        found = backward(grad_output, x, w, spelling)
        return {**found, spelling.format("h"): 2 * found[spelling.format("h")]}

    report = dc.check(steps, DATA, doubled)
    assert [r.name for r in report.failures] == [spelling.format("h")]
    assert dc.prove(steps, doubled, dims={"x": "N D", "w": "D K"}).status == "refuted"


def test_values_are_no_gradients() -> None:
    def values(grad_output: Any, x: Any, w: Any) -> dict[str, Any]:
        h = x @ w
        return {**backward(grad_output, x, w), "h": h, "a": torch.tanh(h)}

    report = dc.check(steps, DATA, values)
    assert [r.name for r in report.failures] == ["a", "h"]
    assert "this is the value of h, not its gradient" in str(report)
    assert dc.prove(steps, values, dims={"x": "N D", "w": "D K"}).status == "refuted"


def test_the_output_has_the_upstream_gradient() -> None:
    def f(x: Any) -> Any:
        y = x * x
        return y

    def right(grad_output: Any, x: Any) -> dict[str, Any]:
        return {"y": grad_output, "x": 2 * x * grad_output}

    def wrong(grad_output: Any, x: Any) -> dict[str, Any]:
        return {"y": x * x, "x": 2 * x * grad_output}

    data = {"x": torch.randn(3, dtype=torch.float64)}
    assert dc.check(f, data, right).passed
    assert dc.check(f, data, wrong)["y"].verdict == "wrong"
    assert dc.prove(f, right, dims={"x": "N"}).status == "proved"
    assert dc.prove(f, wrong, dims={"x": "N"}).status == "refuted"


def test_an_input_that_is_called_as_an_adjoint_is_keeps_its_name() -> None:
    """An input ``h_bar`` beside an intermediate ``h``: each name means what bears it in the forward."""

    def f(h_bar: Any) -> Any:
        h = torch.sin(h_bar)
        return (h * h * h_bar).sum()

    def right(grad_output: Any, h_bar: Any) -> dict[str, Any]:
        h = torch.sin(h_bar)
        dh = 2 * h * h_bar * grad_output
        return {"h": dh, "h_bar": dh * torch.cos(h_bar) + h * h * grad_output}

    def exchanged(grad_output: Any, h_bar: Any) -> dict[str, Any]:
        found = right(grad_output, h_bar)
        return {"h": found["h_bar"], "h_bar": found["h"]}

    data = {"h_bar": torch.randn(3, dtype=torch.float64)}
    assert dc.check(f, data, right).passed
    assert {r.name for r in dc.check(f, data, exchanged).failures} == {"h", "h_bar"}
    assert dc.prove(f, right, dims={"h_bar": "N"}).status == "proved"
    assert dc.prove(f, exchanged, dims={"h_bar": "N"}).status == "refuted"


def test_a_name_that_means_nothing_is_still_a_finding() -> None:
    report = dc.check(steps, DATA, lambda grad_output, x, w: {**backward(grad_output, x, w), "k": x})
    assert report["k"].verdict == "extra"
    with pytest.raises(dc.InputError, match="'k' is not the name of a gradient here; the gradients are those of"):
        dc.prove(steps, lambda grad_output, x, w: {**backward(grad_output, x, w), "k": x}, dims={"x": "N D", "w": "D K"})


def test_index_text_may_compute_an_intermediate_again() -> None:
    """In index text a definition of ``h`` that others read is its value; ``h_bar`` is its gradient."""
    forward, data = "h[n] := x[n]^2; y[n] := sin(h[n])", {"x": torch.randn(3, dtype=torch.float64)}
    right = "h[n] := x[n]^2; h_bar[n] := cos(h[n])*grad_output[n]; x_bar[n] := 2*x[n]*h_bar[n]"
    d = dc.derive(forward, dims={"x": "N"})
    assert dc.check(d, data, right).passed
    wrong = dc.check(d, data, right.replace("cos", "sin"))
    assert {r.name for r in wrong.failures} == {"h_bar", "x"}


def test_a_variable_that_is_assigned_twice_means_either_of_its_values() -> None:
    def f(x: Any, w: Any) -> Any:
        h = x @ w
        h = torch.tanh(h)
        return (h * h).sum()

    def backward(grad_output: Any, x: Any, w: Any, which: int = 0, factor: float = 1.0) -> dict[str, Any]:
        h = torch.tanh(x @ w)
        after = 2 * h * grad_output
        before = after * (1 - h * h)
        return {"h": factor * (before, after)[which], "x": before @ w.T, "w": x.T @ before}

    dims = {"x": "N D", "w": "D K"}
    for which in (0, 1):
        right, wrong = partial(backward, which=which), partial(backward, which=which, factor=1.01)
        report = dc.check(f, DATA, right)
        assert report.passed and ("taken as h_1" in report["h"].note) == bool(which)
        assert dc.check(f, DATA, wrong)["h"].verdict == "wrong"
        assert dc.prove(f, right, dims=dims).status == "proved"
        assert dc.prove(f, wrong, dims=dims).status == "refuted"


def _attend(x: Any, w: Any) -> Any:
    s = x @ w
    p = torch.softmax(s, -1)
    return p * 2


def _attend_backward(grad_output: Any, x: Any, w: Any, p: Any) -> Any:
    g = 2 * grad_output
    s_bar = p * (g - (g * p).sum(-1, keepdim=True))
    return {"x": s_bar @ w.T, "w": x.T @ s_bar}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_backward_is_given_the_intermediates_that_it_takes(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    data = {"x": torch.randn(4, 3, generator=generator), "w": torch.randn(3, 5, generator=generator)}
    assert dc.check(_attend, data, _attend_backward, dtype=dtype).passed

    def wrong(grad_output: Any, x: Any, w: Any, p: Any) -> Any:
        found = _attend_backward(grad_output, x, w, p)
        return {**found, "w": 1.01 * found["w"]}

    report = dc.check(_attend, data, wrong, dtype=dtype)
    assert report["x"].passed and report["w"].verdict == "wrong"
    with pytest.raises(InputError, match="no reproducer can be written: the backward takes p"):
        report.reproducer()
