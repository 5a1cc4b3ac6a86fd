"""Torch functions become Programs that hold at sizes that were not traced, or are refused by name and place."""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.errors import InputError, UnsupportedOperation
from derivcheck.tracing.trace import TraceOptions, trace
from tests.tracing.meant import normal, same


def affine(x: Any, W: Any, b: Any) -> Any:
    hidden = F.linear(x, W, b)
    return torch.tanh(hidden)


def test_named_dimensions_hold_for_other_sizes() -> None:
    traced = trace(affine, dims={"x": "N in", "W": "out in", "b": "out"})
    assert traced.wrt == ("x", "W", "b")
    assert [str(p) for p in traced.program.dims("W")] == ["out", "in"]
    for n, i, o in ((1, 1, 1), (3, 2, 7), (2, 13, 1)):
        same(traced, affine, {"x": normal(n, i), "W": normal(o, i), "b": normal(o)})


def test_equal_sizes_of_an_example_stay_apart_unless_the_code_needs_them_equal() -> None:
    traced = trace(affine, {"x": normal(3, 3), "W": normal(3, 3), "b": normal(3)})
    x, w, b = (traced.program.dims(n) for n in ("x", "W", "b"))
    assert x[1] is w[1] and w[0] is b[0]
    assert len({x[0], x[1], w[0]}) == 3
    same(traced, affine, {"x": normal(4, 2), "W": normal(5, 2), "b": normal(5)})


def test_sizes_of_one_are_sizes_like_any_other_unless_they_broadcast() -> None:
    traced = trace(affine, {"x": normal(9, 1), "W": normal(1, 1), "b": normal(1)})
    same(traced, affine, {"x": normal(4, 2), "W": normal(5, 2), "b": normal(5)})

    def scaled(x: Any, s: Any) -> Any:
        return x * s

    broadcast = trace(scaled, {"x": normal(4, 3), "s": normal(4, 1)})
    assert [str(p) for p in broadcast.program.dims("s")] == [str(broadcast.program.dims("x")[0]), "1"]
    same(broadcast, scaled, {"x": normal(5, 2), "s": normal(5, 1)})


def test_numbers_made_of_sizes_stay_symbolic() -> None:
    def f(x: Any, W: Any) -> Any:
        n, d = x.shape
        return x @ W * d**-0.5 + len(x) / 2 + (2 * d - 1)

    traced = trace(f, {"x": normal(4, 3), "W": normal(3, 6)})
    same(traced, f, {"x": normal(7, 11), "W": normal(11, 2)})


def test_intermediates_bear_the_users_names_and_places() -> None:
    def f(x: Any, W: Any) -> Any:
        score = x @ W
        gate = torch.sigmoid(score)
        return gate * score

    program = trace(f, dims={"x": "N d", "W": "d k"}).program
    names = [d.name for d in program.definitions]
    assert names[:2] == ["score", "gate"]
    place = program.definition("score").place
    assert place is not None and place.startswith("test_trace.py:")
    assert int(place.split(":")[1]) == f.__code__.co_firstlineno + 1


def test_a_result_of_a_called_function_bears_the_callers_name() -> None:
    def inner(x: Any) -> Any:
        return torch.exp(torch.sin(x))

    def outer(x: Any) -> Any:
        energy = inner(x)
        return torch.cos(energy)

    assert "energy" in {d.name for d in trace(outer, dims={"x": "N"}).program.definitions}


def test_comparisons_of_sizes_are_conditions_with_their_place() -> None:
    def f(x: Any) -> Any:
        n, d = x.shape
        if n > 2:
            return torch.sin(x)
        return torch.cos(x)

    program = trace(f, {"x": normal(5, 4)}).program
    n = program.dims("x")[0]
    assert program.conditions == (f"{n} > 2 at test_trace.py:{f.__code__.co_firstlineno + 2}",)


def test_a_branch_that_other_sizes_take_otherwise_is_a_condition() -> None:
    def f(x: Any) -> Any:
        if x.shape[0] % 2 == 0:
            return torch.sin(x)
        return torch.exp(torch.cos(x))

    program = trace(f, {"x": normal(4, 3)}).program
    assert [str(r) for r in program.requires] == ["N == 2*(N//2)"]
    assert [d.rule for d in program.definitions] == ["sin"]


def test_a_loop_over_a_size_is_refused() -> None:
    def f(x: Any, W: Any) -> Any:
        for _ in range(x.shape[0]):
            x = torch.tanh(x @ W)
        return x

    with pytest.raises(UnsupportedOperation, match=r"depends on x\.shape\[0\].*loop") as e:
        trace(f, {"x": normal(4, 4), "W": normal(4, 4)})
    assert e.value.place is not None and e.value.place.startswith("test_trace.py:")


def test_a_loop_of_fixed_length_is_unrolled() -> None:
    def f(x: Any, W: Any) -> Any:
        for _ in range(3):
            x = torch.tanh(x @ W)
        return x

    traced = trace(f, {"x": normal(4, 4), "W": normal(4, 4)})
    same(traced, f, {"x": normal(2, 5), "W": normal(5, 5)})


@pytest.mark.parametrize(
    ("f", "operator"),
    [
        (lambda x: x if x.sum() > 0 else -x, "_local_scalar_dense"),
        (lambda x: x * x.sum().item(), "_local_scalar_dense"),
        (lambda x: x[x > 0], "nonzero"),
        (lambda x: torch.nonzero(x) * 1.0, "nonzero"),
        (lambda x: x + torch.rand_like(x), "rand_like"),
        (lambda x: x + torch.randn(3), "randn"),
        (lambda x: F.dropout(x, 0.5), "dropout"),
        (lambda x: torch.complex(x, x).abs(), "complex"),
    ],
)
def test_what_cannot_be_derived_is_refused_by_name_and_place(f: Any, operator: str) -> None:
    with pytest.raises(UnsupportedOperation) as e:
        trace(f, {"x": normal(3)})
    assert operator in e.value.operator or operator in str(e.value)
    assert e.value.place is None or e.value.place.startswith("test_trace.py:")


def test_complex_and_sparse_inputs_are_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="complex"):
        trace(torch.sin, {"input": torch.ones(2, dtype=torch.complex64)})
    with pytest.raises(UnsupportedOperation, match="layout"):
        trace(lambda x: x * 2, {"x": torch.eye(3).to_sparse()})


def test_dropout_in_training_takes_its_mask_as_an_input() -> None:
    def f(x: Any) -> Any:
        return F.dropout(torch.sin(x), 0.25)

    traced = trace(f, {"x": normal(3, 4), "dropout_mask": torch.ones(3, 4, dtype=torch.bool)})
    assert traced.program.argument("dropout_mask").kind == "bool"
    mask = normal(2, 5) > 0
    same(traced, lambda x, dropout_mask: torch.sin(x) * dropout_mask / 0.75, {"x": normal(2, 5), "dropout_mask": mask})


def test_dropout_in_evaluation_is_nothing() -> None:
    def f(x: Any) -> Any:
        return F.dropout(torch.sin(x), 0.25, training=False)

    same(trace(f, {"x": normal(3, 4)}), f, {"x": normal(2, 5)})


@pytest.mark.parametrize("how", ["detach", "no_grad", "data"])
def test_stopped_gradients_stay_stopped(how: str) -> None:
    def f(x: Any) -> Any:
        y = torch.sin(x)
        if how == "detach":
            return y.detach() * x
        if how == "data":
            return y.data * x
        with torch.no_grad():
            z = torch.sin(x)
        return z * x

    program = trace(f, dims={"x": "N"}).program
    from derivcheck.derivation.sweep import adjoint
    from derivcheck.notation.values.evaluator import evaluate

    x = normal(3)
    found = evaluate(adjoint(program), {"x": x.numpy(), "grad_output": torch.ones(3).numpy()})["x_bar"]
    assert found == pytest.approx(torch.sin(x).numpy())


@pytest.mark.parametrize("how", ["detach", "no_grad", "data"])
def test_writes_behind_autograd_are_refused(how: str) -> None:
    def f(x: Any) -> Any:
        y = torch.sin(x)
        if how == "detach":
            y.detach().mul_(2)
        elif how == "data":
            y.data.mul_(2)
        else:
            with torch.no_grad():
                y.mul_(2)
        return y * x

    with pytest.raises(UnsupportedOperation, match="behind autograd"):
        trace(f, dims={"x": "N"})


def test_setting_data_is_refused() -> None:
    def f(x: Any) -> Any:
        y = torch.sin(x)
        y.data = torch.cos(x)
        return y

    with pytest.raises(UnsupportedOperation, match="behind autograd"):
        trace(f, dims={"x": "N"})


def test_in_place_operators_are_the_values_that_they_leave() -> None:
    def f(x: Any, b: Any) -> Any:
        y = torch.sin(x)
        z = y * 2
        y.add_(b).mul_(y)
        return y + z

    traced = trace(f, dims={"x": "N M", "b": "M"})
    same(traced, f, {"x": normal(3, 5), "b": normal(5)})


def test_an_input_that_is_changed_is_said_to_be() -> None:
    def f(x: Any) -> Any:
        x.mul_(3)
        return torch.sin(x)

    traced = trace(f, dims={"x": "N"})
    assert any("x is changed in place" in n for n in traced.program.notes)
    x = normal(4)
    same(traced, lambda x: torch.sin(3 * x), {"x": x})


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return 2 * torch.sin(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


def test_a_custom_autograd_function_is_refused_or_derived_from_its_forward_with_a_note() -> None:
    def f(x: Any) -> Any:
        return Rounded.apply(x) * x

    with pytest.raises(
        UnsupportedOperation, match=r"Rounded at test_trace\.py:\d+ cannot be derived: its backward is the user's own"
    ):
        trace(f, dims={"x": "N"})
    traced = trace(f, dims={"x": "N"}, options=TraceOptions("forward"))
    assert any("Rounded" in n and "forward" in n for n in traced.program.notes)
    same(traced, f, {"x": normal(4)})


def test_tensors_that_the_code_holds_become_constants_with_their_own_names() -> None:
    table = normal(3)

    def f(x: Any) -> Any:
        return x * table

    traced = trace(f, {"x": normal(5, 3)})
    assert traced.program.argument("table").role == "constant"
    assert traced.wrt == ("x",)
    assert traced.values["table"] is not None
    same(traced, f, {"x": normal(7, 3)})


def test_an_unused_input_stays_an_input() -> None:
    traced = trace(lambda x, unused: torch.sin(x), dims={"x": "N", "unused": "M"})
    assert traced.wrt == ("x", "unused")


def test_an_output_that_is_an_input_and_one_given_twice() -> None:
    def f(x: Any) -> Any:
        y = torch.sin(x)
        return x, y, y

    traced = trace(f, dims={"x": "N"})
    assert len(set(traced.program.outputs)) == 3
    same(traced, f, {"x": normal(4)})


def test_tensors_in_lists_and_dictionaries() -> None:
    def f(xs: Any, extra: Any) -> Any:
        return xs[0] * xs[1] + extra["b"]

    traced = trace(f, {"xs": [normal(3), normal(3)], "extra": {"b": normal(3), "flag": True}})
    assert traced.program.inputs == ("xs_0", "xs_1", "extra_b")
    same(
        traced,
        lambda xs_0, xs_1, extra_b: xs_0 * xs_1 + extra_b,
        {"xs_0": normal(4), "xs_1": normal(4, seed=1), "extra_b": normal(4, seed=2)},
    )


def test_an_empty_example_derives() -> None:
    def f(x: Any, W: Any) -> Any:
        return torch.tanh(x @ W)

    traced = trace(f, {"x": normal(0, 3), "W": normal(3, 2)})
    same(traced, f, {"x": normal(4, 3), "W": normal(3, 2)})
    same(traced, f, {"x": normal(0, 3), "W": normal(3, 2)})


@pytest.mark.parametrize(
    ("f", "kwargs", "message"),
    [
        (affine, {"dims": {"x": "N in", "W": "out in", "c": "out"}}, "no parameter 'c'"),
        (affine, {"dims": {"x": "N in"}}, "no example, dims or constant for 'W', 'b'"),
        (
            affine,
            {"dims": {"x": "N in", "W": "out k", "b": "out"}},
            r"raises at N = .*Give dimensions that must be equal the same name",
        ),
        (affine, {"dims": {"x": "N in", "W": "out %", "b": "out"}}, "dims of 'W': 'out %' is no list of sizes"),
        (
            affine,
            {"examples": {"x": torch.ones(2, 3), "W": torch.ones(2, 4), "b": torch.ones(2)}},
            "raises on its example inputs",
        ),
        (lambda x: 3, {"dims": {"x": "N"}}, "returns no tensor"),
    ],
)
def test_inputs_that_do_not_fit_are_named(f: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace(f, **kwargs)


def test_two_functions_of_one_code_differ_by_what_they_close_over() -> None:
    def make(k: float) -> Any:
        return lambda x: x * k

    a, b = trace(make(2.0), dims={"x": "N"}), trace(make(3.0), dims={"x": "N"})
    assert a.program != b.program


def test_sizes_that_take_the_branch_that_was_not_seen_are_refused_by_the_generated_code() -> None:
    def f(x: Any) -> Any:
        if x.shape[0] > 4:
            return (2 * x).sum()
        return (3 * x).sum()

    run = dc.derive(f, x=normal(8)).compile()
    assert run(x=torch.ones(5))[1]["x"].tolist() == [2.0] * 5
    with pytest.raises(ValueError, match="this was derived for N > 4; found N = 4"):
        run(x=torch.ones(4))


def test_a_comparison_whose_both_outcomes_were_traced_restricts_nothing() -> None:
    def f(x: Any) -> Any:
        return (x * max(x.shape[0], 4)).sum()

    d = dc.derive(f, x=normal(3))
    assert not d.program.requires
    assert d.compile()(x=torch.ones(2))[1]["x"].tolist() == [4.0, 4.0]
    assert d.compile()(x=torch.ones(6))[1]["x"].tolist() == [6.0] * 6


def test_a_roll_by_more_than_the_size_is_refused_also_in_its_second_derivative() -> None:
    d = dc.derive(lambda x: torch.roll(x, 2) * x, x=normal(5))
    again = dc.derive(d.adjoint).compile()
    for run, given in ((d.compile(), {}), (again, {"grad_grad_output": torch.ones(1)})):
        with pytest.raises(ValueError, match="N >= 2; found N = 1"):
            run(x=torch.ones(1), grad_output=torch.ones(1), **given)


def test_a_length_is_a_size_that_is_watched() -> None:
    d = dc.derive(lambda x: (2 * x if len(x) > 4 else 3 * x).sum(), x=normal(8))
    assert [str(r) for r in d.program.requires] == ["N > 4"]
    assert len.__name__ == "len"


def test_sizes_far_beyond_the_example_are_traced() -> None:
    d = dc.derive(lambda x: (2 * x if operator.index(x.shape[0]) > 100 else 3 * x).sum(), x=normal(8))
    assert "fixed sizes: x.shape[0] = 8" in d.program.notes  # operator.index gives a number that nothing watches
    d = dc.derive(lambda x: (x * min(int(x.shape[0]), 50)).sum(), x=normal(8))
    assert d.compile()(x=torch.ones(60))[1]["x"].tolist() == [50.0] * 60
    assert d.compile()(x=torch.ones(7))[1]["x"].tolist() == [7.0] * 7


def test_the_order_of_the_sizes_is_not_taken_from_the_example() -> None:
    run = dc.derive(lambda x: 2 * x.diagonal(), x=normal(3, 2)).compile()
    assert run(x=torch.ones(2, 3), grad_output=torch.ones(2))[1]["x"].tolist() == [[2, 0, 0], [0, 2, 0]]


@pytest.mark.parametrize(
    ("f", "dims", "shapes"),
    [
        (lambda x, w: F.conv1d(x, w), {"x": "N C L", "w": "O C K"}, ((2, 3, 7), (4, 3, 3))),
        (lambda x, w: F.conv2d(x, w, dilation=2), {"x": "N C H W", "w": "O C k l"}, ((2, 3, 9, 5), (4, 3, 3, 2))),
        (lambda x, w: F.avg_pool1d(x, w.shape[0]) * w.sum(), {"x": "N C L", "w": "K"}, ((2, 3, 11), (3,))),
        (lambda x, w: x.unfold(1, w.shape[0], 1) @ w, {"x": "N L", "w": "K"}, ((2, 9), (3,))),
        (lambda x, w: F.unfold(x, w.shape) * w.sum(), {"x": "N C H W", "w": "k l"}, ((2, 3, 5, 6), (3, 2))),
        (lambda x, w: x[: w.shape[0]] * w, {"x": "N", "w": "K"}, ((7,), (3,))),
    ],
)
def test_a_kernel_has_a_free_size_of_its_own(f: Any, dims: dict[str, str], shapes: tuple[tuple[int, ...], ...]) -> None:
    traced = trace(f, dims=dims)
    assert {str(p) for a in traced.program.arguments for p in a.dims} == set(" ".join(dims.values()).split())
    same(traced, f, dict(zip(dims, (normal(*s) for s in shapes))))


def test_a_slice_that_was_never_longer_than_its_dimension_requires_so() -> None:
    run = dc.derive(lambda x, w: x[: w.shape[0]] * w, dims={"x": "N", "w": "K"}).compile()
    with pytest.raises(ValueError, match="this was derived for N >= K; found K = 3, N = 1"):  # torch broadcasts there
        run(x=torch.ones(1), w=torch.ones(3), grad_output=torch.ones(3))
    assert not dc.derive(lambda x: x[: x.shape[0] // 2] * 2, dims={"x": "N"}).program.requires
