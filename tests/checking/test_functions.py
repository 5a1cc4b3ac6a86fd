"""autograd.Functions as released libraries write them: what torch's engine takes is taken, and what it refuses is found."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd.function import once_differentiable

import derivcheck as dc

Function = torch.autograd.Function
X, W = (torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64))


class Scale(Function):
    """Arguments with defaults."""

    @staticmethod
    def forward(ctx: Any, x: Any, k: float = 2.0, inplace: bool = False, mode: str = "plain") -> Any:
        ctx.k = k if mode == "plain" else 3 * k
        return x * ctx.k

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.k, None, None, None


class Apart(Function):
    """forward and setup_context apart: torch fills in the defaults."""

    @staticmethod
    def forward(x: Any, w: Any, k: float = 2.0) -> Any:
        return k * (x @ w)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, w, ctx.k = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        return ctx.k * g @ w.T, ctx.k * x.T @ g, None


class Spare(Function):
    """Trailing Nones, which torch drops."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return 3 * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 3 * g, None, None


class Mixed(Function):
    """Outputs of every kind; one None among the gradients that arrive."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x, None, 3, torch.arange(3), x.sum()

    @staticmethod
    def backward(ctx: Any, g: Any, none: Any, three: Any, whole: Any, h: Any) -> Any:
        assert none is None and three is None
        return 2 * ctx.saved_tensors[0] * g + h


class Softmax(Function):
    """A floating-point output that is marked as not differentiable; a gradient of the saved output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        m = x.amax(-1, keepdim=True)
        y = torch.softmax(x, -1)
        ctx.save_for_backward(y)
        ctx.mark_non_differentiable(m)
        return y, m

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Any, unused: Any) -> Any:
        (y,) = ctx.saved_tensors
        return y * (g - (g * y).sum(-1, keepdim=True))


class Largest(Function):
    """An integer output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        value, at = x.max(-1)
        ctx.save_for_backward(at)
        ctx.mark_non_differentiable(at)
        ctx.width = x.shape[-1]
        return value, at

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Any, unused: Any) -> Any:
        (at,) = ctx.saved_tensors
        return g.new_zeros(*g.shape, ctx.width).scatter(-1, at[..., None], g[..., None])


class Asked(Function):
    """Only what is asked for, and only that is saved."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, bias: Any = None) -> Any:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, w if ctx.needs_input_grad[0] else None)
        return x @ w if bias is None else x @ w + bias

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        more = ctx.needs_input_grad[2:3]
        return None if w is None else g @ w.T, None if x is None else x.T @ g, g.sum(0) if any(more) else None


class Bare(Function):
    """Gradients of outputs without a loss arrive as None."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x)
        return x * x, 3 * x

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        (x,) = ctx.saved_tensors
        parts = [p for p in (None if g is None else 2 * x * g, None if h is None else 3 * h) if p is not None]
        return sum(parts) if parts else None


class Vjp(Function):
    """The other name of a backward."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def vjp(ctx: Any, g: Any) -> Any:
        return 2 * g * ctx.saved_tensors[0]


class Many(Function):
    """Any number of tensors."""

    @staticmethod
    def forward(ctx: Any, n: int, *tensors: Any) -> Any:
        ctx.n = n
        ctx.save_for_backward(*tensors)
        return n * tensors[0] * tensors[1]

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        a, b = ctx.saved_tensors
        return None, ctx.n * g * b, ctx.n * g * a


class Doubled(Function):
    """Its input is changed in place, and it says so."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return 2 * g


class Chosen(Function):
    """A gradient for a tensor of integers, which torch leaves out."""

    @staticmethod
    def forward(ctx: Any, x: Any, at: Any) -> Any:
        ctx.save_for_backward(at)
        ctx.shape = x.shape
        return x[:, at]

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (at,) = ctx.saved_tensors
        return g.new_zeros(ctx.shape).index_add(1, at, g), torch.zeros(at.shape)


class Amp(Function):
    """Decorated for mixed precision."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        return g @ w.T, x.T @ g


class Held(Function):
    """A default that is a tensor, and an attribute that is asked for before it is set."""

    @staticmethod
    def forward(ctx: Any, x: Any, c: Any = torch.tensor([1.0, 2.0, 3.0])) -> Any:  # noqa: B008
        if not hasattr(ctx, "cache"):
            ctx.cache = {}
        ctx.cache["c"] = c
        return x * c

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.cache["c"]


RIGHT: dict[str, tuple[Any, dict[str, Any]]] = {
    "defaults": (Scale, {"x": X}),
    "a default in between": (Scale, {"x": X, "mode": "steep"}),
    "apart": (Apart, {"x": X, "w": W}),
    "trailing Nones": (Spare, {"x": X}),
    "outputs of every kind": (Mixed, {"x": X}),
    "a marked output": (Softmax, {"x": X}),
    "an integer output": (Largest, {"x": X}),
    "needs_input_grad": (Asked, {"x": X, "w": W}),
    "an argument that is None": (Asked, {"x": X, "w": W, "bias": None}),
    "an argument that may be None": (Asked, {"x": X, "w": W, "bias": torch.ones(2, dtype=torch.float64)}),
    "gradients that are None": (Bare, {"x": X}),
    "vjp": (Vjp, {"x": X}),
    "any number": (Many, {"n": 2, "a": X, "b": X + 1}),
    "in place": (Doubled, {"x": X}),
    "integers with a gradient": (Chosen, {"x": X, "at": torch.tensor([0, 2, 1])}),
    "mixed precision": (Amp, {"x": X, "w": W}),
    "a tensor by default": (Held, {"x": X}),
}


def returning(function: Any, change: Any) -> Any:
    """The same Function with another backward; ``change`` makes it of what the right one returns."""
    name = "vjp" if function is Vjp else "backward"

    def changed(ctx: Any, *gradients: Any) -> Any:
        found = getattr(function, name)(ctx, *gradients)
        return change(found if isinstance(found, tuple) else (found,))

    return type("Changed", (function,), {name: staticmethod(changed)})


@pytest.mark.parametrize("name", RIGHT)
def test_right_is_right_and_wrong_is_wrong(name: str) -> None:
    function, inputs = RIGHT[name]
    report = dc.check(function, inputs)
    assert report.passed, str(report)
    wrong = returning(function, lambda found: tuple(None if g is None else 1.001 * g for g in found))
    assert "wrong" in {r.verdict for r in dc.check(wrong, inputs)}


@pytest.mark.parametrize("name", ["defaults", "apart", "trailing Nones", "outputs of every kind", "vjp", "any number"])
def test_gradcheck_and_apply_take_the_same(name: str) -> None:
    function, inputs = RIGHT[name]
    given = [v.clone().requires_grad_() if isinstance(v, torch.Tensor) else v for v in inputs.values()]
    assert dc.gradcheck(function.apply, given)
    assert dc.check(function.apply, inputs).passed


@pytest.mark.parametrize(
    ("function", "inputs", "change", "words"),
    [
        (Apart, {"x": X, "w": W}, lambda found: found[:2], "incorrect number of gradients (expected 3, got 2)"),
        (Asked, {"x": X, "w": W}, lambda found: found[0], "incorrect number of gradients (expected 2, got 1)"),
        (Spare, {"x": X}, lambda found: (*found, found[0]), "incorrect number of gradients (expected 1, got 4)"),
        (Many, {"n": 2, "a": X, "b": X + 1}, lambda found: (found[1],) * 3, "a gradient different than None at position 1"),
        (Spare, {"x": X}, lambda found: 3.0, "expected Variable or None (got float)"),
    ],
)
def test_what_the_engine_refuses_is_found(function: Any, inputs: Any, change: Any, words: str) -> None:
    for wrong in (returning(function, change), lambda **named: returning(function, change).apply(*named.values())):
        if function is Many and not isinstance(wrong, type):
            continue  # by name, a number comes after the tensors
        report = dc.check(wrong, inputs)
        assert not report.passed and words in str(report), str(report)


def test_a_wrong_shape_is_said_as_such() -> None:
    report = dc.check(returning(Spare, lambda found: found[0].sum(0, keepdim=True)), {"x": X})
    assert report["x"].verdict == "shape"


def test_a_reference_answers_for_the_inputs_alone() -> None:
    assert dc.check(Scale, {"x": X}, reference=lambda x: 2 * x).passed
    assert not dc.check(Scale, {"x": X}, reference=lambda x: 2.001 * x).passed


def test_flags_of_what_is_asked_are_tried_inside_other_code_too() -> None:
    class Confused(Asked):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, w = ctx.saved_tensors
            return None if x is None else g @ w.T, None if x is None else x.T @ g

    def around(x: Any, w: Any) -> Any:
        return torch.tanh(Confused.apply(x, w))

    assert dc.check(around, {"x": X, "w": W})["x"].where.startswith("gradient in x alone")


def test_bad_arguments_are_said() -> None:
    with pytest.raises(dc.InputError, match="inputs leaves out w, which Asked.forward takes without a default"):
        dc.check(Asked, {"x": X})
    with pytest.raises(dc.InputError, match="'y' is not an input of Scale; those are x, k, inplace, mode"):
        dc.check(Scale, {"x": X, "y": X})

    class Keyword(Scale):
        @staticmethod
        def forward(ctx: Any, x: Any, *, k: float = 2.0) -> Any:  # type: ignore[override]
            return Scale.forward(ctx, x, k)

    assert dc.check(returning(Keyword, lambda found: found[0]), {"x": X}).passed
    with pytest.raises(dc.InputError, match="'k' is a keyword-only argument of Keyword.forward, which apply does not pass on"):
        dc.check(Keyword, {"x": X, "k": 3.0})


class Used(Softmax):
    """It goes on with what it has marked."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        m = x.amax(-1, keepdim=True)
        ctx.mark_non_differentiable(m)
        ctx.save_for_backward(torch.softmax(x, -1))
        return torch.softmax(x, -1) + (m - m.detach()), m

    @staticmethod
    def backward(ctx: Any, g: Any, unused: Any) -> Any:
        (y,) = ctx.saved_tensors
        top = torch.nn.functional.one_hot(y.argmax(-1), y.shape[-1])
        return Softmax.backward(ctx, g, unused) + top * g.sum(-1, keepdim=True)


class Again(Function):
    """The forward runs without gradients, and once more in the backward, as a checkpoint does."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        with torch.no_grad():
            return torch.tanh(x @ w)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Any) -> Any:
        x, w = (t.detach().requires_grad_() for t in ctx.saved_tensors)
        with torch.enable_grad():
            y = torch.tanh(x @ w)
        return torch.autograd.grad(y, (x, w), g)


@pytest.mark.parametrize(
    "f",
    [
        lambda function, x: function.apply(x)[0],
        lambda function, x: function.apply(x),
        lambda function, x: function.apply(x)[0] * function.apply(x)[1],
        lambda function, x: torch.cat(list(function.apply(x)), -1),
    ],
)
@pytest.mark.parametrize("function", [Softmax, Used])
def test_what_a_function_marks_is_cut_off_in_the_code_around_it_too(f: Any, function: Any) -> None:
    assert dc.check(lambda x: f(function, x), {"x": X}).passed
    wrong = returning(function, lambda found: tuple(1.001 * g for g in found))
    assert not dc.check(lambda x: f(wrong, x), {"x": X}).passed


def test_a_forward_without_gradients_has_one() -> None:
    for f in (Again, lambda x, w: Again.apply(x, w)):
        assert dc.check(f, {"x": X, "w": W}).passed
    assert not dc.check(returning(Again, lambda found: tuple(1.001 * g for g in found)), {"x": X, "w": W}).passed


class Clipped(Function):
    """Two outputs, one of them the input changed in place, which is saved too."""

    @staticmethod
    def forward(ctx: Any, x: Any, b: Any) -> Any:
        x.clamp_(min=0)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x, b)
        return x, x * b

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:  # type: ignore[override]
        y, b = ctx.saved_tensors
        return (g + h * b) * (y > 0), h * y


def used_afterwards(function: Any, x: Any) -> Any:
    y = x.sin()
    function.apply(y)
    return y.cos()


@pytest.mark.parametrize(
    "f",
    [
        lambda function, x: function.apply(x * 2),
        lambda function, x: function.apply(x.clone()).sin(),
        used_afterwards,
    ],
)
def test_an_input_that_is_changed_in_place_in_the_code_around(f: Any) -> None:
    assert dc.check(lambda x: f(Doubled, x), {"x": X}).passed
    wrong = returning(Doubled, lambda found: 1.001 * found)
    assert not dc.check(lambda x: f(wrong, x), {"x": X}).passed


def test_an_input_that_is_changed_in_place_and_saved() -> None:
    assert dc.check(lambda x: sum(Clipped.apply(x * 2, x + 1)), {"x": X}).passed
    wrong = returning(Clipped, lambda found: (found[0], 1.001 * found[1]))
    assert not dc.check(lambda x: sum(wrong.apply(x * 2, x + 1)), {"x": X}).passed
