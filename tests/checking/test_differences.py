"""Differences that know the function: degrees, colours, steps, kinks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import derivcheck as dc
from derivcheck.checking.check import check, check_at
from derivcheck.checking.witnesses.differences import BasePoint, difference, differences
from derivcheck.checking.witnesses.exact import exact
from derivcheck.checking.witnesses.structure import colouring, degree, unreduced
from derivcheck.derivation.sweep import adjoint
from derivcheck.derived import Derivation
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.build import mul, number
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure
from tests.checking.forwards import FORWARDS

G = torch.Generator()


def arrays(name: str, shape: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    return {k: t.numpy() for k, t in FORWARDS[name].data(G.manual_seed(seed), shape).items()}


def upstream(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    y = evaluate(program, inputs)[program.outputs[0]]
    return {"grad_output": np.random.default_rng(1).normal(size=y.shape)}


@pytest.mark.parametrize("name", FORWARDS)
def test_they_agree_with_the_derived_gradient_within_their_own_error(name: str) -> None:
    f = FORWARDS[name]
    inputs = arrays(name, (5, 4, 3))
    sizes = measure(f.program, {k: v.shape for k, v in inputs.items()})
    ups = upstream(f.program, inputs)
    right = evaluate(adjoint(f.program, f.wrt), {**inputs, **ups})
    base = evaluate(f.program, inputs)
    for w in f.wrt:
        found = difference(BasePoint(f.program, inputs, ups, base, sizes), w)
        assert found.note == f"all {inputs[w].size} elements"
        error = np.abs(found.value - right[f"{w}_bar"])
        good = found.error < 1e-6
        assert good.mean() > 0.8 and bool((error <= 8 * found.error + 1e-13)[good].all())


@pytest.mark.parametrize(
    "name, wrt, expected",
    [("linear", "w", 2), ("linear", "y", 2), ("softmax", "x", np.inf), ("embedding", "table", 1), ("norm", "w", 1)],
)
def test_degree(name: str, wrt: str, expected: float) -> None:
    assert degree(FORWARDS[name].program, wrt) == expected


@pytest.mark.parametrize(
    "name, wrt, shape, count",
    [
        ("linear", "w", (6, 5, 4), 5),
        ("linear", "x", (6, 5, 4), 5),
        ("linear", "b", (6, 5, 4), 1),
        ("linear", "y", (6, 5, 4), 1),
        ("softmax", "x", (6, 5), 5),
        ("norm", "w", (6, 5), 1),
        ("gelu", "x", (6, 5), 1),
        ("decay", "a", (6,), 6),
    ],
)
def test_colours(name: str, wrt: str, shape: tuple[int, ...], count: int) -> None:
    """As many runs as there are elements that can meet, not as there are elements."""
    f = FORWARDS[name]
    inputs = arrays(name, shape)
    sizes = measure(f.program, {k: v.shape for k, v in inputs.items()})
    opened, _ = unreduced(f.program, upstream(f.program, inputs), (wrt,), sizes)
    assert colouring(opened, wrt, inputs[wrt].shape, sizes).count == count


def test_a_quadratic_has_no_truncation_error() -> None:
    f = FORWARDS["linear"]
    inputs = arrays("linear", (16, 8, 4))
    inputs["x"] *= 1e-4  # a step of 1e-6 would drown in rounding
    sizes = measure(f.program, {k: v.shape for k, v in inputs.items()})
    ups = {"grad_output": np.array(1.0)}
    found = difference(BasePoint(f.program, inputs, ups, evaluate(f.program, inputs), sizes), "w")
    right = evaluate(adjoint(f.program, f.wrt), {**inputs, **ups})["w_bar"]
    assert found.exact and np.abs(found.value - right).max() < 1e-12 * np.abs(right).max()


def test_large_tensors_are_sampled_and_said() -> None:
    f = FORWARDS["linear"]
    inputs = arrays("linear", (8, 40, 6))
    sizes = measure(f.program, {k: v.shape for k, v in inputs.items()})
    point = BasePoint(f.program, inputs, {"grad_output": np.array(1.0)}, evaluate(f.program, inputs), sizes)
    found = difference(point, "w", budget=5e4)
    assert 0 < found.sampled < found.count == 240 and found.note == f"{found.sampled} of 240 elements"
    assert int(np.isfinite(found.value).sum()) == found.sampled


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.parametrize("budget", [3e7, 2e3])
def test_inputs_moved_together_are_as_each_by_itself(name: str, budget: float) -> None:
    """In one evaluation each has its own rows, steps and sample."""
    f = FORWARDS[name]
    inputs = {n: t.numpy() for n, t in f.data(G.manual_seed(3), (5, 4, 3)).items()}
    sizes = measure(f.program, {n: a.shape for n, a in inputs.items()})
    point = BasePoint(f.program, inputs, upstream(f.program, inputs), evaluate(f.program, inputs), sizes)
    together = differences(point, f.wrt, budget=budget)
    for n in f.wrt:
        alone = difference(point, n, budget=budget)
        assert (together[n].sampled, together[n].exact) == (alone.sampled, alone.exact)
        np.testing.assert_array_equal(np.isnan(together[n].value), np.isnan(alone.value))
        room = 8 * (together[n].error + alone.error)
        assert bool((np.abs(together[n].value - alone.value) <= room)[~np.isnan(alone.value)].all())


def test_a_network_is_moved_in_few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a gradient of it that is off by 1e-8 in one element is contradicted."""
    layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()).double()
    d = dc.derive(layers, torch.randn(2, 3, dtype=torch.float64))
    data = {n: np.asarray(v) for n, v in d.values.items()} | {"input": np.linspace(-1, 1, 6).reshape(2, 3)}
    ups, sizes = {"grad_output": np.array([[1.0, -2.0], [0.5, 3.0]])}, measure(d.program, {n: a.shape for n, a in data.items()})
    runs: list[int] = []
    plain = evaluate

    def counted(program: Program, *args: Any, **kwargs: Any) -> Any:
        runs.append(len(program.definitions))
        return plain(program, *args, **kwargs)

    monkeypatch.setattr("derivcheck.checking.witnesses.differences.evaluate", counted)
    found = differences(BasePoint(d.program, data, ups, plain(d.program, data), sizes), d.wrt)
    assert len(runs) < 2 * len(d.wrt)
    right = plain(d.adjoint, {**data, **ups})
    for n, bar in zip(d.wrt, d.adjoint.outputs):
        off = right[bar].copy()
        off.flat[0] += 1e-8 * np.abs(off).max()
        assert bool((np.abs(found[n].value - right[bar]) <= 8 * found[n].error + 1e-13).all())
        assert not bool((np.abs(found[n].value - off) <= 8 * found[n].error + 1e-13).all())


def test_a_wrong_derivation_is_contradicted() -> None:
    """The witnesses share nothing with the sweep: a derived gradient of twice its size stands alone."""
    from derivcheck.checking.check import check

    f = FORWARDS["linear"]
    d = Derivation(f.program, ("w",))
    a = d.adjoint
    twice = tuple(
        __import__("dataclasses").replace(x, term=mul(number(2), x.term)) if x.name == "w_bar" else x for x in a.definitions
    )
    d.__dict__["adjoint"] = __import__("dataclasses").replace(a, definitions=twice)
    report = check(d, f.data(G.manual_seed(0), (5, 4, 3)), lambda **t: {"w": 2 * f.backward(**t)["w"]}, wrt=("w",))
    row = report["w"]
    assert row.verdict == "undecided" and not report.passed
    assert {w.name for w in row.witnesses if w.agrees is False} >= {"autograd", "differences"}


def test_exact_witness_is_exact() -> None:
    f = FORWARDS["linear"]
    shown = exact(Derivation(f.program, f.wrt), "w")
    assert shown is not None and shown.agrees and shown.max_error == 0.0 and shown.note.startswith("at N=")
    assert all(
        exact(Derivation(FORWARDS[k].program, FORWARDS[k].wrt), FORWARDS[k].wrt[0]) is not None
        for k in ("softmax", "norm", "decay")
    )


def test_exact_witness_takes_a_positive_point_where_a_root_wants_one() -> None:
    from derivcheck.notation.program.definitions import Definition, Input
    from derivcheck.notation.terms.build import div, power, ref
    from tests.checking.forwards import N, n

    root = Definition("y", (n,), power(ref("x", n), div(number(1), number(2))))
    shown = exact(Derivation(Program((Input("x", (N,)),), (root,), ("y",))), "x")
    assert shown is not None and shown.agrees


def test_sympy_covers_every_gradient_of_a_normalised_layer() -> None:
    """Batch norm, a linear layer and a mean square: nested roots and quotients, differentiated in every element."""
    d = dc.derive(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)).double(), loss=nn.MSELoss())
    data = {"input": torch.randn(6, 3, dtype=torch.float64), "target": torch.randn(6, 2, dtype=torch.float64)}
    for row in check_at(d, data):
        assert [w.agrees for w in row.witnesses if w.name == "SymPy"] == [True], row


@pytest.mark.parametrize(
    "f", [lambda x: x.relu(), lambda x: torch.exp(-x.relu()), lambda x: torch.maximum(x, 0 * x), lambda x: x.clamp(0)]
)
def test_data_that_stands_at_a_kink_contradicts_nobody(f: Any) -> None:
    """Zeros in the data of a relu: a central difference is the mean of both sides there."""
    x = torch.tensor([[0.0, 1.5, -2.0, 0.7], [-0.3, 0.0, 0.4, 1.0]])
    report = dc.check(f, {"x": x})
    assert report.passed, str(report)


def test_what_is_no_kink_is_not_taken_for_one() -> None:
    """relu(x) − relu(−x) is x: its slope at 0 is 1 on both sides, and by relu'(0) = 0 it comes out as 0."""
    report = dc.check(lambda x: torch.relu(x) - torch.relu(-x), {"x": torch.tensor([0.0, 1.0, 2.0])})
    assert report["x"].verdict == "undecided" and "differences" in report["x"].note


def test_kinks_within_the_steps_of_the_direction_contradict_nobody() -> None:
    """max_pool of 1000 ± 1: a step as long as the data is large crosses what the gradient at the point never sees."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    report = dc.check(net, {"input": 1e3 + torch.randn(2, 1, 4, 4)})
    assert report.passed, str(report)


@pytest.mark.parametrize(
    "f",
    [
        nn.functional.gelu,
        lambda input: nn.functional.layer_norm(input, (input.shape[-1],)),
        lambda input: nn.functional.rms_norm(input, (input.shape[-1],)),
        lambda input: torch.softmax(input, -1),
    ],
    ids=["gelu", "layer_norm", "rms_norm", "softmax"],
)
def test_data_of_many_scales_is_differenced_at_each_of_them(f: Any) -> None:
    """Steps of the largest element's size agree with each other, and see nothing of the smallest."""
    scales = torch.logspace(-6, 6, 20, dtype=torch.float64).reshape(4, 5)
    data = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scales
    report = check(f, {"input": data})
    assert report.passed, str(report)


def test_kinks_that_meet_in_one_element_are_set_aside() -> None:
    """At w = 0 every row of relu(x wᵀ) stands at its kink; the slopes to either side of w enclose no subgradient of the sum."""
    data = {"x": torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), "w": torch.zeros(2, 3)}
    assert check(lambda x, w: torch.relu(x @ w.T), data).passed
    straight = check(lambda x: torch.relu(x) - torch.relu(-x), {"x": torch.zeros(3)})
    assert straight["x"].verdict == "undecided"  # it is x: no kink is there, and torch's gradient of 0 is wrong


def test_what_is_compared_by_equality_alone_has_no_slope() -> None:
    """A label of floats selects: its own gradient is 0, and no step of it says otherwise."""
    x, label = torch.randn(4, 3, dtype=torch.float64), torch.tensor([[1.0, 0.0, 1.0]] * 4, dtype=torch.float64)
    losses: list[Any] = [
        lambda x, label: torch.where(label == 1, x, -x),
        lambda x, label: (x**2 * (label == 1)).sum() + label.sum(),
        lambda x, label: torch.nn.functional.hinge_embedding_loss(x, 2 * label - 1),
    ]
    for f in losses:
        assert dc.check(f, {"x": x, "label": label}).passed

    def forgets(grad_output: Any, x: Any, label: Any) -> Any:
        return {"x": grad_output, "label": torch.zeros_like(label)}

    assert dc.check(losses[0], {"x": x, "label": label}, forgets)["x"].verdict == "wrong"


@pytest.mark.parametrize("kept", ["weight_ih_l0", "bias_hh_l0"])
def test_recurrences_that_need_each_other_are_kept_together(kept: str) -> None:
    """Of a cell and its output one may stand before the other: both are needed, whatever the gradient is taken in."""
    module = torch.nn.LSTM(2, 2, dtype=torch.float64)
    for name, p in module.named_parameters():
        p.requires_grad_(name == kept)
    assert check_at(module, {"input": torch.randn(3, 1, 2, dtype=torch.float64)}, wrt=[kept]).passed
