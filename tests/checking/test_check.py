"""Right gradients pass and wrong ones fail: every forward, type and layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.check import assert_gradients, check, check_at
from derivcheck.checking.subject.subject import CheckSetting
from derivcheck.errors import GradientMismatch, InputError
from tests.checking.forwards import FORWARDS, Tensors

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
generator = torch.Generator()


def data(name: str, shape: tuple[int, ...] = (6, 5, 4), seed: int = 0) -> Tensors:
    return FORWARDS[name].data(generator.manual_seed(seed), shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: str(t).removeprefix("torch."))
@pytest.mark.parametrize("name", FORWARDS)
def test_right_backward_passes(name: str, dtype: torch.dtype) -> None:
    f = FORWARDS[name]
    report = check(dc.derive(f.program), data(name), backward=f.backward, wrt=f.wrt, dtype=dtype)
    assert report.passed, str(report)
    assert [r.name for r in report] == list(f.wrt)
    for row in report:
        assert {w.name: w.agrees for w in row.witnesses} == {"autograd": True, "differences": True, "SymPy": True}


@pytest.mark.parametrize("name", FORWARDS)
def test_each_single_wrong_element_is_found_with_its_index(name: str) -> None:
    """One element off by 1e-9 of the gradient's size: every tensor, another place each time."""
    f = FORWARDS[name]
    d = dc.derive(f.program)
    for count, wrong in enumerate(f.wrt):
        place: list[tuple[int, ...]] = []

        def backward(grad_output, _wrong=wrong, _place=place, _k=count, **tensors):  # type: ignore[no-untyped-def]
            out = f.backward(grad_output=grad_output, **tensors)
            g = out[_wrong].clone()
            flat = (7 * _k + 3) % g.numel()
            g.view(-1)[flat] += 1e-9 * g.abs().max()
            _place.append(tuple(int(k) for k in torch.unravel_index(torch.tensor(flat), g.shape)))
            return {**out, _wrong: g}

        report = check_at(d, data(name), backward=backward, wrt=f.wrt)
        row = report[wrong]
        assert row.verdict == "wrong" and row.wrong == 1 and row.worst_index == place[0], str(report)
        assert row.max_error > row.tolerance
        assert all(report[n].passed for n in f.wrt if n != wrong)


@pytest.mark.parametrize("dtype, factor", [(torch.float64, 1e-9), (torch.float32, 1e-4), (torch.bfloat16, 5e-2)])
@pytest.mark.parametrize("name", FORWARDS)
def test_slightly_scaled_gradients_are_seen_in_their_type(name: str, dtype: torch.dtype, factor: float) -> None:
    f = FORWARDS[name]

    def backward(grad_output, **tensors):  # type: ignore[no-untyped-def]
        out = f.backward(grad_output=grad_output, **tensors)
        return {n: (g.double() * (1 + 2 * factor)).to(g.dtype) for n, g in out.items()}

    report = check(dc.derive(f.program), data(name), backward=backward, wrt=f.wrt, dtype=dtype)
    assert {r.verdict for r in report} == {"wrong"}, str(report)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda t: str(t).removeprefix("torch."))
@pytest.mark.parametrize("kind", ["normal", "offset", "constant", "wide", "sparse"])
@pytest.mark.parametrize("name", ["linear", "norm", "softmax", "relu", "gelu", "embedding"])
def test_native_kernels_raise_no_alarm(name: str, kind: str, dtype: torch.dtype) -> None:
    """torch's own kernels in each type, on data of each kind: nothing of it is wrong."""
    f = FORWARDS[name]
    tensors = data(name, (33, 48, 20), seed=1)
    for n, t in tensors.items():
        if t.is_floating_point() and kind != "normal":
            scale = torch.logspace(-3, 3, t.numel(), dtype=torch.float64).reshape(t.shape)
            tensors[n] = {
                "offset": t + 1e3,
                "constant": torch.full_like(t, 1.3),
                "wide": t * scale,
                "sparse": t * (t.abs() > 1.2),
            }[kind]

    def backward(grad_output, **given):  # type: ignore[no-untyped-def]
        leaves = {n: t.requires_grad_() if n in f.wrt else t for n, t in given.items()}
        out = f.native(**leaves)
        return dict(zip(f.wrt, torch.autograd.grad(out, [leaves[n] for n in f.wrt], grad_output)))

    half = dtype in (torch.bfloat16, torch.float16)
    if (
        name == "norm" and half
    ):  # its bias gradient is accumulated in the type itself: said where torch's own backward is under test
        report = check_at(f.native, tensors, wrt=f.wrt, setting=CheckSetting(dtype), witnesses=False)
    else:
        report = check_at(
            dc.derive(f.program), tensors, backward=backward, wrt=f.wrt, setting=CheckSetting(dtype), witnesses=False
        )
    assert not report.faulty, str(report)


def test_assert_gradients_raises_what_it_found() -> None:
    f = FORWARDS["linear"]
    d = dc.derive(f.program)
    assert_gradients(d, data("linear"), f.backward)

    def negative(**tensors):  # type: ignore[no-untyped-def]
        return {n: -g for n, g in f.backward(**tensors).items()}

    with pytest.raises(AssertionError) as caught:
        assert_gradients(d, data("linear"), negative)
    assert isinstance(caught.value, GradientMismatch)
    assert not caught.value.report["w"].passed
    assert "w: wrong in 20 of 20 elements" in str(caught.value)


def test_right_at_one_output_wrong_at_two() -> None:
    """The tutorial's own gradient divides by N: it trains where out = 1, and a full check still tells."""
    f = FORWARDS["linear"]

    def by_n(grad_output, x, w, b, y):  # type: ignore[no-untyped-def]
        g = grad_output * 2 * (x @ w.T + b - y) / len(y)
        return {"w": g.T @ x, "b": g.sum(0)}

    d = dc.derive(f.program)
    assert check_at(d, data("linear", (6, 1, 1)), by_n, wrt=("w", "b")).passed
    wrong = check_at(d, data("linear", (6, 3, 2)), by_n, wrt=("w", "b"))
    assert [r.verdict for r in wrong] == ["wrong", "wrong"]
    elsewhere = check(d, data("linear", (6, 1, 1)), by_n, wrt=("w", "b"))
    assert elsewhere["w"].verdict == "wrong" and elsewhere["w"].where.startswith("coprime sizes (N=")


def test_named_intermediates_are_listed_and_the_first_wrong_one_comes_first() -> None:
    f = FORWARDS["linear"]

    def backward(grad_output, x, w, b, y):  # type: ignore[no-untyped-def]
        g = grad_output * (x @ w.T + b - y) / y.numel()  # the 2 is lost here
        return {"yhat_bar": g, "w": g.T @ x, "b": g.sum(0)}

    report = check_at(dc.derive(f.program), data("linear"), backward, wrt=("w", "b"))
    assert [r.name for r in report] == ["yhat_bar", "w", "b"]
    assert report.failures[0].name == "yhat_bar" and "yhat_bar: wrong" in str(report).splitlines()[1]


def test_a_tolerance_of_ones_own_is_said() -> None:
    f = FORWARDS["linear"]

    def rough(**tensors):  # type: ignore[no-untyped-def]
        return {n: g * 1.001 for n, g in f.backward(**tensors).items()}

    d = dc.derive(f.program)
    assert not check(d, data("linear"), rough).passed
    report = check_at(d, data("linear"), rough)
    assert not report.passed
    report = check(d, data("linear"), rough, tolerance=0.01)
    assert "tolerance=0.01 was used" in str(report)
    assert all(r.passed or r.where for r in report)


def test_ill_conditioned_is_neither_passed_nor_wrong() -> None:
    """Σx² − (Σx)²/N loses its digits where the mean is large: right numbers by an unstable way."""
    d = dc.derive(FORWARDS["norm"].program)

    def unstable(grad_output, x, w, b):  # type: ignore[no-untyped-def]
        count = x.shape[1]
        mean = x.sum(1, keepdim=True) / count
        var = (x * x).sum(1, keepdim=True) / count - mean * mean
        rstd = (var + 1e-5) ** -0.5
        xhat = (x - mean) * rstd
        h = grad_output * w
        return {"x": rstd * (h - h.mean(1, keepdim=True) - xhat * (h * xhat).mean(1, keepdim=True))}

    tensors = data("norm", (4, 16))
    good = check_at(d, tensors, unstable, wrt=("x",))
    assert good.passed, str(good)
    tensors["x"] = tensors["x"] + 1e5
    report = check_at(d, tensors, unstable, wrt=("x",))
    assert report["x"].verdict in ("right but ill-conditioned", "passed"), str(report)
    assert not report.faulty


def test_hiding_behind_ones_own_rounding_does_not_pass() -> None:
    f = FORWARDS["softmax"]

    def hidden(grad_output, x):  # type: ignore[no-untyped-def]
        right = f.backward(grad_output=grad_output, x=x)["x"]
        return {"x": (right + 1e16 * x) - 1e16 * x}

    report = check_at(dc.derive(f.program), data("softmax"), hidden)
    assert not report.passed


@pytest.mark.parametrize(
    "inputs, options, message",
    [
        ([torch.ones(3)], {}, "inputs is a list; expected a dict"),
        ({"x": torch.ones(3)}, {"dtype": torch.int64}, "dtype is torch.int64; expected a floating-point type"),
        ({"x": torch.ones(3)}, {"dtype": "float64"}, "dtype is 'float64'; expected a floating-point type"),
        ({"x": torch.ones(3, dtype=torch.long)}, {}, "none of x is floating-point"),
    ],
)
def test_what_cannot_be_checked_is_said(inputs: Any, options: Any, message: str) -> None:
    with pytest.raises(dc.InputError, match=message):
        dc.check(lambda x: x * 2, inputs, **options)


@dataclass
class Wrapped:
    """An output as a library returns it."""

    value: torch.Tensor
    what: str = "sine"


def test_an_output_may_be_a_dataclass() -> None:
    data = {"x": torch.randn(3, dtype=torch.float64)}
    assert check(lambda x: Wrapped(torch.sin(x)), data).passed
    wrong = check(lambda x: Wrapped(torch.sin(x)), data, lambda grad_output, x: {"x": grad_output})
    assert wrong["x"].verdict == "wrong"


def test_where_torch_cannot_differentiate_the_code_that_witness_is_left_out() -> None:
    """torch's own gradient of scatter_add raises where the source is larger than the index."""
    data = {"x": torch.randn(5, 3), "s": torch.randn(4, 3), "at": torch.tensor([[0, 2], [1, 1]])}

    def backward(grad_output, x, s, at, factor=1.0):  # type: ignore[no-untyped-def]
        ds = torch.zeros_like(s)
        ds[: at.shape[0], : at.shape[1]] = factor * grad_output.gather(0, at)
        return {"x": grad_output, "s": ds}

    report = check(lambda x, s, at: x.scatter_add(0, at, s), data, backward)
    assert report.passed
    assert any("torch's autograd of the code is no witness, for it raises RuntimeError: Function Sc" in n for n in report.notes)
    wrong = check(lambda x, s, at: x.scatter_add(0, at, s), data, lambda **given: backward(**given, factor=1.01))
    assert wrong["s"].verdict == "wrong"


def test_inputs_without_a_tensor_are_refused() -> None:
    with pytest.raises(InputError, match=r"no input is a tensor \(d is a dict\); give each tensor by a name of its own"):
        check(lambda d: d["a"] * 2, {"d": {"a": 3.0}})
