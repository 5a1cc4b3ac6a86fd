"""Code for a compiler: what it would compute again and again is stored, constants are constants, and it is one graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._inductor.utils import run_and_get_cpp_code

import derivcheck as dc
from derivcheck.codegen.file.variants import fused_source
from derivcheck.layer.compiled import fuse

Graphs = list[tuple[torch.fx.GraphModule, list[Any]]]
LAYERS: dict[str, tuple[Callable[..., Tensor], dict[str, tuple[int, ...]]]] = {
    "layer norm": (lambda x, w, b: F.layer_norm(x, x.shape[1:], w, b), {"x": (4, 9), "w": (9,), "b": (9,)}),
    "group norm": (lambda x, w, b: F.group_norm(x, 2, w, b), {"x": (4, 6, 3, 5), "w": (6,), "b": (6,)}),
    "groups of any size": (lambda x, w, b: F.group_norm(x, 2, w, b), {"x": (3, 4, 7, 6), "w": (4,), "b": (4,)}),
    "gelu": (lambda x: F.gelu(x), {"x": (4, 9)}),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), {"x": (4, 9)}),
    "a scale for each column": (lambda x, w: x * F.softplus(w).sqrt(), {"x": (4, 9), "w": (9,)}),
    "a root of a size": (lambda x: torch.tanh(x / x.shape[1] ** 0.5), {"x": (4, 9)}),
    "windows that overlap": (lambda x: F.max_pool2d(x, 3, 2, 1), {"x": (2, 3, 7, 8)}),
}


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graphs]:
    """What is given to the compiler, which runs it as it is."""
    fuse.cache_clear()
    torch._dynamo.reset()
    found: Graphs = []
    original = torch.compile

    def seen(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        found.append((graph, inputs))
        return graph.forward

    monkeypatch.setattr("torch.compile", lambda run, **options: original(run, **{**options, "backend": seen, "options": None}))
    yield found
    fuse.cache_clear()


def data(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {n: torch.randn(s, dtype=torch.float64) for n, s in shapes.items()}


def held(f: Callable[..., Tensor], run: Callable[..., Any], given: dict[str, Tensor]) -> None:
    """The value and the gradients are autograd's."""
    leaves = {n: t.detach().requires_grad_() for n, t in given.items()}
    want = f(**leaves)
    up = torch.randn_like(want)
    value, grads = run(**given, grad_output=up)
    torch.testing.assert_close(value, want.detach())
    for n, g in zip(leaves, torch.autograd.grad(want, list(leaves.values()), up), strict=True):
        torch.testing.assert_close(grads[n], g)


@pytest.mark.parametrize("name", LAYERS)
def test_one_graph_of_the_tensors_alone(name: str, graphs: Graphs) -> None:
    """A number that the graph takes as an input (pi of a module) would be raised to its power for each vector of elements."""
    f, shapes = LAYERS[name]
    run = dc.derive(f, **data(shapes)).compile(fused=True)
    for more in (0, 2):
        held(f, run, data({n: (s[0] + more, *s[1:]) if n == "x" else s for n, s in shapes.items()}))
    ((_, inputs),) = graphs
    assert len([i for i in inputs if isinstance(i, Tensor)]) == len(shapes) + 1


@pytest.mark.parametrize(
    ("name", "costly"),
    [
        ("layer norm", ("rsqrt", "mean")),
        ("groups of any size", ("rsqrt", "mean")),
        ("a scale for each column", ("softplus", "sqrt")),
    ],
)
def test_what_stands_for_a_row_is_stored(name: str, costly: tuple[str, ...], graphs: Graphs) -> None:
    """Roots, means and functions of a row are never read by what runs over all of its numbers, but where they are stored."""
    f, shapes = LAYERS[name]
    held(f, dc.derive(f, **data(shapes)).compile(fused=True), data(shapes))
    ((graph, _),) = graphs
    calls = [n for n in graph.graph.nodes if n.op.startswith("call") and getattr(n.target, "__name__", n.target) in costly]
    rows = [n for n in calls if n.meta["example_value"].dim() < len(shapes["x"])]
    for n in rows:
        for read in (user.meta.get("example_value") for user in n.users):
            assert not isinstance(read, Tensor) or read.dim() == n.meta["example_value"].dim(), graph.code
    assert rows


def test_a_root_of_a_size_is_stored() -> None:
    """A compiler would call a function for each vector of elements that it scales."""
    f, shapes = LAYERS["a root of a size"]
    d = dc.derive(f, **data(shapes))
    assert d.adjoint is not None and "_stored(torch.full((), " in fused_source(d.program, d.adjoint, d.wrt)


def everything(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    y = F.max_pool2d(F.gelu(F.group_norm(x, 2, w, b)), 3, 2, 1)
    return y / y.shape[3] ** 0.5


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiled_for_any_size_and_layout() -> None:
    """Once; also the halves of a Function."""
    torch._dynamo.reset()
    made = {n: torch.randn(s, dtype=torch.float64) for n, s in {"x": (3, 4, 7, 6), "w": (4,), "b": (4,)}.items()}
    d = dc.derive(everything, **made)
    run, layer = d.compile(fused=True), d.to_function(fused=True)
    counted = torch._dynamo.utils.counters["stats"]
    counted.clear()
    for shape in ((3, 4, 7, 6), (2, 4, 5, 5), (6, 4, 4, 9)):
        given = {"x": torch.randn(shape, dtype=torch.float64), "w": made["w"], "b": made["b"]}
        held(everything, run, given)
    assert counted["unique_graphs"] == 1
    held(everything, run, {**made, "x": torch.randn(6, 7, 3, 4, dtype=torch.float64).permute(2, 3, 1, 0)})
    leaves = [t.clone().requires_grad_() for t in made.values()]
    want = torch.autograd.grad(everything(*leaves).square().sum(), leaves)
    for h, w in zip(torch.autograd.grad(layer.apply(*leaves).square().sum(), leaves), want, strict=True):
        torch.testing.assert_close(h, w)


@pytest.mark.parametrize("name", ["layer norm", "group norm"])
def test_moments_are_sums(name: str, graphs: Graphs) -> None:
    """Also where the forward hands them on: of torch's own call a compiler makes a recurrence, which divides at each step."""
    f, shapes = LAYERS[name]
    leaves = {n: t.requires_grad_() for n, t in data(shapes).items()}
    value = dc.derive(f, **data(shapes)).to_function(fused=True).apply(*leaves.values())
    want = torch.autograd.grad(f(**leaves).square().sum(), list(leaves.values()))
    for have, w in zip(torch.autograd.grad(value.square().sum(), list(leaves.values())), want, strict=True):
        torch.testing.assert_close(have, w)
    assert len(graphs) == 2
    assert all("_norm" not in graph.code for graph, _ in graphs)


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() == "DEFAULT", reason="a processor without vectors")
def test_what_is_read_at_strides_is_computed_in_vectors() -> None:
    def gated(x: Tensor) -> Tensor:
        return x[:, ::2] * torch.sigmoid(x[:, 1::2])

    x, up = torch.randn(40, 64), torch.randn(40, 32)
    run = dc.derive(gated, x=x).compile(fused=True)
    with torch._inductor.config.patch(force_disable_caches=True):
        _, code = run_and_get_cpp_code(run, x=x, grad_output=up)
    assert "neg().exp()" in code  # of a vector; std::exp of a number
    held(gated, run, {"x": x})


def test_a_fused_function_in_all_its_ways(graphs: Graphs) -> None:
    """Some gradients or all, of one type and of several, once and of the gradient; what may be compiled is."""
    f, shapes = LAYERS["layer norm"]
    layer = dc.derive(f, **data(shapes)).to_function(fused=True)
    for needs in ({"x", "w", "b"}, {"w"}, {"x"}):
        leaves = {n: t.requires_grad_(n in needs) for n, t in data(shapes).items()}
        asked = [leaves[n] for n in leaves if n in needs]
        for create in (False, True):
            have = torch.autograd.grad(layer.apply(*leaves.values()).pow(3).sum(), asked, create_graph=create)
            want = torch.autograd.grad(f(**leaves).pow(3).sum(), asked, create_graph=create)
            for h, w in zip(have, want, strict=True):
                torch.testing.assert_close(h, w)
        again = (torch.autograd.grad(sum(g.pow(2).sum() for g in gs), asked, allow_unused=True) for gs in (have, want))
        for h, w in zip(*again, strict=True):
            torch.testing.assert_close(h, w)
    assert graphs
    mixed = [data(shapes)["x"].float().requires_grad_(), *(data(shapes)[n].requires_grad_() for n in ("w", "b"))]
    have = torch.autograd.grad(layer.apply(*mixed).pow(3).sum(), mixed)
    want = torch.autograd.grad(f(mixed[0].double(), *mixed[1:]).pow(3).sum(), mixed)
    for h, w in zip(have, want, strict=True):
        assert h.dtype == w.dtype
        torch.testing.assert_close(h, w, rtol=1e-5, atol=1e-4)
