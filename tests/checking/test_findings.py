"""A backward's faults are findings in the report, not exceptions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from derivcheck.errors import InputError
from tests.checking.forwards import FORWARDS, Tensors

LINEAR = FORWARDS["linear"]
D = dc.derive(LINEAR.program)


def data(shape: tuple[int, ...] = (6, 5, 4)) -> Tensors:
    return LINEAR.data(torch.Generator().manual_seed(0), shape)


def changed(**new: Any) -> Any:
    """The right backward with some of what it returns replaced; ``None`` leaves it out."""

    def backward(grad_output: Any, x: Any, w: Any, b: Any, y: Any) -> Tensors:
        out = LINEAR.backward(grad_output, x, w, b, y)
        for name, f in new.items():
            if f is None:
                del out[name]
            else:
                out[name] = f(out.get(name))
        return out

    return backward


@pytest.mark.parametrize(
    "backward, name, verdict, note",
    [
        (changed(w=None), "w", "missing", r"returned no gradient for w; expected shape \(4, 5\)"),
        (changed(w=lambda g: None), "w", "missing", "returned no gradient for w"),
        (changed(bias=lambda g: torch.ones(3)), "bias", "extra", "'bias', which is not asked for; expected x, w, b, y"),
        (changed(w=lambda g: g.T), "w", "shape", r"found shape \(5, 4\), expected \(4, 5\)"),
        (changed(b=lambda g: g.expand(6, 4)), "b", "shape", r"found shape \(6, 4\), expected \(4,\)"),
        (changed(w=lambda g: g.float()), "w", "dtype", "found float32, expected float64"),
        (changed(w=lambda g: g.tolist()), "w", "dtype", "found a list, expected a tensor"),
        (changed(w=lambda g: g * float("nan")), "w", "wrong", None),
    ],
)
def test_faults(backward: Any, name: str, verdict: str, note: str | None) -> None:
    for report in (check_at(D, data(), backward), check(D, data(), backward)):
        row = report[name]
        assert row.verdict == verdict and not report.passed and report.faulty
        if note is not None:
            assert __import__("re").search(note, row.note), row.note
            assert f"{name}: {verdict}: " in str(report)
        assert all(r.passed for r in report if r.name != name)


def test_writing_into_an_input() -> None:
    def backward(grad_output: Any, x: Any, w: Any, b: Any, y: Any) -> Tensors:
        out = LINEAR.backward(grad_output, x, w, b, y)
        x.mul_(2)
        grad_output.zero_()
        return out

    tensors = data()
    kept = {n: t.clone() for n, t in tensors.items()}
    report = check_at(D, tensors, backward)
    assert report["x"].verdict == "changed input" and "writes into x" in report["x"].note
    assert report["grad_output"].verdict == "changed input"
    assert all(torch.equal(kept[n], t) for n, t in tensors.items()), "the caller's tensors are never handed out"


def test_what_a_backward_raises_is_a_finding() -> None:
    def backward(**tensors: Any) -> Tensors:
        raise RuntimeError("shapes (3, 4) and (5,) do not go together\nand more")

    report = check_at(D, data(), backward)
    assert report.rows[0].verdict == "raised"
    assert "RuntimeError: shapes (3, 4) and (5,) do not go together" in str(report)


def test_one_element_gradient_of_another_shape_is_reshaped_and_said() -> None:
    """The tutorial's own gradients at (1, 1) are 0-d."""
    backward = changed(w=lambda g: g.reshape(()), b=lambda g: g.reshape(()))
    report = check_at(D, data((6, 1, 1)), backward)
    assert report.passed
    assert report["w"].note == "its shape () was taken as (1, 1)" and "was taken as (1,)" in str(report)


def test_gradients_of_inputs_not_asked_for_are_no_fault() -> None:
    assert check(D, data(), LINEAR.backward, wrt=("w",)).passed


def test_zero_gradient_may_be_missing_only_as_none() -> None:
    from derivcheck.notation.program.definitions import Definition, Input
    from derivcheck.notation.program.program import Program
    from derivcheck.notation.terms.build import ref
    from tests.checking.forwards import N, n

    p = Program((Input("x", (N,)), Input("unused", (N,))), (Definition("y", (n,), ref("x", n)),), ("y",))
    tensors = {"x": torch.randn(3, dtype=torch.float64), "unused": torch.randn(3, dtype=torch.float64)}
    d = dc.derive(p)
    assert check(d, tensors, lambda grad_output, x: {"x": grad_output, "unused": None}).passed
    report = check(d, tensors, lambda grad_output, x: {"x": grad_output})
    assert report["unused"].verdict == "missing"
    report = check(d, tensors, lambda grad_output, x: {"x": grad_output, "unused": torch.ones_like(x)})
    assert report["unused"].verdict == "wrong"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"x": torch.full((6, 5), float("nan"))}, r"x is NaN at \[0, 0\] \(30 such of 30\); expected finite numbers"),
        (
            {"w": torch.tensor([[1.0] * 5, [1.0] * 5, [1.0, 1.0, float("inf"), 1.0, 1.0], [1.0] * 5])},
            r"w is infinite at \[2, 2\]",
        ),
        ({"x": torch.zeros(0, 5), "y": torch.zeros(0, 4)}, r"x is empty \(shape \(0, 5\)\)"),
        ({"x": torch.zeros(6, 5, dtype=torch.complex64)}, "x is complex64; expected real numbers"),
        ({"w": torch.zeros(4, 3)}, "w has size 3 in dimension 1, expected in = 5"),
        ({"b": torch.zeros(4, 1)}, r"b has shape \(4, 1\), 2 dimensions; expected 1 dimension, \(out\)"),
        ({"bias": torch.zeros(4)}, "'bias' is not an input of the forward; those are x, w, b, y"),
    ],
)
def test_bad_data_is_refused_by_name(change: Tensors, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(D, {**data(), **change}, LINEAR.backward)


def test_bad_arguments_are_refused_by_name() -> None:
    some = data()
    with pytest.raises(InputError, match="w is int64; a gradient is taken in floating-point inputs only"):
        check(D, {**some, "w": torch.ones(4, 5, dtype=torch.int64)}, LINEAR.backward, wrt=("w",))
    with pytest.raises(InputError, match="wrt names 'weight', which is not a floating-point input; those are x, w, b, y"):
        check(D, some, LINEAR.backward, wrt=("weight",))
    with pytest.raises(InputError, match="y is missing from inputs; the forward's are x, w, b, y"):
        check(D, {n: t for n, t in some.items() if n != "y"}, LINEAR.backward)
    with pytest.raises(InputError, match="the device 'cuda:7' is not there"):
        check(D, some, LINEAR.backward, device="cuda:7")
    with pytest.raises(InputError, match="backward returned a tuple; expected a dict name -> gradient"):
        check(D, some, lambda **t: tuple(LINEAR.backward(**t).values()))
    with pytest.raises(InputError, match=r"grad_output has shape \(2,\); expected \(\)"):
        check(D, some, LINEAR.backward, grad_output=torch.ones(2))
    with pytest.raises(InputError, match="grad_output has 2 tensors; expected 1"):
        check(D, some, LINEAR.backward, grad_output=(torch.ones(()), torch.ones(())))
    with pytest.raises(InputError, match="forward is a int; expected a Derivation"):
        check(3, some)
