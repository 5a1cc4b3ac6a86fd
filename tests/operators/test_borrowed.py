"""Decompositions of torch's table that stand in for a kernel: each is held against the kernel on edge data.

An operator that torch itself writes in others (CompositeImplicit) runs the same in both ways and is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from derivcheck.operators.language.row import find
from derivcheck.tracing.recording.decompositions import decomposition
from tests.operators.rows_on_numbers import overload

INF, NAN = float("inf"), float("nan")
Arguments = Callable[..., tuple[Any, ...]]

#: Random, of integers, complex, sparse, a factory, or refused for what it needs: no gradient of a row rests on these.
NO_GRADIENT = {
    *("_fused_dropout", "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "native_dropout", "normal", "uniform"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm", "bucketize"),
    *("complex", "polar", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "hann_window", "randn", "resize_as"),
    *("frexp", "igamma", "igammac", "nextafter", "special_bessel_j0", "special_bessel_j1", "special_spherical_bessel_j0"),
    *("special_zeta", "is_same_size", "isin", "signbit", "tril_indices", "triu_indices", "view_copy", "_reshape_alias"),
    *(
        "_scaled_dot_product_flash_attention_for_cpu",
        "cudnn_batch_norm",
        "_chunk_cat",
        "_addmm_activation",
        "linspace",
        "logspace",
    ),
    *("_batch_norm_no_update", "_batch_norm_with_update", "_batch_norm_with_update_functional"),
    *("addmm", "baddbmm", "xlogy"),  # forms that round to another dtype or write into a given tensor
}

_ROWS = torch.tensor([0, 2, 1, 0])


def _square(x: torch.Tensor) -> torch.Tensor:
    return x.repeat(4)[:12].unflatten(0, (3, 4))


def _images(x: torch.Tensor) -> torch.Tensor:
    return x.repeat(12)[:48].unflatten(0, (2, 2, 3, 4))


#: The arguments of each, made of a line of edge numbers.
CASES: dict[str, list[Arguments]] = {
    "_adaptive_avg_pool2d": [lambda x: (_images(x), [2, 3]), lambda x: (_images(x), [3, 4])],
    "_native_batch_norm_legit": [
        lambda x, t=t: (_images(x), x[:2], x[2:4], torch.zeros(2), torch.ones(2), t, 0.1, 1e-5) for t in (True, False)
    ],
    "_native_batch_norm_legit_functional": [
        lambda x: (_images(x), x[:2], x[2:4], torch.zeros(2), torch.ones(2), True, 0.1, 1e-5)
    ],
    "_native_batch_norm_legit_no_training": [lambda x: (_images(x), x[:2], x[2:4], torch.zeros(2), torch.ones(2), 0.1, 1e-5)],
    "_unsafe_index": [lambda x: (_square(x), [_ROWS]), lambda x: (_square(x), [None, _ROWS])],
    "_unsafe_masked_index": [lambda x: (_square(x), _ROWS > 0, [_ROWS], 0.0)],
    "_weight_norm_interface": [lambda x: (_square(x), torch.ones(3, 1), 0)],
    "log_sigmoid_forward": [lambda x: (x,)],
    "renorm": [lambda x, p=p: (_square(x), p, 0, 1.0) for p in (1.0, 2.0)],
}

EDGES = {
    "zeros": [0.0],
    "ones": [1.0],
    "equal": [-2.0],
    "signs": [1.0, -1.0, 0.0],
    "saturated": [1000.0, -1000.0, 0.0],
    "tiny": [1e-30, -1e-30],
    "huge": [1e30, -1e30, 1.0],
    "inf": [1.0, INF, -2.0, 0.5, 3.0],
    "nan": [1.0, NAN, -2.0, 0.5, 3.0],
}


def borrowed() -> Iterator[str]:
    """Every overload without a row that torch's table decomposes in place of a kernel."""
    for op in dir(torch.ops.aten):
        try:
            packet = getattr(torch.ops.aten, op)
        except (AttributeError, RuntimeError):  # listed, but not built
            continue
        for kind in packet.overloads() if hasattr(packet, "overloads") else ():
            name = f"aten.{op}.{kind}"
            if find(name) is not None or "_backward" in op or op.endswith("_") or "out" in kind.lower():
                continue
            if _found(packet, kind):
                yield name


def _found(packet: Any, kind: str) -> bool:
    try:
        f = getattr(packet, kind)
        if torch._C._dispatch_has_kernel_for_dispatch_key(f.name(), "CompositeImplicitAutograd"):
            return False
        return decomposition(f) is not None
    except (RuntimeError, NotImplementedError, ValueError):
        return False


def test_each_borrowed_decomposition_is_held_or_bears_no_gradient():
    names = {n.split(".")[1] for n in borrowed()}
    assert names - NO_GRADIENT - set(CASES) == set(), "hold it against its kernel, or say why it needs none"
    assert set(CASES) <= names, "these are borrowed no more"


def results(f: Callable[..., Any], arguments: Arguments, line: torch.Tensor) -> list[torch.Tensor]:
    """The first output, and the gradient in the line where that has one: at infinities and NaN there is none."""
    x = line.clone().requires_grad_()
    args = tuple(a.double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in arguments(x))
    out = f(*args)
    outs = [o for o in (out if isinstance(out, (tuple, list)) else (out,)) if o.numel()]
    if not line.isfinite().all():
        return [outs[0].detach()]
    live = [o for o in outs if o.requires_grad]
    (grad,) = torch.autograd.grad(live[:1], x, [torch.linspace(0.5, 1.5, live[0].numel()).double().reshape(live[0].shape)])
    return [*(o.detach() for o in outs[:1]), grad]


def agree(name: str, other: Callable[..., Any], line: torch.Tensor) -> bool:
    """Whether a decomposition gives what the kernel gives, for every argument of its cases."""
    f = next(overload(n) for n in borrowed_named(name))
    for arguments in CASES[name]:
        for a, b in zip(results(f, arguments, line), results(other or decomposition(f), arguments, line), strict=True):
            scale = a[a.isfinite()].abs().max().item() if a.isfinite().any() else 0.0
            if not torch.allclose(a, b, rtol=1e-8, atol=1e-12 * scale, equal_nan=True):
                return False
    return True


def borrowed_named(name: str) -> list[str]:
    return [f"aten.{name}.{k}" for k in getattr(torch.ops.aten, name).overloads() if "out" not in k.lower()]


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", CASES)
def test_a_borrowed_decomposition_is_the_kernel_at_edges(name, edge):
    if edge == "inf" and "batch_norm" in name:
        pytest.skip("the mean is infinite: inf - inf in one order, 0*inf in the other")
    line = torch.tensor((EDGES[edge] * 12)[:12], dtype=torch.float64)
    assert agree(name, None, line)


def test_a_wrong_decomposition_is_found():
    def wrong(x: torch.Tensor) -> Any:
        return torch.log(torch.sigmoid(x)), x  # -inf at -1000

    assert not agree("log_sigmoid_forward", wrong, torch.tensor(EDGES["saturated"] * 4, dtype=torch.float64))


def test_the_decomposition_that_has_a_row_instead_is_wrong():
    """multilabel_margin_loss: where this holds no longer, the row is still right."""
    f = torch.ops.aten.multilabel_margin_loss_forward.default
    x, target = torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]])
    assert f(x, target, 1)[0].item() == pytest.approx(0.85)
    assert decomposition(f)(x, target, 1)[0].item() != pytest.approx(0.85)
