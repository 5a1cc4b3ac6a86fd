"""The blind spots of other checkers: each is wrong somewhere, and a hostile probe shows where."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import derivcheck as dc
from derivcheck.checking.check import Asked, check, check_at, examine
from derivcheck.checking.subject.subject import CheckSetting, subject
from tests.checking.forwards import FORWARDS, Tensors

G = torch.Generator()


def data(name: str, shape: tuple[int, ...] = (6, 5, 4)) -> Tensors:
    return FORWARDS[name].data(G.manual_seed(0), shape)


def ignores_upstream(grad_output: Any, **t: Any) -> Tensors:
    return FORWARDS["linear"].backward(grad_output=torch.ones_like(grad_output), **t)


def ignores_strides(grad_output: Any, x: Any) -> Tensors:
    laid = (
        torch.as_strided(grad_output, grad_output.shape, torch.empty(grad_output.shape).stride())
        if grad_output.numel() > 1
        else grad_output
    )
    return FORWARDS["softmax"].backward(grad_output=laid, x=x)


def drops_the_tail(grad_output: Any, x: Any) -> Tensors:
    g = FORWARDS["softmax"].backward(grad_output=grad_output, x=x)["x"].clone()
    whole = x.shape[1] - x.shape[1] % 4
    g[:, whole:] = 0
    return {"x": g}


def weight_twice(grad_output: Any, x: Any, w: Any, b: Any) -> Tensors:
    out = FORWARDS["norm"].backward(grad_output=grad_output, x=x, w=w, b=b)
    return {**out, "x": FORWARDS["norm"].backward(grad_output=grad_output * w, x=x, w=w, b=b)["x"]}


def overwrites(grad_output: Any, table: Any, ids: Any) -> Tensors:
    g = torch.zeros_like(table)
    g[ids] = grad_output
    return {"table": g}


def mean_for_sum(grad_output: Any, x: Any, w: Any, b: Any) -> Tensors:
    return {**FORWARDS["norm"].backward(grad_output=grad_output, x=x, w=w, b=b), "b": grad_output.mean(0)}


class Accumulates:
    """Adds to what it returned the first time."""

    def __init__(self) -> None:
        self.total: dict[str, torch.Tensor] = {}

    def __call__(self, grad_output: Any, x: Any) -> Tensors:
        g = FORWARDS["softmax"].backward(grad_output=grad_output, x=x)["x"]
        before = self.total.get("x")
        self.total["x"] = g if before is None or before.shape != g.shape else before + g
        return {"x": self.total["x"].clone()}


def unit(name: str, **shapes: Any) -> Tensors:
    return data(name, **shapes)


@pytest.mark.parametrize(
    "name, backward, tensors, shown",
    [
        ("linear", ignores_upstream, data("linear"), ("another upstream", "coprime sizes")),
        ("softmax", ignores_strides, data("softmax", (6, 8)), ("non-contiguous upstream", "expanded upstream")),
        ("softmax", drops_the_tail, data("softmax", (6, 8)), ("coprime sizes",)),
        (
            "norm",
            weight_twice,
            {**data("norm", (6, 4)), "w": torch.ones(4, dtype=torch.float64)},
            ("random parameters", "coprime sizes"),
        ),
        (
            "embedding",
            overwrites,
            {"table": torch.randn(7, 5, dtype=torch.float64), "ids": torch.tensor([3, 1, 5])},
            ("repeated indices", "coprime sizes"),
        ),
        ("norm", mean_for_sum, data("norm", (1, 5)), ("coprime sizes",)),
        ("softmax", Accumulates(), data("softmax", (6, 8)), ("twice in a row",)),
    ],
    ids=["upstream", "strides", "tail", "weight", "repeats", "mean", "state"],
)
def test_blind_spot(name: str, backward: Any, tensors: Tensors, shown: tuple[str, ...]) -> None:
    f = FORWARDS[name]
    d = dc.derive(f.program)
    kept = dict(tensors)
    if not isinstance(backward, Accumulates):
        assert check_at(d, kept, backward, wrt=f.wrt).passed, "it is right on the data itself"
    report = check(d, kept, backward, wrt=f.wrt)
    bad = [r for r in report if r.verdict == "wrong"]
    assert bad and all(r.where.split(" (")[0] in shown for r in bad), str(report)


def test_subgradients_at_kinks_are_accepted_and_counted() -> None:
    """relu'(0) = 1 is as good as torch's 0."""
    f = FORWARDS["relu"]

    def other(grad_output: Any, x: Any, w: Any) -> Tensors:
        g = grad_output * (x @ w.T >= 0)
        return {"x": g @ w, "w": g.T @ x}

    report = check(dc.derive(f.program), data("relu"), other, wrt=f.wrt)
    assert report.passed, str(report)
    assert "another subgradient than the derived one: accepted" in str(report)

    def beyond(grad_output: Any, x: Any, w: Any) -> Tensors:
        h = x @ w.T
        g = grad_output * ((h > 0) + 5.0 * (h == 0))
        return {"x": g @ w, "w": g.T @ x}

    assert not check(dc.derive(f.program), data("relu"), beyond, wrt=f.wrt).passed


def test_a_kink_within_rounding_counts_as_either_side() -> None:
    """0.1 + 0.2 − 0.3 is not 0 in float64: which side of the kink it is on is a matter of rounding, and said."""
    from derivcheck.notation.program.definitions import Definition, Input
    from derivcheck.notation.program.program import Program
    from derivcheck.notation.terms.build import add, mul, ref
    from derivcheck.notation.terms.nodes import Bracket
    from tests.checking.forwards import N, n

    s = add(ref("a", n), ref("b", n), ref("c", n))
    p = Program(
        tuple(Input(v, (N,)) for v in "abc"),
        (Definition("s", (n,), s), Definition("y", (n,), mul(Bracket(">", ref("s", n)), ref("s", n)))),
        ("y",),
    )
    tensors = {
        "a": torch.tensor([0.1] + [1.0] * 30, dtype=torch.float64),
        "b": torch.tensor([0.2] + [1.0] * 30, dtype=torch.float64),
        "c": torch.tensor([-0.3] + [1.0] * 30, dtype=torch.float64),
    }
    for left in (True, False):

        def backward(grad_output: Any, a: Any, b: Any, c: Any, _left: bool = left) -> Tensors:
            total = (a + b) + c if _left else a + (b + c)
            return dict.fromkeys("abc", grad_output * (total > 0))

        report = check_at(dc.derive(p), tensors, backward)
        assert not report.faulty, str(report)
        assert "elements stand at a kink within rounding" in " ".join(report.notes)


def linear(x: Any, w: Any) -> Any:
    return x @ w.T


def _drops_long_tails(g: Any, x: Any, w: Any) -> Any:
    kept = x.shape[1] - x.shape[1] % 8 if x.shape[1] > 8 else x.shape[1]
    return torch.cat([(g.T @ x)[:, :kept], torch.zeros_like(w[:, kept:])], 1)


@pytest.mark.parametrize(
    "wrong, shown",
    [
        (_drops_long_tails, "odd tails"),
        (lambda g, x, w: g.T @ x * (2 if len(x) > 16 else 1), "odd tails"),
        (lambda g, x, w: (g.T @ x).T if x.shape[1] == w.shape[0] else g.T @ x, "sizes 2 to 129"),
        (lambda g, x, w: g.T @ x * (1 + (len(x) + 1) % 2), "sizes 2 and 3"),
    ],
)
def test_mistakes_at_long_odd_and_at_equal_sizes(wrong: Any, shown: str) -> None:
    def backward(grad_output: Any, x: Any, w: Any) -> Tensors:
        return {"x": grad_output @ w, "w": wrong(grad_output, x, w)}

    report = check(linear, {"x": torch.randn(5, 3), "w": torch.randn(2, 3)}, backward)
    assert not report.passed and shown in report["w"].where


def test_sizes_that_a_forward_does_not_admit_are_not_probed() -> None:
    def rolled(x: Any) -> Any:
        return torch.roll(x, 3) * x

    def backward(grad_output: Any, x: Any) -> Tensors:
        return {"x": grad_output * torch.roll(x, 3) + torch.roll(grad_output * x, -3)}

    assert check(dc.derive(rolled, x=torch.randn(6)), {"x": torch.randn(6)}, backward).passed


def _from(size: int) -> Any:
    return lambda x: x.shape[0] >= size or x.shape[1] >= size


@pytest.mark.parametrize(
    "where", [_from(32), _from(128), _from(1024), lambda x: x.shape[1] % 8 == 0, lambda x: x.shape[0] % 16 == 0]
)
def test_a_kernel_that_is_wrong_for_whole_or_several_blocks_is_found(where: Any) -> None:
    def backward(grad_output: Any, x: Any, w: Any) -> Tensors:
        return {"x": grad_output @ w, "w": grad_output.T @ x * (2 if where(x) else 1)}

    report = check(linear, {"x": torch.randn(6, 5), "w": torch.randn(4, 5)}, backward)
    assert report["w"].verdict == "wrong" and report["w"].where.split(" (")[0] in ("sizes 2 to 129", "a long N", "a long M")


def test_a_formula_that_gives_out_at_large_inputs_is_found() -> None:
    def backward(grad_output: Any, x: Any) -> Tensors:
        return {"x": torch.where(x.abs() > 10, 0, 2 * x * grad_output)}

    report = check(lambda x: x * x, {"x": torch.randn(50).clamp(-3, 3)}, backward)
    assert report["x"].verdict == "wrong" and report["x"].where.startswith("large inputs")


def test_few_upstream_numbers_have_a_zero_among_them_too() -> None:
    def backward(grad_output: Any, x: Any) -> Tensors:
        return {"x": grad_output * grad_output / grad_output * x.cos()}

    report = check(lambda x: x.sin(), {"x": torch.randn(3)}, backward)
    assert report["x"].where.startswith("upstream of all magnitudes"), str(report)


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, mean: Any) -> Any:
        ctx.save_for_backward(x, mean)
        return (x - mean) ** 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g * ctx.saved_tensors[0], None  # right while the mean is 0


def test_running_statistics_as_they_start_do_not_hide_that_they_are_ignored() -> None:
    class Norm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(4))

        def forward(self, x: Any) -> Any:
            return _Shifted.apply(x, self.mean)

    report = check(Norm(), {"x": torch.randn(5, 4)})
    assert report["x"].verdict == "wrong" and report["x"].where.startswith("random parameters")


def test_parameters_stand_in_memory_as_the_module_made_them() -> None:
    """torch's batch_norm ignores the strides of its weight; no module lays one out in any other way."""
    s = subject(torch.nn.BatchNorm1d(3), {"input": torch.randn(8, 3)})
    report = examine(s, None, Asked(torch.float64, hostile=True, witnesses=False))
    assert report.passed and "non-contiguous inputs" in str(report), str(report)


def test_a_sparse_gradient_is_read_as_the_dense_one_that_it_means() -> None:
    ids = torch.tensor([1, 4, 4])
    report = check(torch.nn.Embedding(9, 3, sparse=True), {"input": ids})
    assert report.passed, str(report)

    def twice(grad_output: Any, table: Any, ids: Any) -> Any:
        return {"table": 2 * torch.zeros_like(table).index_add(0, ids, grad_output).to_sparse()}

    assert check(lambda table, ids: table[ids], {"table": torch.randn(9, 3), "ids": ids}, twice)["table"].verdict == "wrong"


def test_a_tie_is_shared_out_and_not_given_to_each() -> None:
    """Each of two equal largest numbers may have the gradient, or half of it: both may not have all of it."""

    def each(grad_output: Any, x: Any) -> Tensors:
        return {"x": (x == x.amax(-1, keepdim=True)) * grad_output[:, None]}

    report = check(lambda x: x.amax(-1), {"x": torch.randn(6, 5, generator=G.manual_seed(0))}, each)
    assert report["x"].verdict == "wrong" and report["x"].where.startswith("ties"), str(report)

    def first(grad_output: Any, x: Any) -> Tensors:
        return {"x": torch.zeros_like(x).scatter(1, x.argmax(-1, keepdim=True), grad_output[:, None])}

    report = check(lambda x: x.amax(-1), {"x": torch.randn(6, 5, generator=G.manual_seed(0))}, first)
    assert report.passed and "another subgradient" in str(report), str(report)


class _SinCos(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x.cos() - h * x.sin()  # None where the loss uses one output alone


def test_a_loss_of_one_output_alone_is_tried() -> None:
    report = check(_SinCos, {"x": torch.randn(5)})
    assert report["x"].verdict == "raised" and report["x"].where.startswith("a loss of grad_output_0 alone")


def test_an_error_that_stays_in_float64_is_no_rounding() -> None:
    def backward(grad_output: Any, x: Any, w: Any) -> Tensors:
        return {"x": grad_output @ w, "w": grad_output.T @ x * (1 + 2e-5)}

    G.manual_seed(0)
    tensors = {"x": torch.randn(512, 64, generator=G), "w": torch.randn(64, 64, generator=G)}
    report = check_at(linear, tensors, backward, setting=CheckSetting(torch.float32), witnesses=False)
    assert report["w"].verdict == "wrong" and "as wrong in float64" in report["w"].note, str(report)


def test_what_was_not_checked_is_said() -> None:
    """A cast in the backward alone, and a hook on a parameter."""

    def halves(grad_output: Any, x: Any, w: Any) -> Tensors:
        return {"x": grad_output @ w, "w": (grad_output.half().T @ x.half()).to(x.dtype)}

    tensors = {"x": torch.randn(6, 5), "w": torch.randn(4, 5)}
    assert "casts to float16 were taken as float64" in str(check(linear, tensors, halves))
    assert not check(linear, tensors, halves, dtype=torch.float32).passed
    layer = torch.nn.Linear(5, 4)
    layer.weight.register_hook(lambda g: 2 * g)
    assert "the hooks on weight were not run" in str(check(layer, {"input": torch.randn(6, 5)}))


def test_not_a_number_is_no_subgradient() -> None:
    def divides(grad_output: Any, x: Any) -> Tensors:
        return {"x": (x.prod(-1) * grad_output)[:, None] / x}

    report = check(lambda x: x.prod(-1), {"x": torch.randn(5, 4, generator=G.manual_seed(0))}, divides)
    assert report["x"].verdict == "wrong" and report["x"].where.startswith("zeros"), str(report)
