"""A user's own formula keeps its digits where torch's kernel for it does: the term chooses the spelling.

Each formula as users write it is held against a reference of 50 digits (mpmath), value and gradient, in both types, in the
direct call and through the Function, at numbers at which the formula itself overflows, cancels or divides 0 by 0; and against
torch's own kernel, where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc

FAR = (-1000.0, -90.0, -30.0, -3.0, -1e-3, 1e-3, 0.7, 2.5, 30.0, 90.0, 1000.0)
ABOVE = tuple(x for x in FAR if x > 0)


class Formula(NamedTuple):
    """A formula as a user writes it, what it means, torch's kernel for it, and where it is tried."""

    written: Callable[[torch.Tensor], torch.Tensor]
    means: Callable[[Any], Any]
    kernel: Callable[[torch.Tensor], torch.Tensor] | None = None
    points: tuple[float, ...] = FAR
    units: int = 0  # of the last place of 1, by which a value may be off: two numbers are added that nearly cancel


def sigma(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def by_hand(x: torch.Tensor) -> torch.Tensor:
    e = torch.exp(-x)
    return 1 / (1 + e)


def bce_by_hand(x: torch.Tensor) -> torch.Tensor:
    p = torch.sigmoid(x)
    return -(0.25 * torch.log(p) + 0.75 * torch.log(1 - p))


def tanh_by_hand(x: torch.Tensor) -> torch.Tensor:
    up, down = torch.exp(x), torch.exp(-x)
    return (up - down) / (up + down)


FORMULAS = {
    "log(1 + exp(x))": Formula(
        lambda x: torch.log(1 + torch.exp(x)), lambda x: mpmath.log1p(mpmath.exp(x)), lambda x: F.softplus(x, threshold=80)
    ),
    "log1p(exp(2x))/2": Formula(lambda x: torch.log1p(torch.exp(2 * x)) / 2, lambda x: mpmath.log1p(mpmath.exp(2 * x)) / 2),
    "log(3 + 2 exp(x))": Formula(lambda x: torch.log(3 + 2 * torch.exp(x)), lambda x: mpmath.log(3 + 2 * mpmath.exp(x))),
    "-log(1 + exp(-x))": Formula(
        lambda x: -torch.log(1 + torch.exp(-x)), lambda x: -mpmath.log1p(mpmath.exp(-x)), F.logsigmoid
    ),
    "log(sigmoid(x))": Formula(lambda x: torch.log(torch.sigmoid(x)), lambda x: -mpmath.log1p(mpmath.exp(-x)), F.logsigmoid),
    "log of a sigmoid by hand": Formula(lambda x: torch.log(by_hand(x)), lambda x: -mpmath.log1p(mpmath.exp(-x))),
    "log(1 - sigmoid(x))": Formula(lambda x: torch.log(1 - torch.sigmoid(x)), lambda x: -mpmath.log1p(mpmath.exp(x))),
    "log(1 - a sigmoid by hand)": Formula(lambda x: torch.log(1 - by_hand(x)), lambda x: -mpmath.log1p(mpmath.exp(x))),
    "cross-entropy by hand": Formula(
        bce_by_hand, lambda x: mpmath.log1p(mpmath.exp(-x)) / 4 + 3 * mpmath.log1p(mpmath.exp(x)) / 4
    ),
    "1/(1 + exp(-x))": Formula(by_hand, sigma, torch.sigmoid),
    "exp(x)/(1 + exp(x))": Formula(lambda x: torch.exp(x) / (1 + torch.exp(x)), sigma, torch.sigmoid),
    "x/(1 + exp(-x))": Formula(lambda x: x / (1 + torch.exp(-x)), lambda x: x * sigma(x), F.silu),
    "x·tanh(log(1 + exp(x)))": Formula(
        lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), F.mish
    ),
    "tanh by exponentials": Formula(tanh_by_hand, mpmath.tanh, torch.tanh),
    "tanh by exp(2x) - 1": Formula(
        lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1), mpmath.tanh, torch.tanh
    ),
    "tanh by 1 - 2/(1 + exp(2x))": Formula(lambda x: 1 - 2 / (1 + torch.exp(2 * x)), mpmath.tanh, torch.tanh),
    "sinh/cosh": Formula(lambda x: torch.sinh(x) / torch.cosh(x), mpmath.tanh, torch.tanh),
    "log(cosh(x))": Formula(lambda x: torch.log(torch.cosh(x)), lambda x: mpmath.log(mpmath.cosh(x))),
    "log(erfc(x))": Formula(lambda x: torch.log(torch.erfc(x)), lambda x: mpmath.log(mpmath.erfc(x)), units=2),
    "log(1 - erf(x))": Formula(lambda x: torch.log(1 - torch.erf(x)), lambda x: mpmath.log(mpmath.erfc(x)), units=2),
    "log of a normal's distribution": Formula(
        lambda x: torch.log(0.5 * (1 + torch.erf(x / math.sqrt(2)))),
        lambda x: mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2),
        torch.special.log_ndtr,
    ),
    "exp(x²)·erfc(x)": Formula(
        lambda x: torch.exp(x * x) * torch.erfc(x),
        lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
        torch.special.erfcx,
        (0.7, 2.5, 30.0),
    ),
    "exp(-|x|)·I0(x)": Formula(
        lambda x: torch.exp(-x.abs()) * torch.special.i0(x),
        lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(0, x),
        torch.special.i0e,
    ),
    "log(I0(x))": Formula(lambda x: torch.log(torch.special.i0(x)), lambda x: mpmath.log(mpmath.besseli(0, x)), units=2),
    "exp(x) - 1": Formula(lambda x: torch.exp(x) - 1, mpmath.expm1, torch.expm1, (-90.0, -3.0, -1e-3, 1e-9, 0.7, 30.0)),
    "log(1 + x)": Formula(lambda x: torch.log(1 + x), mpmath.log1p, torch.log1p, (1e-9, 1e-3, 0.7, 90.0)),
    "log(exp(x) - 1)": Formula(lambda x: torch.log(torch.exp(x) - 1), lambda x: mpmath.log(mpmath.expm1(x)), None, ABOVE),
    "log(1 - exp(-x))": Formula(lambda x: torch.log(1 - torch.exp(-x)), lambda x: mpmath.log(-mpmath.expm1(-x)), None, ABOVE),
    "log of a normal's density": Formula(
        lambda x: torch.log(torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)),
        lambda x: -(x**2) / 2 - mpmath.log(2 * mpmath.pi) / 2,
    ),
    "log(exp(x) + exp(x²))": Formula(
        lambda x: torch.log(torch.exp(x) + torch.exp(x * x)), lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(x * x))
    ),
    "log(x + √(x² + 1))": Formula(lambda x: torch.log(x + torch.sqrt(x * x + 1)), mpmath.asinh, torch.asinh),
    "√(x² + (2x)²)": Formula(
        lambda x: torch.sqrt(x**2 + (2 * x) ** 2), lambda x: abs(x) * mpmath.sqrt(5), None, (-1e30, -1e-30, 1e-25, 0.7, 1e25)
    ),
    "x·log(x)": Formula(
        lambda x: x * torch.log(x), lambda x: x * mpmath.log(x), lambda x: torch.xlogy(x, x), (1e-30, 0.7, 90.0)
    ),
}  # fmt: skip


def readings(d: dc.Derivation, x: torch.Tensor) -> list[tuple[list[float], list[float]]]:
    """Value and slope at each number, by the direct call and through the Function."""
    value, grads = d.compile()(x=x, grad_output=torch.ones_like(x))
    leaf = x.clone().requires_grad_()
    y = d.to_function().apply(leaf)
    (slope,) = torch.autograd.grad(y.sum(), leaf)
    return [(value.tolist(), grads["x"].tolist()), (y.tolist(), slope.tolist())]


def torchs_own(kernel: Callable[[torch.Tensor], torch.Tensor] | None, x: torch.Tensor) -> list[float | None]:
    """The kernel's values, where there is one."""
    return [None] * len(x) if kernel is None else list(kernel(x).tolist())


def within(have: float, want: Any, unit: float, absolute: float, kernel: float | None = None) -> bool:
    """A few units of the last place from the reference, or not further from it than twice torch's own kernel."""
    error = abs(mpmath.mpf(have) - want)
    near = error <= 64 * unit * abs(want) + absolute
    return bool(near) or kernel is not None and bool(error <= 2 * abs(mpmath.mpf(kernel) - want))


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: str) -> None:
    one = FORMULAS[name]
    d = dc.derive(one.written, x=torch.tensor([0.3, 0.5], dtype=torch.float64))
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(one.points, dtype=dtype)
        unit, tiny = torch.finfo(dtype).eps, 4 * torch.finfo(dtype).tiny
        read, kernel = readings(d, x), torchs_own(one.kernel, x)
        with mpmath.workdps(120):
            for k, at in enumerate(map(mpmath.mpf, x.tolist())):
                value, slope = one.means(at), mpmath.diff(one.means, at, h=abs(at) * mpmath.mpf(10) ** -30)
                for values, slopes in read:
                    said = f"{name} in {dtype} at {float(at)}"
                    assert within(values[k], value, unit, tiny + one.units * unit, kernel[k]), (
                        f"{said}: {values[k]}, expected {float(value)}"
                    )
                    # what saturates, 1 - tanh², keeps the digits of 1, as in torch's kernels
                    assert within(slopes[k], slope, unit, 8 * unit), f"slope of {said}: {slopes[k]}, expected {float(slope)}"


def test_the_reference_rejects_the_formulas_as_they_are_written() -> None:
    """Autograd of the users' own lines is what the test is there to catch."""
    x = torch.tensor(FAR, dtype=torch.float64, requires_grad=True)
    for name in ("log(1 + exp(x))", "log(sigmoid(x))", "tanh by exponentials", "log(cosh(x))", "log(erfc(x))"):
        y = FORMULAS[name].written(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert not slope.isfinite().all(), name


ROWS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[torch.Tensor], torch.Tensor]]] = {
    "softmax": (lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True), lambda x: torch.softmax(x, -1)),
    "log of a softmax": (lambda x: torch.log(torch.softmax(x, -1)), lambda x: torch.log_softmax(x, -1)),
    "log of a softmax by hand": (
        lambda x: torch.log(torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)),
        lambda x: torch.log_softmax(x, -1),
    ),
    "logsumexp": (lambda x: torch.log(torch.exp(x).sum(-1)), lambda x: torch.logsumexp(x, -1)),
    "logsumexp over the first": (lambda x: torch.log(torch.exp(2 * x).sum(0)), lambda x: torch.logsumexp(2 * x, 0)),
    "log of a mean": (lambda x: torch.log(torch.exp(x).mean(-1)), lambda x: torch.logsumexp(x, -1) - math.log(x.shape[-1])),
    "cross-entropy": (
        lambda x: -torch.log(torch.exp(x[:, 0]) / torch.exp(x).sum(-1)),
        lambda x: -torch.log_softmax(x, -1)[:, 0],
    ),
    "entropy": (
        lambda x: -(torch.softmax(x, -1) * torch.log(torch.softmax(x, -1))).sum(-1),
        lambda x: -(torch.softmax(x, -1) * torch.log_softmax(x, -1)).sum(-1),
    ),
    "odds of two": (
        lambda x: torch.exp(x[:, 0]) / (torch.exp(x[:, 0]) + torch.exp(x[:, 1])),
        lambda x: torch.sigmoid(x[:, 0] - x[:, 1]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_over_a_row(name: str) -> None:
    """A sum of exponentials over an index, as torch's own call has it."""
    written, kernel = ROWS[name]
    d = dc.derive(written, x=torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    for dtype in (torch.float32, torch.float64):
        eps = torch.finfo(dtype).eps
        x = torch.tensor([[1000.0, 999, -1000, 0], [-800, -801, -802, -1000], [90, -90, 3, 89]], dtype=dtype)
        leaf = x.double().requires_grad_()  # in float32, torch's own backward of logsumexp loses digits
        y = kernel(leaf)
        upstream = torch.linspace(1, 2, y.numel(), dtype=dtype).reshape(y.shape)
        wanted = torch.autograd.grad(y, leaf, upstream.double())[0].to(dtype)
        value, grads = d.compile()(x=x, grad_output=upstream)
        again = x.clone().requires_grad_()
        z = d.to_function().apply(again)
        (slope,) = torch.autograd.grad(z, again, upstream)
        for found in (value, z.detach()):
            torch.testing.assert_close(found, y.detach().to(dtype), rtol=16 * eps, atol=0)
        for gradient in (grads["x"], slope):
            torch.testing.assert_close(gradient, wanted, rtol=max(2e-13, 64 * eps), atol=max(2e-13, 8 * eps))


LEFT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "shifted by the user": lambda x: torch.log(torch.exp(x - x.amax(-1, keepdim=True)).sum(-1)),
    "a small number added": lambda x: torch.log(torch.sigmoid(x) + 1e-9),
    "weights": lambda x: torch.log((torch.exp(x) * x.square()).sum(-1)),
    "another sum below": lambda x: torch.exp(x) / torch.exp(2 * x).sum(-1, keepdim=True),
    "detached": lambda x: torch.exp(x) / (1 + torch.exp(x.detach())),
    "three squares": lambda x: torch.sqrt(x**2 + (x + 1) ** 2 + 1),
    "a difference of squares": lambda x: torch.sqrt((3 * x) ** 2 - x**2),
    "an exponential of another": lambda x: torch.exp(2 * x) / (1 + torch.exp(x)),
    "a product of logs": lambda x: torch.log(1 + torch.exp(x)) * torch.exp(x) + torch.exp(x),
    "two in a matrix": lambda x: torch.log(torch.exp(x) + torch.exp(x / 2)),
    "a matrix and a row": lambda x: torch.log(torch.exp(x) + torch.exp(2 * x[0])),
    "a matrix and a column": lambda x: torch.log(torch.exp(3 * x[:, :1]) + torch.exp(x)),
    "x log of another": lambda x: x * torch.log(x**2 + 3),
    "a number's own logarithm": lambda x: x + (torch.log(torch.exp(0 * x[:, 0]).sum()) + 0 * x[:, 0]).sum(),
    "rows picked from a softmax": lambda x: (e := torch.exp(x[:, [0, 2]]))[[0, 2]] / e.sum(0),
}


@pytest.mark.parametrize("name", [*LEFT, *ROWS])
def test_means_the_same_where_the_formula_is_well(name: str) -> None:
    """At ordinary numbers the code is autograd on the user's own lines, whatever is rewritten."""
    f = LEFT[name] if name in LEFT else ROWS[name][0]
    x = torch.linspace(-1.5, 1.7, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
    y = f(x)
    upstream = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    (wanted,) = torch.autograd.grad(y, x, upstream)
    value, grads = dc.derive(f, x=x.detach()).compile()(x=x.detach(), grad_output=upstream)
    torch.testing.assert_close(value, y.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(grads["x"], wanted, rtol=1e-11, atol=1e-13)


def test_index_text_is_spelled_so_too() -> None:
    d = dc.derive("e[n] := exp(x[n]); y[n] := log(1 + e[n])", dims={"x": "N"})
    assert "softplus" in d.source() and "torch.exp" not in d.source()
    assert str(d.program.definition("y").term) == "log(e[n] + 1)", "what is printed and proved stays the user's"


# -- torch's own operators ------------------------------------------------------------
INF = math.inf
CLOSE = {torch.float32: 2e-6, torch.float64: 1e-13}
OPERATORS: dict[str, tuple[Callable[..., torch.Tensor], list[list[float]]]] = {
    "hypot": (torch.hypot, [[1e30, 1e-30, 3, 0], [1e30, 2e-30, 4, 1]]),
    "i0e": (torch.special.i0e, [[-1000, -40, 0, 0.5, 90, 1000]]),
    "softplus": (F.softplus, [[-1000, -40, 0, 19.9, 20.1, 50, 1000]]),
    "softplus, steeper": (lambda x: F.softplus(x, 2, 5), [[-1000, -3, 0, 2.4, 2.6, 1000]]),
    "logsigmoid": (F.logsigmoid, [[-1000, -40, 0, 40, 1000]]),
    "cross-entropy of logits": (
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"),
        [[1000, 1000, -1000, -1000, 1000, 0.5], [1, 0, 1, 0, 0.5, 0.3]],
    ),
    "logaddexp": (torch.logaddexp, [[1000, -1000, 3, -INF], [999, -1001, 3, 2]]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name: str) -> None:
    """torch's own kernels, forward and backward, at the ends of the range."""
    f, columns = OPERATORS[name]
    names = ["x", "t"][: len(columns)]
    example = {n: torch.tensor([0.3, 0.6], dtype=torch.float64) for n in names}
    d = dc.derive((lambda x: f(x)) if len(names) == 1 else (lambda x, t: f(x, t)), **example)
    for dtype in (torch.float32, torch.float64):
        data = {n: torch.tensor(c, dtype=dtype) for n, c in zip(names, columns)}
        leaves = [t.clone().requires_grad_() for t in data.values()]
        y = f(*leaves)
        wanted = torch.autograd.grad(y.sum(), leaves)
        value, grads = d.compile()(**data, grad_output=torch.ones_like(y))
        torch.testing.assert_close(value, y.detach(), rtol=CLOSE[dtype], atol=0)
        for n, w in zip(names, wanted):
            torch.testing.assert_close(grads[n], w, rtol=CLOSE[dtype], atol=CLOSE[dtype], msg=lambda m, n=n: f"{n}: {m}")


def test_log_ndtr_keeps_more_digits_than_torchs_own_backward() -> None:
    """torch divides a density by a distribution; at −1000 in float32 its slope is 956 for 1000."""
    x = torch.tensor([-1000.0, -40.0, 0.0, 3.0])
    _, grads = dc.derive(lambda x: torch.special.log_ndtr(x), x=torch.tensor([0.3])).compile()(x=x, grad_output=torch.ones(4))
    with mpmath.workdps(50):
        exact = [float(mpmath.npdf(v) / mpmath.ncdf(v)) for v in x.tolist()]
    torch.testing.assert_close(grads["x"], torch.tensor(exact), rtol=1e-5, atol=0)


def test_logcumsumexp_after_minus_infinity() -> None:
    """What is −inf at the start has slope 0; torch's own backward gives NaN there."""
    x = torch.tensor([-INF, -INF, 1, 2, -INF, 1000, 3], dtype=torch.float64)
    value, grads = dc.derive(lambda x: torch.logcumsumexp(x, 0), x=torch.ones(3)).compile()(x=x, grad_output=torch.ones_like(x))
    torch.testing.assert_close(value, torch.logcumsumexp(x, 0))
    first = torch.softmax(x[2:4], 0)
    wanted = torch.tensor([0, 0, 1 + 2 * float(first[0]), 2 * float(first[1]), 0, 2, 0], dtype=torch.float64)
    torch.testing.assert_close(grads["x"], wanted)


def test_saturated_cross_entropy_of_probabilities() -> None:
    """At probabilities of 0 and 1 it is the clamped function's gradient: −t/p, 0 where the logarithm is clamped."""
    p, t = torch.tensor([1.0, 1, 0, 0, 0.25]), torch.tensor([1.0, 0, 1, 0, 0.5])
    f = lambda p, t: F.binary_cross_entropy(p, t, reduction="none")  # noqa: E731
    value, grads = dc.derive(f, p=p, t=t).compile()(p=p, t=t, grad_output=torch.ones(5))
    torch.testing.assert_close(value, f(p, t))
    torch.testing.assert_close(grads["p"], torch.tensor([-1.0, 0, 0, 1, -0.5 / 0.25 + 0.5 / 0.75]))


@pytest.mark.parametrize("at", [0.0, 1.0, 16.0, 100.0])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, y, z: torch.nn.functional.pairwise_distance(x, y),
        lambda x, y, z: torch.nn.functional.triplet_margin_loss(x, y, z, reduction="none"),
        lambda x, y, z: torch.sqrt(x - y + 1e-6) + torch.sqrt(y - x + 2e-6) + z[:, :1],
    ],
    ids=["distance", "margin", "both ways"],
)
def test_what_keeps_a_difference_from_zero_is_added_to_the_difference(f: Callable[..., torch.Tensor], at: float) -> None:
    """Added to one of both it is lost: equal points would be in no direction from each other, or 0/0."""
    x = torch.full((2, 3), at)
    given = {"x": x, "y": x.clone(), "z": x + 0.01 * torch.arange(1.0, 7.0).view(2, 3)}
    d = dc.derive(f, **{n: torch.randn(2, 3) for n in given})
    leaves = [t.clone().requires_grad_() for t in given.values()]
    value = f(*leaves)
    wanted = torch.autograd.grad(value, leaves, torch.ones_like(value), allow_unused=True)
    scope: dict[str, Any] = {}
    exec(d.source(), scope)
    for run in (d.compile(), scope["forward_and_gradients"]):
        found, grads = run(**given, grad_output=torch.ones_like(value))
        torch.testing.assert_close(found, value.detach(), rtol=1e-4, atol=0)
        for g, w in zip(grads.values(), wanted, strict=True):
            torch.testing.assert_close(g, torch.zeros_like(g) if w is None else w, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_deviation_of_equal_numbers_has_no_slope(dtype: torch.dtype) -> None:
    """Their mean is rounded, and so is each number less it: torch's variance is 0 all the same."""
    d = dc.derive(lambda x: x.std(0), dims={"x": "N M"})
    x = torch.cat((torch.full((37, 3), 0.1, dtype=dtype), torch.randn(37, 2, dtype=dtype)), 1).requires_grad_()
    (wanted,) = torch.autograd.grad(x.std(0).sum(), x)
    scope: dict[str, Any] = {}
    exec(d.source(), scope)
    for run in (d.compile(), scope["forward_and_gradients"]):
        torch.testing.assert_close(run(x=x.detach(), grad_output=torch.ones(5, dtype=dtype))[1]["x"], wanted)
    torch.testing.assert_close(torch.autograd.grad(d.to_function().apply(x).sum(), x)[0], wanted)
