"""A derivation as an autograd.Function: in a network, for double backward, under torch.compile."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.autograd.graph import save_on_cpu
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import derivcheck as dc
from benchmarks.memory import Memory
from derivcheck.codegen.file.load import load
from derivcheck.codegen.file.variants import pairs_held
from derivcheck.layer.compiled import fuse


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return torch.softmax(q @ k.mT, -1) @ v


@pytest.fixture(scope="module")
def layer() -> type[torch.autograd.Function]:
    return dc.derive(attention, dims={"q": "N T d", "k": "N S d", "v": "N S e"}).to_function()


def tensors() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, *s, dtype=torch.float64, requires_grad=True) for s in ((5, 3), (4, 3), (4, 7))]


def test_value_and_gradients_are_autograds(layer: type[torch.autograd.Function]) -> None:
    xs = tensors()
    up = torch.randn(2, 5, 7, dtype=torch.float64)
    have = torch.autograd.grad(layer.apply(*xs), xs, up)
    want = torch.autograd.grad(attention(*xs), xs, up)
    for h, w in zip(have, want, strict=True):
        torch.testing.assert_close(h, w, rtol=1e-12, atol=1e-13)


def test_double_backward(layer: type[torch.autograd.Function]) -> None:
    assert torch.autograd.gradgradcheck(layer.apply, tensors())


NORMS: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "layer norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), ((3, 4), (4,), (4,))),
    "group norm": (lambda x, w: F.group_norm(x, 2, w), ((3, 4, 2), (4,))),
    "batch norm": (lambda x, w: F.batch_norm(x, None, None, w, training=True), ((5, 4), (4,))),
}


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("way", ["layer", "compiled", "source"])
def test_what_torch_records_no_gradient_of_is_not_read_where_all_is_recorded(name: str, way: str) -> None:
    """Torch's call returns the moments beside the normalised value, and they lead nowhere."""
    f, shapes = NORMS[name]
    torch.manual_seed(0)
    xs = {f"x{k}": torch.randn(*s, dtype=torch.float64, requires_grad=True) for k, s in enumerate(shapes)}
    d = dc.derive(lambda **given: f(*given.values()), **{n: x.detach() for n, x in xs.items()})
    up = torch.randn(shapes[0], dtype=torch.float64)

    def second(grads: Any) -> Any:
        return torch.autograd.grad(sum(g.square().sum() for g in grads), xs["x0"])[0]

    if way == "layer":
        found = torch.autograd.grad(d.to_function().apply(*xs.values()), list(xs.values()), up, create_graph=True)
    else:
        run = d.compile() if way == "compiled" else load(d.source())
        found = run(**xs, grad_output=up)[1].values()
    wanted = torch.autograd.grad(f(*xs.values()), list(xs.values()), up, create_graph=True)
    torch.testing.assert_close(second(found), second(wanted))


@pytest.mark.parametrize("needed", [(True, False, False), (False, True, True), (False, False, True)])
def test_only_what_is_asked_for(layer: type[torch.autograd.Function], needed: tuple[bool, ...]) -> None:
    xs = [x.detach().requires_grad_(n) for x, n in zip(tensors(), needed, strict=True)]
    layer.apply(*xs).sum().backward()
    assert [x.grad is not None for x in xs] == list(needed)


def test_a_module_with_its_loss_trains_as_torch_does() -> None:
    torch.manual_seed(1)
    module, loss = nn.Linear(3, 2).double(), nn.MSELoss()
    Layer = dc.derive(module, loss=loss).to_function()
    x, y = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    Layer.apply(x, module.weight, module.bias, y).backward()
    have = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    loss(module(x), y).backward()
    for h, p in zip(have, module.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(h, p.grad, rtol=1e-13, atol=1e-15)


def test_the_number_of_inputs_is_checked(layer: type[torch.autograd.Function]) -> None:
    with pytest.raises(TypeError, match=r"takes 3 inputs \(q, k, v\); found 2"):
        layer.apply(*tensors()[:2])


@pytest.mark.parametrize("called_before", [False, True])
def test_under_torch_compile(called_before: bool) -> None:
    """In one graph, in which nothing is derived or written anew."""
    factor = 2 + called_before  # no other test has derived and written these

    def scaled(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return attention(q, k, v) * factor

    xs, layer = tensors(), dc.derive(scaled, dims={"q": "N T d", "k": "N S d", "v": "N S e"}).to_function()

    def step(*args: torch.Tensor) -> torch.Tensor:
        return layer.apply(*args).square().sum()

    if called_before:
        step(*xs).backward()
    torch._dynamo.reset()
    have = torch.autograd.grad(torch.compile(step, backend="aot_eager", fullgraph=True)(*xs), xs)
    want = torch.autograd.grad(scaled(*xs).square().sum(), xs)
    for h, w in zip(have, want, strict=True):
        torch.testing.assert_close(h, w, rtol=1e-12, atol=1e-13)


# -- the short way, and where it may not be taken -----------------------------------------------------
def test_many_upstream_gradients_at_once(layer: type[torch.autograd.Function]) -> None:
    xs, many = tensors(), torch.randn(3, 2, 5, 7, dtype=torch.float64)
    have = torch.autograd.grad(layer.apply(*xs), xs, many, is_grads_batched=True)
    want = torch.autograd.grad(attention(*xs), xs, many, is_grads_batched=True)
    torch.testing.assert_close(have, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("rows", [3, 600])
def test_many_upstream_gradients_of_what_is_written_into(rows: int) -> None:
    """Tensors of many upstream gradients are written into by nobody: what they meet is of one."""
    x = torch.randn(rows, 500, dtype=torch.float64, requires_grad=True)
    many = torch.randn(2, rows, 500, dtype=torch.float64)
    for f in (torch.nn.functional.gelu, lambda t: torch.softmax(t, -1)):
        have = torch.autograd.grad(dc.derive(lambda t, f=f: f(t), t=x).to_function().apply(x), x, many, is_grads_batched=True)
        torch.testing.assert_close(have, torch.autograd.grad(f(x), x, many, is_grads_batched=True), rtol=1e-12, atol=1e-13)


def test_a_large_upstream_gradient_of_small_inputs() -> None:
    def outer(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x[:, None] * y)

    apply = dc.derive(outer, dims={"x": "N", "y": "M"}).to_function().apply
    xs = [torch.randn(n, dtype=torch.float64, requires_grad=True) for n in (520, 530)]
    up = torch.randn(520, 530, dtype=torch.float64)
    torch.testing.assert_close(torch.autograd.grad(apply(*xs), xs, up), torch.autograd.grad(outer(*xs), xs, up))


def test_a_tensor_that_outlived_a_transformation(layer: type[torch.autograd.Function]) -> None:
    left: list[torch.Tensor] = []

    def f(q: torch.Tensor) -> torch.Tensor:
        left.append(q)
        return q.sum()

    q, k, v = tensors()
    torch.func.grad(f)(q.detach())
    have, want = layer.apply(left[0], k, v), attention(q, k, v)
    torch.testing.assert_close(have, want)
    torch.testing.assert_close(torch.autograd.grad(have.sum(), (k, v)), torch.autograd.grad(want.sum(), (k, v)))


def test_what_is_saved_may_be_moved_or_computed_again(layer: type[torch.autograd.Function]) -> None:
    xs, up = tensors(), torch.randn(2, 5, 7, dtype=torch.float64)
    want = torch.autograd.grad(attention(*xs), xs, up)
    with save_on_cpu():
        moved = layer.apply(*xs)
    again = checkpoint(layer.apply, *xs, use_reentrant=False)
    for value in (moved, again):
        torch.testing.assert_close(torch.autograd.grad(value, xs, up), want, rtol=1e-12, atol=1e-13)


def test_where_nothing_is_recorded(layer: type[torch.autograd.Function]) -> None:
    xs = tensors()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            value = layer.apply(*xs)
        assert not value.requires_grad
        torch.testing.assert_close(value.clone(), attention(*xs).detach())


def test_the_long_way_of_each_half(layer: type[torch.autograd.Function]) -> None:
    """A forward of other types than its gradients are in, and a backward that is recorded after a short forward."""
    xs = [
        x.detach().to(t).requires_grad_() for x, t in zip(tensors(), (torch.float32, torch.float64, torch.float64), strict=True)
    ]
    value = layer.apply(xs[0].double(), *xs[1:])
    grads = torch.autograd.grad(value.sum(), xs, create_graph=True)
    assert [g.dtype for g in grads] == [x.dtype for x in xs] and all(g.requires_grad for g in grads[:2])
    want = torch.autograd.grad(attention(xs[0].double(), *xs[1:]).sum(), xs)
    torch.testing.assert_close(tuple(g.detach() for g in grads), want)


# -- what is handed on ------------------------------------------------------------------------------
def norm(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[1:], w, b)


def loss(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(x, t)


def pooled(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 3, 2, 1)


def picked(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
    """Negative places are counted by the shape of what they are in, which no gradient reads."""
    return (2 * x)[i][:, i]


LAYERS: dict[str, tuple[Callable[..., torch.Tensor], Callable[[int], list[torch.Tensor]]]] = {
    "norm": (norm, lambda n: [torch.randn(n, 6), torch.randn(6), torch.randn(6)]),
    "loss": (loss, lambda n: [torch.randn(n, 6), torch.randint(6, (n,))]),
    "pooled": (pooled, lambda n: [torch.randn(n, 2, 7, 6)]),
    "attention": (attention, lambda n: [torch.randn(n, 5, 3), torch.randn(n, 4, 3), torch.randn(n, 4, 7)]),
    "picked": (picked, lambda n: [torch.randn(n, n), torch.randint(-n, n, (n,))]),
}


def derived(name: str) -> dc.Derivation:
    f, data = LAYERS[name]
    torch.manual_seed(0)
    return dc.derive(f, **dict(zip(f.__code__.co_varnames, data(3))))


def leaves(name: str, n: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(n)
    return [t.double().requires_grad_() if t.is_floating_point() else t for t in LAYERS[name][1](n)]


class Calls(TorchDispatchMode):
    """The names of the operators that were called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(f.overloadpacket.__name__)
        return f(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "name, once",
    [("norm", "native_layer_norm"), ("loss", "_log_softmax"), ("pooled", "max_pool2d_with_indices"), ("attention", "_softmax")],
)
def test_the_forward_runs_once(name: str, once: str) -> None:
    apply, xs = derived(name).to_function().apply, leaves(name)
    with Calls() as seen:
        value = apply(*xs)
        torch.autograd.grad(value.sum(), [x for x in xs if x.requires_grad])
    assert seen.names.count(once) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_autograds_at_another_size(name: str) -> None:
    xs = leaves(name, 5)
    wanted_in = [x for x in xs if x.requires_grad]
    want = LAYERS[name][0](*xs)
    have = derived(name).to_function().apply(*xs)
    up = torch.randn_like(want)
    pairs = zip(torch.autograd.grad(have, wanted_in, up), torch.autograd.grad(want, wanted_in, up), strict=True)
    for h, w in [(have, want), *pairs]:
        torch.testing.assert_close(h, w)


@pytest.mark.parametrize("name", LAYERS)
def test_under_the_transformations_of_torch_func(name: str) -> None:
    apply, f, xs = derived(name).to_function().apply, LAYERS[name][0], [x.detach() for x in leaves(name)]
    many = torch.stack([xs[0], 2 * xs[0]])

    def slope(g: Callable[..., torch.Tensor]) -> Any:
        return torch.func.vmap(torch.func.grad(lambda x: g(x, *xs[1:]).square().sum()))(many)

    torch.testing.assert_close(slope(apply), slope(f))


@pytest.mark.parametrize("name", ["norm", "attention"])
def test_under_autocast_and_with_mixed_types(name: str) -> None:
    apply, xs = derived(name).to_function().apply, [x.detach().float() for x in leaves(name)]
    xs[0] = xs[0].bfloat16()
    xs = [x.requires_grad_() for x in xs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = apply(*xs)
    value.sum().backward()
    exact = [x.detach().double().requires_grad_() for x in xs]
    LAYERS[name][0](*exact).sum().backward()
    for x, e in zip(xs, exact, strict=True):
        assert x.grad is not None and x.grad.dtype == x.dtype and e.grad is not None
        torch.testing.assert_close(x.grad.double(), e.grad, rtol=2e-2, atol=2e-2)


def test_a_copy_of_a_module_that_holds_it(layer: type[torch.autograd.Function]) -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, *xs: torch.Tensor) -> Any:
            return self.layer.apply(*xs)

    module = Attention()
    torch.testing.assert_close(copy.deepcopy(module)(*tensors()), module(*tensors()))


# -- through torch.compile, and as an operator --------------------------------------------------------
@pytest.mark.parametrize("name", LAYERS)
def test_the_generated_code_is_one_graph_for_all_sizes(name: str) -> None:
    frames = CompileCounter()
    f, data = LAYERS[name]
    d = derived(name)
    run = fuse(load(d.source()), backend=frames)
    for n in (2, 3, 8):
        given = dict(zip(d.program.inputs, data(n)))
        run(**given, grad_output=torch.ones_like(f(*given.values())))
    assert frames.frame_count == 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_fused() -> None:
    d = dc.derive("y[n] := sum(k: x[n,k]^2)", dims={"x": "N K"})
    x = torch.randn(5, 3, requires_grad=True)
    value, grads = d.compile(fused=True)(x=x.detach(), grad_output=torch.ones(5))
    torch.testing.assert_close(value, x.square().sum(-1).detach())
    torch.testing.assert_close(grads["x"], 2 * x.detach())
    (have,) = torch.autograd.grad(d.to_function(fused=True).apply(x).sum(), x)
    torch.testing.assert_close(have, 2 * x.detach())


TWO = """
h[t, n] := tanh(x[t, n] + [t > 0]*w[n]*c[t - 1, n])
c[t, n] := h[t, n] + [t > 0]*c[t - 1, n]
L := sum(t, n: h[t, n])
"""
ONE = "h[t, n] := tanh(x[t, n] + [t > 0]*w[n]*h[t - 1, n])\nL := sum(t, n: h[t, n])"


@pytest.mark.parametrize("text", [ONE, TWO])
def test_a_recurrence_is_not_unrolled_for_each_length(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one definition it is for a few short ones; of more it never is, which is said."""
    compiled: list[int] = []
    monkeypatch.setattr("torch.compile", lambda run, **_: lambda **given: compiled.append(len(given["x"])) or run(**given))
    d = dc.derive(text, dims={"x": "T N", "w": "N"})
    if text is TWO:
        with pytest.warns(UserWarning, match=r"fused=True has no effect: a loop computes h, c step by step, .* can be fused"):
            run = d.compile(fused=True)
    else:
        run = d.compile(fused=True)
    with pytest.warns(UserWarning, match="no effect"):
        layer = d.to_function(fused=True)
    for length in (9, 5, 9, 70, 4, 3, 2, 5):
        x, w = torch.randn(length, 4, requires_grad=True), torch.randn(4, requires_grad=True)
        value, grads = run(x=x.detach(), w=w.detach())
        torch.testing.assert_close(value, layer.apply(x, w).detach())
        for have, want in zip(torch.autograd.grad(layer.apply(x, w), (x, w)), (grads["x"], grads["w"]), strict=True):
            torch.testing.assert_close(have, want)
    assert compiled == ([9, 5, 9, 4, 3, 5] if text is ONE else [])


ATTENTIONS: dict[str, tuple[Callable[..., torch.Tensor], bool]] = {
    "composed": (attention, True),
    "scaled": (lambda q, k, v: torch.softmax((q @ k.mT) / 2 + 1, -1) @ v, True),
    "kernel": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), True),
    "of what is given": (lambda q, k, v: torch.softmax(q, -1) * (k @ v), False),
}


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_that_is_fused_holds_no_pairs(name: str) -> None:
    """Over large tensors it runs in bands; what has no softmax of pairs is never taken for attention."""
    f, pairs = ATTENTIONS[name]
    shapes = {"q": (2, 5, 3), "k": (2, 4, 3), "v": (2, 4, 7)} if pairs else {"q": (2, 5, 7), "k": (2, 5, 3), "v": (2, 3, 7)}
    d = dc.derive(f, **{n: torch.randn(s) for n, s in shapes.items()})
    assert (pairs_held(d.program) is not None) == pairs
    if not pairs:
        return
    q, k, v = (torch.randn(20, 450, 32, dtype=torch.float64, requires_grad=True) for _ in range(3))
    up = torch.randn(20, 450, 32, dtype=torch.float64)
    want = torch.autograd.grad(f(q, k, v), (q, k, v), up)
    with torch._dynamo.config.patch(disable=True):  # what is left to a compiler is not compiled
        with Memory() as seen:
            value, grads = d.compile(fused=True)(q=q.detach(), k=k.detach(), v=v.detach(), grad_output=up)
        have = torch.autograd.grad(d.to_function(fused=True).apply(q, k, v), (q, k, v), up)
    assert seen.largest <= q.nbytes, "all pairs at once"
    torch.testing.assert_close(value, f(q, k, v).detach())
    for h, g, w in zip(have, grads.values(), want, strict=True):
        torch.testing.assert_close(h, w)
        torch.testing.assert_close(g, w)


@pytest.mark.parametrize("name", LAYERS)
def test_as_an_operator_of_torch(name: str) -> None:
    op = derived(name).to_op(f"derivcheck_tests::{name}")
    torch.library.opcheck(op, leaves(name))
    xs = leaves(name)
    wanted_in = [x for x in xs if x.requires_grad]
    have = torch.autograd.grad(getattr(torch.ops.derivcheck_tests, name)(*xs).sum(), wanted_in)
    for h, w in zip(have, torch.autograd.grad(LAYERS[name][0](*xs).sum(), wanted_in), strict=True):
        torch.testing.assert_close(h, w)


def test_an_operators_results_are_its_own() -> None:
    op = dc.derive("y[a] := x[a]", dims={"x": "N"}).to_op("derivcheck_tests::same")
    x = torch.randn(3)
    assert op(x).data_ptr() != x.data_ptr()


@pytest.mark.parametrize("name", ["square", "a::b::c", "1a::b", "a::b c"])
def test_the_name_of_an_operator(name: str) -> None:
    with pytest.raises(dc.InputError, match="expected namespace::name"):
        dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_op(name)


def test_a_name_that_is_taken() -> None:
    with pytest.raises(dc.InputError, match="there is an operator aten::relu already"):
        dc.derive("y[n] := x[n]^2", dims={"x": "N"}).to_op("aten::relu")
