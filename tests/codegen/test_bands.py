"""Large tensors in bands of rows: the same values and gradients, nothing of the caller's changed, nothing large between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import derivcheck as dc
from derivcheck.codegen.file.bands import banded
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.variants import lean_source
from derivcheck.layer import lean
from tests.codegen.grown import Largest

Case = tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v)


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w, b)


def residual(x: Tensor) -> Tensor:
    return (x + F.gelu(x)).sum(-1, keepdim=True) * x


def two(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    e = (x * y).exp()
    return e, e * torch.tanh(x) + y


def columns(x: Tensor, y: Tensor) -> Tensor:
    return ((x - x.mean(0)) * torch.sigmoid(y)).square().sum(0)


def turned(x: Tensor, y: Tensor) -> Tensor:
    return (x.mT.exp() * y).mT * x


def rows_after_columns(x: Tensor, v: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """What bands of columns put together within a band of rows is then read by the rows."""
    h = x + v.unsqueeze(-1)
    return h.logsumexp(1), torch.where(y > x, torch.sqrt(y**2 + 1), x).unsqueeze(1), x.square().sum(0)


def columns_within_rows(x: Tensor, y: Tensor, u: Tensor) -> tuple[Tensor, ...]:
    h = torch.tanh(y @ u) @ u.mT
    return h @ F.silu(x).mT, (y * h).sum(1), h @ u


def read_both_ways(x: Tensor) -> Tensor:
    """The probabilities by their rows and by their columns, in one loop of the backward."""
    h = x.cumsum(0)
    return torch.softmax(h @ x.mT / 2, -1) @ h


CASES: dict[str, Case] = {
    "layer norm": (layer_norm, ((9, 5), (5,), (5,))),
    "batch norm": (lambda x, w: F.batch_norm(x, None, None, w, training=True), ((4, 5, 2, 3), (5,))),
    "gelu": (F.gelu, ((9, 5),)),
    "softmax": (lambda x: torch.softmax(x, -1) * torch.log_softmax(x, -1), ((9, 5),)),
    "softmax alone": (lambda x: torch.softmax(x, -1), ((9, 5),)),
    "softmax twice": (lambda x: torch.softmax(torch.softmax(x, -1) * x, -1) - x.sum(-1, keepdim=True), ((9, 5),)),
    "attention": (attention, ((2, 3, 7, 4), (2, 3, 5, 4), (2, 3, 5, 6))),
    "one head": (attention, ((7, 4), (5, 4), (5, 6))),
    "residual": (residual, ((9, 5),)),
    "two outputs": (two, ((9, 5), (9, 5))),
    "two names of one thing": (lambda x: (x.exp() * x, x.exp() * x), ((9, 5),)),
    "sums over rows": (columns, ((9, 5), (9, 5))),
    "turned": (turned, ((9, 5), (5, 9))),
    "broadcast": (lambda x, y: torch.tanh(x * y) + y, ((9, 1), (1, 5))),
    "read both ways": (read_both_ways, ((4, 9, 5),)),
    "rows after columns": (rows_after_columns, ((9, 5), (9,), (9, 5))),
    "columns within rows": (columns_within_rows, ((9, 5), (9, 5), (5, 3))),
    "network": (lambda x, w, u: torch.tanh(torch.relu(x @ w) @ u), ((9, 4), (4, 6), (6, 3))),
}


@pytest.fixture(autouse=True)
def _small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banded, "NUMBERS", 5)
    monkeypatch.setattr(banded, "COLUMNS", 1)
    monkeypatch.setattr(lean, "LARGE", 1)


def as_tuple(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


def given(shapes: tuple[tuple[int, ...], ...], n: int) -> list[Tensor]:
    torch.manual_seed(n)
    return [torch.randn(s, dtype=torch.float64) for s in shapes]


def derived(name: str) -> tuple[dc.Derivation, Callable[..., Any], list[str]]:
    f, shapes = CASES[name]
    names = ["x0", "x1", "x2"][: len(shapes)]
    d = dc.derive(lambda **xs: f(*xs.values()), **dict(zip(names, given(shapes, 0))))
    return d, f, names


def layouts(t: Tensor) -> Iterator[Tensor]:
    yield t.clone()
    if t.ndim > 1:
        yield t.mT.contiguous().mT
    yield t.flatten()[:1].expand(t.numel()).reshape(t.shape) if t.numel() else t
    yield t[..., :1].expand_as(t) if t.ndim and t.shape[-1] else t


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("function", [False, True])
def test_gradients_are_autograds_and_inputs_stay(name: str, function: bool) -> None:
    d, f, names = derived(name)
    layer, run = d.to_function(), d.compile()
    xs = given(CASES[name][1], 1)
    ups = [torch.randn_like(o) for o in as_tuple(f(*xs))]
    for k in range(4):
        mine = [list(layouts(x))[k % len(list(layouts(x)))] for x in xs]
        mine_up = [list(layouts(u))[k % len(list(layouts(u)))] for u in ups]
        before = [t.clone() for t in (*mine, *mine_up)]
        leaves = [x.clone().requires_grad_() for x in xs] if k == 0 else [x.detach().clone().requires_grad_() for x in mine]
        outs = as_tuple(f(*leaves))
        wanted = [*outs, *torch.autograd.grad(outs, leaves, mine_up)]
        for _ in range(2):  # twice: nothing of the first call is written into by the second
            if function:
                own = [x.detach().requires_grad_() for x in mine]
                values = as_tuple(layer.apply(*own))
                found = [*values, *torch.autograd.grad(values, own, mine_up)]
            else:
                value, grads = run(**dict(zip(names, mine)), **dict(zip(d.upstream, mine_up)))
                found = [*as_tuple(value), *(grads[n] for n in names)]
            for h, w in zip(found, wanted, strict=True):
                torch.testing.assert_close(h, w.detach(), rtol=1e-9, atol=1e-10)
            assert all(torch.equal(t, b) for t, b in zip((*mine, *mine_up), before, strict=True)), "an input was written into"


@pytest.mark.parametrize("name", sorted(set(CASES) - {"turned", "broadcast"}))
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_and_none(name: str, rows: int) -> None:
    """Also of sizes of 1, which broadcast where they meet others, and of no rows at all."""
    d, f, names = derived(name)
    first = CASES[name][1][0][-2 if "attention" in name or name == "one head" else 0]
    xs = given(tuple(tuple(rows if s == first else s for s in shape) for shape in CASES[name][1]), 2)
    inputs = dict(zip(names, xs)) | {u: torch.randn_like(o) for u, o in zip(d.upstream, as_tuple(f(*xs)), strict=True)}
    value, grads = d.compile()(**inputs)
    plain, wanted = load(d.source())(**inputs)
    found = zip((*as_tuple(value), *grads.values()), (*as_tuple(plain), *wanted.values()), strict=True)
    for h, w in found:
        torch.testing.assert_close(h, w, rtol=1e-9, atol=1e-10, equal_nan=True)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"network", "sums over rows"}))
def test_there_is_a_loop(name: str) -> None:
    d, _, _ = derived(name)
    assert "for start in range(" in lean_source(d.program, d.adjoint, d.wrt, banded=True)


def test_a_product_with_oneself_has_no_bands() -> None:
    """A band of ``x @ x.T`` along both dimensions would need the whole of x, and of the other dimension there is no sum."""
    d = dc.derive(lambda x: torch.tanh(x @ x.mT).cumsum(0).cumsum(1), x=torch.randn(5, 3))
    text = lean_source(d.program, d.adjoint, d.wrt, banded=True)
    assert "for start in range(" not in text
    x, up = torch.randn(7, 3, dtype=torch.float64, requires_grad=True), torch.randn(7, 7, dtype=torch.float64)
    (wanted,) = torch.autograd.grad(torch.tanh(x @ x.mT).cumsum(0).cumsum(1), x, up)
    torch.testing.assert_close(d.compile()(x=x.detach(), grad_output=up)[1]["x"], wanted)


class Made(TorchDispatchMode):
    """The memory of all that is at least as large."""

    def __init__(self, least: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.least, self.seen = least, set[int]()

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = f(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.untyped_storage().nbytes() >= self.least:
                self.seen.add(t.untyped_storage().data_ptr())
        return out


@pytest.mark.parametrize("name", ["layer norm", "batch norm", "gelu", "softmax", "softmax alone"])
def test_what_is_between_stays_small(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tensor between is as large as the input: the large ones are the value and the gradient, once each."""
    monkeypatch.setattr(banded, "NUMBERS", 200)
    d, f, names = derived(name)
    xs = given(tuple(tuple({9: 60, 5: 40}.get(s, s) for s in shape) for shape in CASES[name][1]), 3)
    up = torch.randn_like(as_tuple(f(*xs))[0])
    with Made(xs[0].nbytes) as made:
        result = d.compile()(**dict(zip(names, xs)), **{d.upstream[0]: up})
    assert result and len(made.seen - {t.untyped_storage().data_ptr() for t in (*xs, up)}) == 2


@pytest.mark.parametrize("layer", [False, True])
def test_many_pairs_of_few_places_go_in_bands(layer: bool) -> None:
    """Attention over 1,024 places of 8 numbers: its inputs are small, a tensor of all pairs is not."""
    d = dc.derive(F.scaled_dot_product_attention, **{n: torch.randn(2, 3, 5, 4) for n in ("query", "key", "value")})
    given = [torch.randn(1, 1, 1024, 8, requires_grad=True) for _ in range(3)]
    up = torch.randn(1, 1, 1024, 8)
    wanted = torch.autograd.grad(F.scaled_dot_product_attention(*given), given, up)
    run = d.compile()
    with Largest() as seen:
        if layer:
            found = torch.autograd.grad(d.to_function().apply(*given), given, up)
        else:
            names = ("query", "key", "value")
            found = tuple(run(**{n: t.detach() for n, t in zip(names, given)}, grad_output=up)[1].values())
    assert seen.bytes < 4 * 1024 * 1024 / 4
    for have, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-3, atol=1e-5)


def test_bands_of_columns_are_not_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tensor of many rows a band of a single column, a number here and one far away, would take a processor long."""
    monkeypatch.undo()
    d = dc.derive(lambda x, w: F.batch_norm(x, None, None, w, training=True), dims={"x": "N C", "w": "C"})
    assert "max(32, " in lean_source(d.program, d.adjoint, d.wrt, banded=True)
    x, w, up = torch.randn(4096, 80), torch.randn(80), torch.randn(4096, 80)
    leaves = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    want = torch.autograd.grad(F.batch_norm(leaves[0], None, None, leaves[1], training=True), leaves, up)
    _, grads = d.compile()(x=x, w=w, grad_output=up)
    for have, g in zip(grads.values(), want, strict=True):
        torch.testing.assert_close(have, g, rtol=1e-3, atol=2e-3)
