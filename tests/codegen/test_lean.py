"""Code that writes into its temporaries: what is read twice is there both times, and loops compute what they need alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import derivcheck as dc
from derivcheck.codegen.file.variants import lean_source
from derivcheck.layer.lean import LEAN, variant


def compositing(a: Tensor, c: Tensor) -> Tensor:
    left = torch.cumprod(1 - a, 1)
    w = a * torch.cat((torch.ones_like(a[:, :1]), left[:, :-1]), 1)
    return (w.unsqueeze(-1) * c).sum(1)


def shifted(x: Tensor) -> Tensor:
    """A part of x read at two places, as it is and multiplied."""
    y = torch.exp(x)
    return y * torch.nn.functional.pad(y[:, 1:], (1, 0)) + torch.nn.functional.pad(y[:, 1:], (1, 0)).square()


def whole_and_part(x: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.tanh(x)
    return y[:, 1:], y * y + 1


def scanned(x: Tensor) -> Tensor:
    return torch.cumprod(torch.sigmoid(x), 0) * torch.cumprod(x, 1)


def another_name(x: Tensor, y: Tensor) -> Tensor:
    """The largest of each row by a second name, which a sum alone reads; the sum comes first."""
    one = 2 * torch.exp(x.amax(1, keepdim=True))
    other = 3 * torch.exp(x.amax(1, keepdim=True))
    top = torch.log(one + other)
    p = torch.softmax(top + 0 * x, 0)
    return y + (top * 1).sum() + (p * 1).sum() + 0 * x


CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "compositing": (compositing, ((3, 5), (3, 5, 2))),
    "shifted": (shifted, ((4, 6),)),
    "a part is returned": (whole_and_part, ((4, 6),)),
    "products so far": (scanned, ((4, 3),)),
    "another name": (another_name, ((4, 6), (4, 6))),
}


def as_tuple(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rows", [1, 4])
def test_gradients_are_autograds_and_inputs_stay(name: str, rows: int) -> None:
    f, shapes = CASES[name]
    torch.manual_seed(rows)
    names = ["x0", "x1"][: len(shapes)]

    def data(n: int) -> list[Tensor]:
        return [torch.rand(n, *s[1:], dtype=torch.float64) for s in shapes]

    d = dc.derive(lambda **xs: f(*xs.values()), **dict(zip(names, data(3))))
    leaves = [x.requires_grad_() for x in data(rows)]
    outs = as_tuple(f(*leaves))
    ups = [torch.randn_like(o) for o in outs]
    wanted = [*outs, *torch.autograd.grad(outs, leaves, ups)]
    inputs = {n: x.detach() for n, x in zip(names, leaves)} | dict(zip(d.upstream, ups))
    before = {n: t.clone() for n, t in inputs.items()}
    assert variant(inputs.values()) == LEAN
    results = []
    for _ in range(2):
        value, grads = d.compile()(**inputs)
        results.append([*as_tuple(value), *(grads[n] for n in names)])
    for found in results:  # the first as well, after the second call
        for h, w in zip(found, wanted, strict=True):
            torch.testing.assert_close(h, w.detach(), rtol=1e-10, atol=1e-12)
    assert all(torch.equal(inputs[n], t) for n, t in before.items())


def test_three_dimensions_times_a_vector_beside_a_matrix_to_spare() -> None:
    """The matrix's rows do not lie one behind the other: torch cannot write such a product into it."""

    def f(a: Tensor, v: Tensor) -> Tensor:
        e = torch.exp(a.mT[:, :, None] * v)
        h = e.diagonal(0, 0, 1) / e.sum(1)
        return h * 1.3 + h.cos()

    a, v = torch.rand(3, 3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    leaves = a.clone().requires_grad_(), v.clone().requires_grad_()
    up = torch.rand(3, 3, dtype=torch.float64).mT
    wanted = torch.autograd.grad(f(*leaves), leaves, up)
    _, grads = dc.derive(f, dims={"a": "N N", "v": "N"}).compile()(a=a, v=v, grad_output=up)
    for h, w in zip(grads.values(), wanted, strict=True):
        torch.testing.assert_close(h, w, rtol=1e-10, atol=1e-12)


def test_a_product_so_far_is_torchs() -> None:
    d = dc.derive(lambda x: torch.cumprod(x, 1), x=torch.rand(3, 4))
    forward = lean_source(d.program, None)
    assert ".cumprod(" in forward and "range(" not in forward
    x = torch.tensor([[2.0, 0.0, 3.0, 0.0, 5.0]], dtype=torch.float64, requires_grad=True)
    up = torch.randn(1, 5, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(torch.cumprod(x, 1), x, up)
    torch.testing.assert_close(d.compile()(x=x.detach(), grad_output=up)[1]["x"], wanted)


def test_another_recurrence_is_no_product() -> None:
    """``p[k] = (2·[k = 0] + p[k − 1])·x[k]`` starts elsewhere, and its code is a loop."""
    text = "p[k] := (2*[k == 0] + [k - 1 >= 0]*p[k - 1])*x[k]"
    d = dc.derive(text, dims={"x": "N"})
    assert ".cumprod(" not in lean_source(d.program, None)
    x = torch.rand(4, dtype=torch.float64)
    torch.testing.assert_close(d.compile()(x=x, grad_output=torch.ones(4, dtype=torch.float64))[0], 2 * torch.cumprod(x, 0))


def lstm(x: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor) -> Tensor:
    zero = torch.zeros_like(w[:, 0])
    return torch.lstm(x, (h[None], c[None]), (w, u, zero, zero), True, 1, 0.0, False, False, False)[0]


def test_gates_of_a_known_width_lie_side_by_side() -> None:
    """The width is 8, which the shapes say: the four gates fill the weight's gradient, and no block is set in zeros."""
    torch.manual_seed(0)

    def data(t: int, n: int) -> dict[str, Tensor]:
        shapes = {"x": (t, n, 3), "h": (n, 8), "c": (n, 8), "w": (32, 3), "u": (32, 8)}
        return {k: torch.randn(s, dtype=torch.float64) for k, s in shapes.items()}

    d = dc.derive(lstm, **data(4, 3))
    if not any("== 8" in c for c in d.conditions):
        pytest.skip("the width is a symbol")
    assert all(f"{n}_bar = torch.cat((" in d.source() for n in "wu")
    xs = {n: t.requires_grad_() for n, t in data(5, 2).items()}
    up = torch.randn(5, 2, 8, dtype=torch.float64)
    _, grads = d.compile()(**{n: t.detach() for n, t in xs.items()}, grad_output=up)
    for n, w in zip(xs, torch.autograd.grad(lstm(**xs), list(xs.values()), up), strict=True):
        torch.testing.assert_close(grads[n], w)
    with pytest.raises(ValueError, match="expected"):
        d.compile()(**{n: torch.cat((t, t), -1).detach() for n, t in xs.items()}, grad_output=up)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT, -1) @ v


def test_the_row_sum_of_attention_runs_over_the_columns_of_the_result() -> None:
    d = dc.derive(attention, dims={"q": "N T d", "k": "N S d", "v": "N S e"})
    assert "= grad_output * value" in lean_source(d.program, d.adjoint, d.wrt)
    assert "y_bar = p * (p_bar - (p_bar * p).sum(-1, keepdim=True))" in d.source()  # as people know it


@pytest.mark.parametrize("sizes", [(2, 5, 4, 3), (1, 1, 1, 1), (2, 3, 6, 2)])
def test_what_a_function_gave_may_be_written_into(sizes: tuple[int, ...]) -> None:
    """As autograd's product allows it: the backward reads no result of the forward that the caller has."""
    n, t, s, e = sizes
    torch.manual_seed(0)
    xs = [torch.randn(n, *z, dtype=torch.float64, requires_grad=True) for z in ((t, 3), (s, 3), (s, e))]
    layer: Any = dc.derive(attention, dims={"q": "N T d", "k": "N S d", "v": "N S e"}).to_function()
    up = torch.randn(n, t, e, dtype=torch.float64)
    found = torch.autograd.grad(layer.apply(*xs).mul_(2).add_(1), xs, up)
    for h, w in zip(found, torch.autograd.grad(attention(*xs).mul_(2).add_(1), xs, up), strict=True):
        torch.testing.assert_close(h, w)


def gated(length: int) -> dict[str, Tensor]:
    torch.manual_seed(length)
    return {"x": torch.randn(length, 3, dtype=torch.float64), "h": torch.randn(3, dtype=torch.float64)}


def run_over(x: Tensor, h: Tensor) -> Tensor:
    """What the texts of recurrences below compute."""
    steps = []
    for row in x:
        h = torch.sigmoid(row) * h + torch.tanh(row)
        steps.append(h)
    return torch.stack(steps) if steps else x * 1


GATED = """
f[t, n] := sigmoid(x[t, n])
s[t, n] := f[t, n]*([t == 0]*h[n] + [t > 0]*s[t - 1, n]) + tanh(x[t, n])
"""


@pytest.mark.parametrize("length", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "text", [GATED, GATED.replace("[t, n]", "[n, t]").replace("x[n, t]", "x[t, n]").replace("[t - 1, n]", "[n, t - 1]")]
)
def test_steps_are_written_into_one_tensor(text: str, length: int) -> None:
    """Of any length, along any dimension."""
    d = dc.derive(text, dims={"x": "T N", "h": "N"})
    assert "torch.stack" not in lean_source(d.program, d.adjoint)
    xs = {n: t.requires_grad_() for n, t in gated(length).items()}
    want = run_over(**xs)
    turned = (lambda t: t.mT) if "s[n, t]" in text else (lambda t: t)
    up = torch.randn(turned(want).shape, dtype=torch.float64)
    value, grads = d.compile()(**{n: t.detach() for n, t in xs.items()}, grad_output=up)
    torch.testing.assert_close(value, turned(want).detach())
    wanted = torch.autograd.grad(turned(want), list(xs.values()), up, allow_unused=True)
    for have, g, t in zip(grads.values(), wanted, xs.values(), strict=True):
        torch.testing.assert_close(have, torch.zeros_like(t) if g is None else g)


@pytest.mark.parametrize("length", [0, 1, 4])
@pytest.mark.parametrize("place", [0, 2])
def test_a_place_that_may_not_be_there_is_a_slice(length: int, place: int) -> None:
    d = dc.derive(f"s[n] := sum(t, m: [t == {place}]*x[t, n]*y[t, n]*w[m, n])", dims={"x": "T N", "y": "T N", "w": "M N"})
    assert "arange" not in (text := lean_source(d.program, None)) and "torch.where" not in text
    x, y = (torch.randn(length, 3, dtype=torch.float64) for _ in range(2))
    w = torch.randn(4, 3, dtype=torch.float64)
    value, _ = d.compile()(x=x, y=y, w=w, grad_output=torch.ones(3, dtype=torch.float64))
    there = slice(place, place + 1)
    torch.testing.assert_close(value, (x[there] * y[there]).sum(0) * w.sum(0))


@pytest.mark.parametrize(("f", "to_two"), [(lambda x: (-x * x / 2).exp(), True), (lambda x: (-x).exp(), False)])
def test_exponentials_of_what_is_scaled_anyway_are_to_the_base_two(f: Callable[[Tensor], Tensor], to_two: bool) -> None:
    """As near the true values as torch's, in the type at hand; an exponent that is exact keeps its base."""
    d = dc.derive(f, x=torch.randn(4, 6))
    assert ("exp2_()" in lean_source(d.program, d.adjoint, d.wrt)) == to_two
    assert "exp2" not in d.source()
    x = torch.linspace(-6, 6, 2000).reshape(2, 1000)
    value, grads = d.compile()(x=x, grad_output=torch.ones_like(x))
    wide = x.double().requires_grad_()
    true = f(wide)
    (slope,) = torch.autograd.grad(true.sum(), wide)
    torch.testing.assert_close(value.double(), true.detach(), rtol=2e-6, atol=0)
    torch.testing.assert_close(grads["x"].double(), slope, rtol=2e-6, atol=0)


def test_a_sum_is_one_of_sums_that_are_there() -> None:
    """Group norm's bias gradient sums over images and places what is summed over places, in groups, already."""
    d = dc.derive(lambda x, w, b: torch.group_norm(x, 2, w, b), x=torch.randn(3, 6, 5), w=torch.randn(6), b=torch.randn(6))
    assert "grad_output.sum" not in lean_source(d.program, d.adjoint, d.wrt)
    assert "= grad_output.sum((0, 2))" in d.source()
    x, w, b = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 6, 7), (6,), (6,)))
    value = torch.group_norm(x, 2, w, b)
    up = torch.randn_like(value)
    _, grads = d.compile()(x=x.detach(), w=w.detach(), b=b.detach(), grad_output=up)
    for found, want in zip(grads.values(), torch.autograd.grad(value, (x, w, b), up), strict=True):
        torch.testing.assert_close(found, want)


def gates(x: Tensor, h: Tensor, w: Tensor, u: Tensor) -> Tensor:
    states = [h]
    for t in range(3):
        states.append(torch.tanh(x[t] @ w + states[-1] @ u))
    return torch.softmax(torch.stack(states), -1)


@pytest.mark.parametrize(
    "f, shapes",
    [
        (lambda x: torch.nn.functional.gelu(x), ((4, 6),)),
        (lambda x, w, b: torch.group_norm(x, 2, w, b), ((3, 6, 5), (6,), (6,))),
        (gates, ((3, 2, 4), (2, 5), (4, 5), (5, 5))),
        (lambda x: torch.logsumexp(2 * x, -1) * torch.exp(-(x**2)).sum(-1), ((4, 6),)),
        *CASES.values(),
    ],
)
def test_both_texts_are_the_same_whichever_is_written_first(f: Callable[..., Any], shapes: tuple[tuple[int, ...], ...]) -> None:
    """What is lowered for one of them serves the other as far as both compute alike, and no further."""
    one, two = (dc.derive(f, *map(torch.randn, shapes)) for _ in range(2))
    shown = one.source()
    assert "exp2" not in shown
    lean = [lean_source(one.program, one.adjoint, one.wrt, banded=b) for b in (False, True)]
    assert [lean_source(two.program, two.adjoint, two.wrt, banded=b) for b in (True, False)] == lean[::-1]
    assert two.source() == shown


@pytest.mark.parametrize("sizes", [(0, 3, 2), (1, 1, 1), (4, 3, 2)])
def test_products_of_rows_are_added_where_the_first_lies(sizes: tuple[int, int, int]) -> None:
    """Of x with three matrices: the second and third product make no tensor of their own."""

    def f(x: Tensor, u: Tensor, v: Tensor, w: Tensor) -> Tensor:
        return torch.tanh(x @ u) * torch.sigmoid(x @ v) + torch.sin(x @ w)

    d = dc.derive(f, dims={"x": "T N i", "u": "i o", "v": "i o", "w": "i o"})
    assert lean_source(d.program, d.adjoint, d.wrt).count(".addmm_(") == 2
    torch.manual_seed(0)
    t, n, i = sizes
    shapes = ((t, n, i), (i, 5), (i, 5), (i, 5))
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    turned = [torch.randn(s[::-1], dtype=torch.float64).permute(*reversed(range(len(s)))).requires_grad_() for s in shapes]
    for xs in (leaves, turned):
        want = f(*xs)
        up = torch.randn_like(want)
        value, grads = d.compile()(**dict(zip("xuvw", [x.detach() for x in xs])), grad_output=up)
        torch.testing.assert_close(value, want.detach())
        for have, g in zip(grads.values(), torch.autograd.grad(want, xs, up), strict=True):
            torch.testing.assert_close(have, g)


@pytest.mark.parametrize("length", [0, 1, 4])
@pytest.mark.parametrize("first", ["h[n]", "2"])
def test_what_stands_in_front_is_joined(length: int, first: str) -> None:
    text = f"s[n, t] := x[n, t]*([t == 0]*{first} + [t > 0]*y[n, t - 1])"
    d = (
        dc.derive(text, dims={"x": "N T", "y": "N T", "h": "N"})
        if "h" in first
        else dc.derive(text, dims={"x": "N T", "y": "N T"})
    )
    assert "_moved(" in (lean := lean_source(d.program, d.adjoint)) and "torch.where" not in lean
    assert "_moved(" not in d.source()
    torch.manual_seed(0)
    xs = {n: torch.randn(3, length, dtype=torch.float64, requires_grad=True) for n in "xy"}
    h = torch.randn(3, dtype=torch.float64, requires_grad=True)
    front = h[:, None] if "h" in first else torch.full((3, 1), 2.0, dtype=torch.float64)
    want = xs["x"] * torch.cat((front, xs["y"][:, :-1]), 1)[:, :length]
    xs |= {"h": h} if "h" in first else {}
    up = torch.randn_like(want)
    value, grads = d.compile()(**{n: t.detach() for n, t in xs.items()}, grad_output=up)
    torch.testing.assert_close(value, want.detach())
    for have, g, t in zip(
        grads.values(), torch.autograd.grad(want, list(xs.values()), up, allow_unused=True), xs.values(), strict=True
    ):
        torch.testing.assert_close(have, torch.zeros_like(t) if g is None else g)


def test_what_runs_along_the_places_is_chosen() -> None:
    """A front that is another one at each place is no first place that others are put behind."""
    d = dc.derive("s[n, t] := [t == 0]*h[n, t] + [t > 0]*y[n, t - 1]", dims={"y": "N T", "h": "N T"})
    assert "_moved(" not in lean_source(d.program, d.adjoint)
    y, h, up = (torch.randn(3, 4) for _ in range(3))
    value, grads = d.compile()(y=y, h=h, grad_output=up)
    torch.testing.assert_close(value, torch.cat((h[:, :1], y[:, :-1]), 1))
    torch.testing.assert_close(grads["h"], torch.cat((up[:, :1], torch.zeros(3, 3)), 1))


def test_short_rows_may_be_summed_by_a_product() -> None:
    """Where they are, or may be, short; people read a sum."""
    for dims, may in (("N M", True), ("N 16", True), ("N 17", False)):
        d = dc.derive("s[n] := sum(m: x[n, m])", dims={"x": dims})
        assert ("_row_sums(" in lean_source(d.program, d.adjoint)) is may
        assert "_row_sums(" not in d.source()
        x = torch.randn(4096, 16 if "M" in dims else int(dims.split()[1]), dtype=torch.float64)
        torch.testing.assert_close(d.compile()(x=x, grad_output=torch.ones(4096, dtype=torch.float64))[0], x.sum(1))


@pytest.mark.parametrize("sizes", [(0, 5), (1, 1), (4, 7)])
def test_a_sum_is_computed_where_a_tensor_is_that_nobody_reads_again(sizes: tuple[int, int]) -> None:
    """The deviations of a norm hold its gradient in the end, whose addends come in another order for that; before, they hold
    what a sum of products with them adds up, and are computed again."""
    d = dc.derive(lambda x, w, b: torch.group_norm(x, 2, w, b), x=torch.randn(3, 6, 5), w=torch.randn(6), b=torch.randn(6))
    lean = lean_source(d.program, d.adjoint, d.wrt)
    (product,) = re.findall(r"(\w+) = made\.mul_\(", lean)
    (second,) = re.findall(rf"(\w+) = torch\.sub\(.*, out={product}\)", lean)
    assert f" = {second}.mul_(" in lean
    shapes = ((sizes[0], 6, sizes[1]), (6,), (6,))
    xs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    want = torch.group_norm(xs[0], 2, xs[1], xs[2])
    up = torch.randn_like(want)
    value, grads = d.compile()(**dict(zip("xwb", [x.detach() for x in xs])), grad_output=up)
    torch.testing.assert_close(value, want.detach())
    for have, g in zip(grads.values(), torch.autograd.grad(want, xs, up), strict=True):
        torch.testing.assert_close(have, g)


def test_a_view_of_an_argument_is_taken_once() -> None:
    d = dc.derive(lambda x, w, b: torch.group_norm(x, 2, w, b), x=torch.randn(3, 6, 5), w=torch.randn(6), b=torch.randn(6))
    assert lean_source(d.program, d.adjoint, d.wrt).count("grad_output.view(") == 1


def test_a_negative_product_of_sizes_divides_as_a_whole() -> None:
    """``x / (-M * N)``, not ``x / -M * N``."""
    d = dc.derive("y[n, m] := -x[n, m]*z[n, m]/(N*M)", dims={"x": "N M", "z": "N M"})
    x, z = torch.rand(3, 5, dtype=torch.float64), torch.rand(3, 5, dtype=torch.float64)
    value, grads = d.compile()(x=x, z=z, grad_output=torch.ones_like(x))
    torch.testing.assert_close(value, -x * z / 15)
    torch.testing.assert_close(grads["x"], -z / 15)
    norm = dc.derive(
        lambda x, w, b: torch.nn.functional.batch_norm(x, None, None, w, b, True), dims={"x": "N C L", "w": "C", "b": "C"}
    )
    xs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((5, 3, 2), (3,), (3,))]
    want = torch.nn.functional.batch_norm(xs[0], None, None, xs[1], xs[2], True)
    up = torch.randn_like(want)
    _, grads = norm.compile()(**dict(zip("xwb", [t.detach() for t in xs])), grad_output=up)
    for have, g in zip(grads.values(), torch.autograd.grad(want, xs, up), strict=True):
        torch.testing.assert_close(have, g)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softmax_takes_its_row_sum_from_the_product_that_is_there(dtype: torch.dtype) -> None:
    """In one pass, and as near the true gradient as torch's own is: within the rounding of its row sum."""
    d = dc.derive(lambda x: torch.softmax(x, -1), x=torch.randn(4, 6))
    assert ".addcmul_(made_1, value, value=-1)" in lean_source(d.program, d.adjoint, d.wrt)
    assert "value * (grad_output - " in d.source(), "people read the factor in front"
    run, eps = d.compile(), torch.finfo(dtype).eps
    least = torch.finfo(dtype).smallest_normal * eps
    for scale, spread, offset in ((1, 1, 0), (10, 1, 0), (1, 0.01, 1), (1, 0, 1), (1, 1, 1000), (100, 1, 0)):
        x, g = scale * torch.randn(40, 300, dtype=dtype), spread * torch.randn(40, 300, dtype=dtype) + offset
        value, grads = run(x=x, grad_output=g)
        p, up = value.double(), g.double()
        size = p * (up.abs() + (up * p).abs().sum(-1, keepdim=True))
        true = p * (up - (up * p).sum(-1, keepdim=True))
        assert ((grads["x"].double() - true).abs() <= 6 * eps * size + 4 * least).all()
    nan = run(x=torch.tensor([[0.0, float("nan")], [1.0, 2.0]]), grad_output=torch.ones(2, 2))[1]["x"]
    assert nan[0].isnan().all() and nan[1].abs().max() < 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_normal_distributions_share_is_right_everywhere(dtype: torch.dtype) -> None:
    """By torch's kernel of GELU over what it is of: also at 0, at what is nearly 0, at what is not finite, and in strides."""
    d = dc.derive(lambda x: x * 0.5 * (1 + torch.erf(x * 0.5)) + torch.nn.functional.gelu(x), x=torch.randn(4, 6))
    text = lean_source(d.program, d.adjoint, d.wrt)
    assert "_normal_share(" in text and "_normal_share" not in d.source()
    edges = [0.0, -0.0, 2.0**-60, -(2.0**-60), 1e-30, -1e-38, 1e-45, -5e-324, 1e-3, -3.0, 9.0, -12.0, 60.0, -1e4, 1e30]
    run, eps = d.compile(), torch.finfo(dtype).eps
    for x in (
        torch.randn(300, 40, dtype=torch.float64),
        torch.tensor([edges, edges[::-1]], dtype=torch.float64),
        torch.zeros(3, 4, dtype=torch.float64),
        torch.zeros(0, 4, dtype=torch.float64),
        torch.tensor([[float("nan"), 1.0], [2.0, -3.0]], dtype=torch.float64),
    ):
        mine = x.to(dtype)
        wide = mine.double().requires_grad_()
        true = wide * 0.5 * (1 + torch.erf(wide * 0.5)) + torch.nn.functional.gelu(wide)
        (slope,) = torch.autograd.grad(true.sum(), wide)
        for given in (mine, mine.mT.contiguous().mT):
            found = run(x=given, grad_output=torch.ones_like(given))[1]["x"]
            torch.testing.assert_close(found.double(), slope, rtol=4 * eps, atol=8 * eps, equal_nan=True)


def test_the_normal_distributions_share_where_an_input_is_infinite() -> None:
    """The slope of a mean of shares is finite there, and 0."""
    d = dc.derive(lambda x, y: y * (0.5 + 0.5 * torch.erf(x)), x=torch.randn(2, 3), y=torch.randn(2, 3))
    x = torch.tensor([[float("inf"), -float("inf"), 0.0]])
    value, grads = d.compile()(x=x, y=torch.ones_like(x), grad_output=torch.ones_like(x))
    assert value.tolist() == grads["y"].tolist() == [[1.0, 0.0, 0.5]]


@pytest.mark.parametrize("count", [1, 8, 100])
def test_the_normal_distributions_share_where_twice_an_input_is_infinite(count: int) -> None:
    """torch's kernel of GELU is infinite there, the slope is 1 or 0."""
    run = dc.derive(torch.nn.functional.gelu, dims={"input": "N M"}).compile()
    x = torch.full((2, count), 3e38) * torch.tensor([[1.0], [-1.0]])
    assert torch.equal(run(input=x, grad_output=torch.ones_like(x))[1]["input"], torch.where(x > 0, 1.0, 0.0))


def test_an_error_function_alone_keeps_its_digits_near_zero() -> None:
    d = dc.derive("y[n, m] := erf(x[n, m])/2 + x[n, m]/4; z[n, m] := erf(x[n, m])/2 + 3", dims={"x": "N M"})
    assert "_normal_share" not in lean_source(d.program, d.adjoint, d.wrt)
    for x in (torch.full((2, 3), 1e-20), torch.randn(2, 3)):
        (y, z), grads = d.compile()(x=x, grad_output_0=x, grad_output_1=x)
        torch.testing.assert_close(y, torch.erf(x) / 2 + x / 4, rtol=1e-6, atol=0)
        torch.testing.assert_close(z, torch.erf(x) / 2 + 3)
        torch.testing.assert_close(grads["x"], x * (0.25 + 2 * torch.exp(-x * x) / torch.pi**0.5), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [2, 3])
def test_a_condition_on_sizes_is_a_number(rows: int) -> None:
    """``torch.add(x, z, alpha=N >= 3)`` is refused: a bool is no number to it."""
    d = dc.derive("y[n, m] := exp(x[n, m]) + [N - 3 >= 0]*sin(z[n, m])", dims={"x": "N M", "z": "N M"})
    assert "alpha=+(" in lean_source(d.program, d.adjoint)
    x, z, up = (torch.randn(rows, 2, dtype=torch.float64) for _ in range(3))
    value, grads = d.compile()(x=x, z=z, grad_output=up)
    torch.testing.assert_close(value, x.exp() + (rows >= 3) * z.sin())
    torch.testing.assert_close(grads["z"], (rows >= 3) * z.cos() * up)


@pytest.mark.parametrize(
    ("text", "direct"),
    [
        ("y[n, m] := exp(x[n, m]) - [N - 3 >= 0]", lambda x, c: x.exp() - c),
        ("y[n, m] := x[n, m]*([N - 3 >= 0] - sin(x[n, m]))", lambda x, c: x * (c - x.sin())),
        ("y[n, m] := x[n, m]*(exp(x[n, m]) - [N - 3 >= 0]*[M - 2 >= 0] + x[n, m]^2)", lambda x, c: x * (x.exp() - c + x**2)),
    ],
)
@pytest.mark.parametrize("rows", [2, 3])
def test_a_condition_on_sizes_is_subtracted(text: str, direct: Callable[[Tensor, int], Tensor], rows: int) -> None:
    """``x - (N >= 3)`` is refused by torch, too."""
    d = dc.derive(text, dims={"x": "N M"})
    x = torch.randn(rows, 2, dtype=torch.float64, requires_grad=True)
    wanted = direct(x, int(rows >= 3))
    (slope,) = torch.autograd.grad(wanted.sum(), x)
    value, grads = d.compile()(x=x.detach(), grad_output=torch.ones_like(wanted))
    torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(grads["x"], slope)
    torch.testing.assert_close(torch.autograd.grad(d.to_function().apply(x).sum(), x), (slope,))


@pytest.mark.parametrize("affine", [True, False])
def test_groups_are_scaled_by_what_lies_in_strides(affine: bool) -> None:
    """torch's own call reads a weight and a bias as if they were contiguous, whatever their strides."""
    wide, x = torch.randn(2, 6, 2, dtype=torch.float64), torch.randn(3, 6, 5, dtype=torch.float64)
    given = {"w": wide[0, :, 1], "b": wide[1, :, 0]} if affine else {}

    def f(x: Tensor, w: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        return torch.nn.functional.group_norm(x, 2, w, b)

    d = dc.derive(f, x=x, **given)
    assert "native_group_norm" in lean_source(d.program, d.adjoint, d.wrt)
    for strided in (given, {n: t[:1].expand(6) for n, t in given.items()}):
        leaves = {n: t.detach().requires_grad_() for n, t in {"x": x.mT.contiguous().mT, **strided}.items()}
        wanted = f(**leaves)
        found = d.to_function().apply(*leaves.values()), d.compile()(x=x, **strided, grad_output=x)[0]
        for value in found:
            torch.testing.assert_close(value, wanted)
        ours, theirs = (torch.autograd.grad(v, list(leaves.values()), x) for v in (found[0], wanted))
        torch.testing.assert_close(ours, theirs)
