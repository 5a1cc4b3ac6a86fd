"""What is seen while code runs, and that nothing of it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.function import BackwardCFunction, _SingleLevelFunction

import derivcheck as dc
from derivcheck.audit.observer import KINDS, Observer, PassesOver
from derivcheck.audit.operators import is_operators, registered


class Tripled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float = 3.0) -> torch.Tensor:
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        return g * ctx.factor, None


BOUND = Tripled.apply  # before anybody looks, as modules do


def remade(scale: float) -> Any:
    """The same code in a class made anew."""

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * scale

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * scale

    return Scaled


@torch.library.custom_op("derivcheck_audit_tests::halved", mutates_args=())
def halved(x: torch.Tensor, times: int = 1) -> torch.Tensor:
    return x * 0.5**times


@halved.register_fake
def _(x: torch.Tensor, times: int = 1) -> torch.Tensor:
    return torch.empty_like(x)


halved.register_autograd(
    lambda ctx, g: (g * 0.5**ctx.times, None), setup_context=lambda ctx, inputs, output: setattr(ctx, "times", inputs[1])
)


def leaf(*shape: int) -> torch.Tensor:
    return torch.randn(shape, requires_grad=True)


def seen_of(observer: Observer, function: Any) -> Any:
    return next(s for s in observer.seen.values() if s.function is function)


def test_a_call_through_a_name_bound_before_is_seen_with_what_reached_it() -> None:
    x, g = leaf(4, 3), torch.randn(4, 3)
    with Observer() as observer:
        y = BOUND(x)
        y.backward(g)
        x.data.zero_()  # what was kept is a copy
    seen = seen_of(observer, Tripled)
    (sighting,) = seen.sightings
    assert (seen.calls, seen.backwards, observer.passes) == (1, 1, 1)
    assert torch.equal(sighting.args[0] * 3, y.detach()) and sighting.args[0].requires_grad
    assert torch.equal(sighting.upstream[0], g)
    assert sighting.place.startswith("tests/audit/test_observer.py:")


def test_kinds_of_input_are_kept_apart_and_each_once() -> None:
    with Observer() as observer:
        for shape in ((2,), (2,), (3,)):
            BOUND(leaf(*shape)).sum().backward()
        BOUND(leaf(4, 2).T).sum().backward()
        BOUND(leaf(2, 4)).sum().backward()
        BOUND(leaf(2).double()).sum().backward()
    seen = seen_of(observer, Tripled)
    assert [s.calls for s in seen.sightings] == [2, 1, 1, 1, 1]
    assert seen.sightings[2].args[0].stride() == (1, 2), "the layout is kept"
    assert seen.calls == seen.backwards == 6


def test_of_too_many_kinds_the_rest_is_counted() -> None:
    with Observer() as observer:
        for n in range(1, KINDS + 4):
            BOUND(leaf(n))
    seen = seen_of(observer, Tripled)
    assert (len(seen.sightings), seen.more, seen.calls) == (KINDS, 3, KINDS + 3)


def test_a_class_made_anew_is_one_unless_it_holds_something_else() -> None:
    with Observer() as observer:
        for scale in (2.0, 3.0, 2.0):
            remade(scale).apply(leaf(2))
    assert [s.calls for s in observer.seen.values()] == [3], "numbers of one sign are one kind"
    with Observer() as observer:
        for scale in (2.0, 0.0, -2.0):
            remade(scale).apply(leaf(2))
    assert [s.calls for s in observer.seen.values()] == [1, 1, 1]


def test_where_no_gradient_is_recorded_there_is_nothing_to_check() -> None:
    with Observer() as observer:
        with torch.no_grad():
            BOUND(leaf(2))
        BOUND(torch.randn(2))
    seen = seen_of(observer, Tripled)
    assert not seen.sightings and seen.idle == 2


def test_the_library_s_own_checks_and_torch_s_own_functions_are_not_seen() -> None:
    from torch.utils.checkpoint import checkpoint

    with Observer() as observer:
        assert dc.check(remade(2.0), {"x": torch.randn(3)}, order=1).passed
        checkpoint(torch.sin, leaf(3), use_reentrant=True).sum().backward()
    assert not [s for s in observer.seen.values() if s.sightings]
    assert observer.passes == 1, "the pass that a reentrant checkpoint makes inside is part of it"


def test_a_function_inside_a_checkpoint_is_seen_when_it_is_run_again() -> None:
    from torch.utils.checkpoint import checkpoint

    with Observer() as observer:
        checkpoint(BOUND, leaf(3), use_reentrant=False).sum().backward()
    assert seen_of(observer, Tripled).backwards == 1


def test_a_custom_operator_is_seen_with_its_own_backward() -> None:
    with Observer() as observer:
        torch.ops.derivcheck_audit_tests.halved(leaf(3), 2).sum().backward()
    (seen,) = observer.seen.values()
    assert is_operators(seen.function) and seen.backwards == 1
    operator = registered(seen.function)
    assert operator is not None and operator.name == "derivcheck_audit_tests::halved"
    forward, inputs = operator.call(seen.sightings[0].args)
    assert list(inputs) == ["x", "times"] and inputs["times"] == 2
    assert torch.equal(forward.apply(*inputs.values()), inputs["x"] / 4)


def test_a_gradient_of_a_gradient_is_noticed() -> None:
    x = leaf(3)
    with Observer() as observer:
        (g,) = torch.autograd.grad(BOUND(x).sum(), x, create_graph=True)
    assert seen_of(observer, Tripled).twice
    with Observer() as observer:
        BOUND(x).sum().backward()
    assert not seen_of(observer, Tripled).twice


def test_functions_under_functorch_are_seen_as_the_user_wrote_them() -> None:
    class Squared(torch.autograd.Function):
        @staticmethod
        def forward(x: torch.Tensor) -> torch.Tensor:
            return x * x

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return 2 * ctx.saved_tensors[0] * g

    x = torch.randn(3)
    with Observer() as observer:
        torch.func.grad(lambda t: Squared.apply(t).sum())(x)
    seen = seen_of(observer, Squared)
    assert seen.backwards == 1 and torch.equal(seen.sightings[0].args[0], x)


def test_it_stops_after_so_many_passes_and_leaves_torch_as_it_was() -> None:
    def state() -> tuple[Any, ...]:
        kept = (torch.autograd._engine_run_backward, torch.compile, torch.Tensor.register_hook)  # type: ignore[attr-defined]
        own = (nn.Module.register_full_backward_hook, BackwardCFunction.apply, vars(_SingleLevelFunction).get("apply"))
        return (*kept, *own)

    before, done = state(), 0
    with pytest.raises(PassesOver), Observer(steps=2):
        assert state() != before
        while True:
            BOUND(leaf(2)).sum().backward()
            done += 1
    assert done == 1 and state() == before


def test_two_may_look_at_once() -> None:
    with Observer() as outer, Observer() as inner:
        BOUND(leaf(2)).sum().backward()
    for observer in (outer, inner):
        assert (seen_of(observer, Tripled).calls, seen_of(observer, Tripled).backwards, observer.passes) == (1, 1, 1)


def test_nothing_is_drawn() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with Observer():
        BOUND(torch.ones(3, requires_grad=True)).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_compiled_runs_as_it_is_written() -> None:
    with Observer() as observer:
        run = torch.compile(lambda x: BOUND(x) + 1)
        run(leaf(3)).sum().backward()
    assert seen_of(observer, Tripled).backwards == 1
    assert [p.rpartition(":")[0] for p in observer.compiled] == ["tests/audit/test_observer.py"]


# -- hooks -------------------------------------------------------------------------
def doubling(g: torch.Tensor) -> torch.Tensor:
    return 2 * g


def looking(g: torch.Tensor) -> None:
    g.sum()


def in_place(g: torch.Tensor) -> None:
    g.mul_(0.5)


@pytest.mark.parametrize(("hook", "changes"), [(doubling, True), (looking, False), (in_place, True)])
def test_a_hook_on_a_tensor(hook: Callable[..., Any], changes: bool) -> None:
    x = leaf(3)
    with Observer() as observer:
        h = x * 1
        h.register_hook(hook)
        h.backward(torch.ones(3))
    (seen,) = observer.hooks.seen.values()
    assert seen.calls == 1 and bool(seen.after) == changes
    if changes:
        assert torch.equal(seen.before[0], torch.ones(3)) and torch.equal(seen.after[0], x.grad)


@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_a_hook_on_a_module(kind: str) -> None:
    module, x = nn.Linear(3, 2), leaf(4, 3)

    def zeroed(m: nn.Module, grads: Any, *more: Any) -> Any:
        return tuple(torch.zeros_like(g) for g in grads)

    with Observer() as observer:
        getattr(module, kind)(zeroed)
        module(x).sum().backward()
    (seen,) = observer.hooks.seen.values()
    assert seen.on == "Linear" and not seen.after[0].any() and seen.before[0].any()
    assert x.grad is not None and not x.grad.any(), "it acts as it did"


def test_a_hook_can_be_removed() -> None:
    x = leaf(2)
    with Observer():
        handle = x.register_hook(doubling)
        handle.remove()
        x.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones(2))
