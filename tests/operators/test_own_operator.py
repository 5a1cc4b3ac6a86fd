"""An operator of a user's own: a row gives it a meaning, and its shape function is not trusted to refuse sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.notation.terms.build import add, mul
from derivcheck.operators.language import row as rows_file
from derivcheck.operators.language.build import Builder
from derivcheck.operators.language.values import Value

T = torch.Tensor


@torch.library.custom_op("derivcheck_tests::scaled_add", mutates_args=())
def scaled_add(x: T, y: T, scale: float = 1.0) -> T:
    return x + scale * y


@scaled_add.register_fake
def _(x: T, y: T, scale: float = 1.0) -> T:
    return torch.empty_like(x)  # lets any y pass, as many do


@torch.library.custom_op("derivcheck_tests::double_", mutates_args=("x",))
def double_(x: T) -> None:
    x.mul_(2)


def kernel_and_gradient(ctx: object, g: T) -> tuple[T, T, None]:
    return g, 0.5 * g, None


scaled_add.register_autograd(kernel_and_gradient)


@pytest.fixture(autouse=True)
def own_row(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rows_file, "_rows", dict(rows_file.rows()))

    @dc.row("derivcheck_tests.scaled_add.default")
    def means(b: Builder, x: Value, y: Value, scale: object = 1) -> Value:
        """z[*n] = x[*n] + scale*y[*n]"""
        return b.elementwise(lambda p, q: add(p, mul(b.number(scale), q)), x, y)

    yield


def test_a_right_kernel_holds_and_a_wrong_one_does_not() -> None:
    inputs = {"x": torch.randn(3, 4), "y": torch.randn(4, 3)}
    assert dc.check(lambda x, y: scaled_add(x, y.T, 0.5), inputs).passed
    report = dc.check(lambda x, y: scaled_add(x, y.T, 2.0), inputs)
    assert not report.passed and "y: " in str(report)


def test_sizes_that_the_shape_function_lets_pass_are_required_equal() -> None:
    d = dc.derive(lambda x, y: scaled_add(x, y.T, 0.5), x=torch.randn(3, 4), y=torch.randn(4, 3))
    d.compile()(x=torch.ones(2, 5), y=torch.ones(5, 2), grad_output=torch.ones(2, 5))
    with pytest.raises(ValueError, match="this was derived for .* == "):
        d.compile()(x=torch.ones(2, 5), y=torch.ones(5, 3), grad_output=torch.ones(2, 5))


def test_one_that_writes_to_its_arguments_is_refused() -> None:
    def f(x: T) -> T:
        y = x.clone()
        double_(y)
        return y

    with pytest.raises(dc.UnsupportedOperation, match=r"double_.*writes to its arguments.*add a row for that one\."):
        dc.derive(f, x=torch.randn(3))


@torch.library.custom_op("derivcheck_tests::wave", mutates_args=())
def wave(x: T, y: T, scale: float = 2.0) -> T:
    return torch.sin(x) * scale + y


@wave.register_fake
def _(x: T, y: T, scale: float = 2.0) -> T:
    return torch.empty_like(x)


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.scale = inputs[2]


def _wave_gradient(ctx: Any, g: T) -> tuple[T, T, None]:
    return FACTOR["of x"] * g * torch.cos(ctx.saved_tensors[0]) * ctx.scale, g, None


FACTOR = {"of x": 1.0}
wave.register_autograd(_wave_gradient, setup_context=_keep)


@pytest.mark.parametrize("forward", [wave, lambda x, y: wave(2 * x, y, 0.5).exp(), torch.ops.derivcheck_tests.wave.default])
def test_an_operator_in_python_is_derived_from_its_code_and_its_registered_backward_is_checked(
    forward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"x": torch.randn(3, 4), "y": torch.randn(3, 4)}
    assert dc.check(forward, inputs).passed
    monkeypatch.setitem(FACTOR, "of x", 1.01)
    wrong = dc.check(forward, inputs)
    assert wrong["x"].verdict == "wrong" and wrong["y"].passed


def test_one_without_a_row_is_not_derived_alone() -> None:
    with pytest.raises(dc.UnsupportedOperation, match="derivcheck_tests::wave .* its backward is the user's own"):
        dc.derive(lambda x, y: wave(x, y), x=torch.randn(3), y=torch.randn(3))
