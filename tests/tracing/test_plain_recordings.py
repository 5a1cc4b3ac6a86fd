"""Code that writes to no tensor is recorded without following its writes: the recording is the same one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import derivcheck as dc
from derivcheck.tracing.program.inputs import function_subject
from derivcheck.tracing.recording.fakes import fake
from derivcheck.tracing.recording.shapes_alone import _FUNCTIONS, _POINTWISE, _RULES, shaped
from derivcheck.tracing.recording.types_read import asks_for_types
from derivcheck.tracing.sizes.gather import Gathering
from tests.tracing.meant import normal

T = torch.Tensor


def mixed(x: T, w: T) -> T:
    n, m = x.shape
    head, *rest = (x @ w.T).chunk(2, 1)
    y = torch.cat([head.softmax(-1), *rest], 1)[:, 1:].reshape(-1)
    return F.gelu(y).sum() / (n * m) + x.detach().mean(0).sum() * w.unflatten(0, (-1, 1)).flatten(1).log_softmax(0).sum()


def attention(x: T, w: T) -> T:
    q, k = F.linear(x, w), x.expand(3, -1, -1).transpose(1, 2)
    return F.mse_loss(F.layer_norm(torch.matmul(q, k[0]), (x.shape[0],)).relu(), torch.ones(x.shape[0], x.shape[0]).to(x))


def weighted(x: T, w: T) -> T:
    weights = torch.tensor([0.2, 0.7, 0.1], dtype=x.dtype, device=x.device)
    if type(x) is not torch.Tensor and not isinstance(x, T):
        raise TypeError(f"expected a tensor, got {type(x)}")
    return weights[0] * (x @ w.T).sum() + (weights * x[:, :1]).exp().mean()


@pytest.mark.parametrize("f", [mixed, attention, weighted])
@pytest.mark.parametrize("sizes", [(5, 4), (1, 1), (2, 2), (1031, 3095)])
def test_a_plain_recording_is_the_same(f: Callable[..., T], sizes: tuple[int, int]) -> None:
    subject, example, _ = function_subject(f, {"x": normal(5, 4), "w": normal(4, 4)}, {}, {})
    assert example is not None
    traces = Gathering(subject, example)
    traces.at(example, names=True)
    assert traces.pure
    n, m = sizes
    there = {"x.0": n, "x.1": m, "w.0": m, "w.1": m}
    plain = traces.at(there)
    traces.pure = False
    whole = traces.at(there)
    assert plain.same(whole) and plain.metas == whole.metas and plain.reads == whole.reads
    assert plain.log.comparisons == whole.log.comparisons


def test_code_that_writes_is_followed() -> None:
    def f(x: Any) -> Any:
        y = x.clone()
        y[:, 1:].add_(x[:, :-1])
        return y.sum()

    subject, example, _ = function_subject(f, {"x": normal(5, 4)}, {}, {})
    assert example is not None
    traces = Gathering(subject, example)
    traces.at(example, names=True)
    assert not traces.pure
    x = normal(3, 6).requires_grad_()
    value, grads = dc.derive(f, x=normal(5, 4)).compile()(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (f(x), *torch.autograd.grad(f(x), x)))


def test_code_that_writes_at_other_sizes_alone_is_followed_there() -> None:
    def f(x: Any) -> Any:
        return x.clone().mul_(3).sum() if x.shape[0] > 100 else (2 * x).sum()

    subject, example, _ = function_subject(f, {"x": normal(5)}, {}, {})
    traces = Gathering(subject, example)
    traces.at({"x.0": 5}, names=True)
    assert traces.pure
    assert [c.operator for c in traces.at({"x.0": 200}).calls] == ["aten.clone.default", "aten.mul.Tensor", "aten.sum.default"]


def test_only_functions_of_shapes_alone_are_called_without_torchs_bookkeeping() -> None:
    for func in _FUNCTIONS:
        assert not func._schema.is_mutable and torch.Tag.nondeterministic_seeded not in func.tags
        assert torch.Tag.dynamic_output_shape not in func.tags and torch.Tag.data_dependent_output not in func.tags


def test_a_derivation_calls_the_function_a_few_times() -> None:
    calls = []

    def loss(x: Any, W: Any, b: Any, y: Any) -> Any:
        calls.append(x.shape)
        return F.mse_loss(F.linear(x, W, b), y)

    d = dc.derive(loss, x=normal(5, 3), W=normal(2, 3), b=normal(2), y=normal(5, 2))
    assert "N*out" in str(d.program.definitions[-1].term) and len(calls) <= 5
    calls.clear()
    model = torch.nn.Linear(3, 2)
    model.register_forward_hook(lambda *args: calls.append(None))
    dc.derive(model, loss=torch.nn.MSELoss())
    assert len(calls) <= 5


def refuses(x: T) -> T:
    if x.dim() != 1:
        raise TypeError(f"a {type(x)} of {x.dim()} dimensions")
    return x * x.shape[0]


def goes_by_it(x: T) -> T:
    n = x.shape[0]
    return x * n if type(n) is int else x


def goes_by_its_name(x: T) -> T:
    return x * {"int": 2}.get(f"{type(x.shape[0]).__name__}", 3)


def has_a_kind(x: T) -> T:
    return x * x.shape[0] if x.device.type == "cpu" else x


@pytest.mark.parametrize("f, asks", [(refuses, False), (has_a_kind, False), (goes_by_it, True), (goes_by_its_name, True)])
def test_a_type_that_is_said_in_an_error_decides_nothing(f: Callable[..., T], asks: bool) -> None:
    assert asks_for_types(f.__code__) == asks
    x = normal(5 if asks else 3)  # its size is fixed where it asks
    value, _ = dc.derive(f, x=normal(5)).compile()(x=x, grad_output=torch.ones_like(x))
    torch.testing.assert_close(value, f(x))


def test_elementwise_shapes_are_those_of_torchs_own_shape_functions() -> None:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    shapes = [(4, 5), (5,), (4, 1), (), (0, 5)]
    answered = 0
    with mode:
        tensors = [torch.empty(s, dtype=d) for s in shapes for d in (torch.float64, torch.float32, torch.int64, torch.bool)]
        tensors += [torch.empty(5, 4, dtype=torch.float64).t(), torch.empty(4, 1, dtype=torch.float64).expand(4, 5)]
    for func in _POINTWISE:
        given = [[t, *rest] for t in tensors for rest in _others(func, tensors)]
        for args in given:
            try:
                wanted = func(*args)
            except (RuntimeError, NotImplementedError):
                with suppress(RuntimeError, NotImplementedError):
                    assert shaped(mode, func, args, {}) is NotImplemented
                continue
            found = shaped(mode, func, args, {})
            if found is not NotImplemented:
                answered += 1
                assert (found.shape, found.dtype, found.stride()) == (wanted.shape, wanted.dtype, wanted.stride()), (func, args)
    assert answered > 200


def test_shapes_of_products_and_normalisations_are_those_of_torchs_own_shape_functions() -> None:
    mode, aten = FakeTensorMode(allow_non_fake_inputs=True), torch.ops.aten
    calls: list[tuple[Any, list[Any]]] = []
    with mode:
        shapes = [(6,), (5, 6), (2, 3, 6), (1, 1, 6), (0, 6), (3, 0, 6)]
        inputs = [torch.empty(s) for s in shapes] + [torch.empty(6, 5).t(), torch.empty(3, 6, dtype=torch.float64)]
        wide, narrow = torch.empty(6), torch.empty(4)
        for x in inputs:
            weights = [torch.empty(4, 6), torch.empty(6, 4).t(), torch.empty(4, 5), torch.empty(6), torch.empty(1, 6)]
            calls += [(aten.linear.default, [x, w, b]) for w in weights for b in (None, narrow, wide)]
            calls += [
                (aten.layer_norm.default, [x, s, w, b])
                for s in ([6], [5], [])
                for w in (None, wide, narrow)
                for b in (None, wide)
            ]
            calls += [
                (f, [x, d, k])
                for f in (aten.softmax.int, aten.log_softmax.int)
                for d in (0, -1, 3)
                for k in (None, torch.float64)
            ]
        left = [torch.empty(s) for s in ((2, 3, 4), (2, 2, 3, 4), (3, 4), (4,), (1, 3, 4), (2, 3, 0))]
        left += [torch.empty(2, 4, 3).mT, torch.empty(1, 3, 4).expand(2, 3, 4)]
        right = [torch.empty(s) for s in ((2, 4, 5), (2, 2, 4, 5), (4, 5), (4,), (3, 4, 5), (2, 0, 5))] + [
            torch.empty(2, 5, 4).mT
        ]
        calls += [(aten.matmul.default, [a, b]) for a in left for b in right]
    answered = 0
    for func, args in calls:
        with mode:
            try:
                wanted = func(*args)
            except (RuntimeError, IndexError):
                wanted = None
        if _RULES[func](func, args) is None:
            continue
        assert wanted is not None, (func, args)  # what torch refuses is left to torch
        found = shaped(mode, func, args, {})
        answered += 1
        assert (found.shape, found.dtype, found.stride()) == (wanted.shape, wanted.dtype, wanted.stride()), (func, args)
    assert answered > 60


def test_a_tensor_without_data_has_all_that_torchs_own_has() -> None:
    for mode in (FakeTensorMode(), FakeTensorMode(allow_non_fake_inputs=True)):
        for raw in (torch.empty(3, 4, device="meta"), torch.empty(2, 5, dtype=torch.int64, device="meta").t()):
            made, wanted = fake(mode, raw), FakeTensor(mode, raw, torch.device("cpu"))
            assert vars(made) == vars(wanted) and type(made) is FakeTensor and made.fake_mode is mode
            assert torch._C._dispatch_keys(made) == torch._C._dispatch_keys(wanted)
            assert (made.shape, made.stride(), made.dtype, made.device) == (
                raw.shape,
                raw.stride(),
                raw.dtype,
                torch.device("cpu"),
            )


def _others(func: Any, tensors: list[T]) -> list[list[Any]]:
    """Further arguments of an elementwise operator: by its schema tensors or numbers."""
    kinds = [str(a.type) for a in func._schema.arguments[1:] if not a.has_default_value() or "Optional" in str(a.type)]
    if not kinds:
        return [[]]
    if kinds[0].startswith("Tensor"):
        some = tensors[:: 3 if len(kinds) == 1 else 5]
        last = tensors[::7] if kinds[-1].startswith("Tensor") else [2.5]
        return [[a] for a in some] if len(kinds) == 1 else [[a, b] for a in some for b in last]
    return [[2, *[3] * (len(kinds) - 1)], [0.5, *[1.5] * (len(kinds) - 1)]]


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_apart_from_autograds_graph_is_refused(copied: Callable[[T], T], writes: bool) -> None:
    def f(x: T) -> T:
        y = x.clone()
        if writes:
            y[0] = 0
        return (copied(x) * y).sum()

    with pytest.raises(dc.UnsupportedOperation, match=r"apart from autograd's graph.*Write x.clone\(\)"):
        dc.derive(f, x=normal(4, 3))


def test_tensors_that_exchange_what_they_are_are_followed() -> None:
    def f(x: T) -> T:
        a, b = x.clone(), 2 * x
        torch.utils.swap_tensors(a, b)
        return (a * x).sum()

    value, grads = dc.derive(f, x=normal(4, 3)).compile()(x=torch.ones(2, 2, dtype=torch.float64))
    assert value == 8 and (grads["x"] == 4).all()


def swallowed(x: T) -> T:
    y = x.clone()
    try:
        y[0] = 0
    except Exception:  # must not meet what our own recording raises at a write
        return x.sum()
    return (y * y).sum()


def test_a_write_within_try_is_not_lost() -> None:
    x = normal(4, 3).requires_grad_()
    value, grads = dc.derive(swallowed, x=normal(5, 2)).compile()(x=x.detach())
    torch.testing.assert_close((value, grads["x"]), (swallowed(x), *torch.autograd.grad(swallowed(x), x)))


@pytest.mark.parametrize(
    "what, f",
    [
        ("device = cpu", lambda x: x.sum() if x.device.type == "cpu" else x.mean()),
        ("layout = torch.strided", lambda x: x.sum() if x.layout == torch.strided else x.mean()),
        ("dtype = torch.float64", lambda x: x.sum() if x.dtype == torch.float64 else x.mean()),
    ],
)
@pytest.mark.parametrize("writes", [False, True])
def test_what_the_code_chooses_by_is_a_condition(what: str, f: Callable[[T], T], writes: bool) -> None:
    def g(x: T) -> T:
        if not writes:
            return f(x)
        y = x.clone()
        y[0] = 1
        return f(y)

    assert any(c.startswith(what) for c in dc.derive(g, x=normal(4, 3)).program.conditions)


def test_a_tensor_without_data_is_of_the_type_that_the_code_asks_for() -> None:
    def by_type(x: T) -> T:
        y = 2 * x
        return (
            y.sum() * {torch.Tensor: 5}.get(type(y), 3) if type(x) is torch.Tensor and isinstance(type(x), type) else x.mean()
        )

    value, grads = dc.derive(by_type, x=normal(4, 3)).compile()(x=torch.ones(2, 2, dtype=torch.float64))
    assert value == 40 and (grads["x"] == 10).all()
