"""The largest tensor that generated code makes is at most 1.5 times autograd's, at every row's samples with one size grown.

The first sample of each row runs in ``make test``, grown to 40; all of them, grown to 256, with DERIVCHECK_EDGES=all (``make
edges``).  The exceptions are a closed list: each has its reason, and how many times autograd's it may be at 256.  Beside it
stand the kinds that once made a one-hot or a matrix of pairs, at sizes where that would show.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.errors import UnsupportedOperation
from derivcheck.operators.language.row import rows
from tests.codegen.grown import Largest, ratios
from tests.operators.rows_on_numbers import fits

EVERY = os.environ.get("DERIVCHECK_EDGES") == "all"
GROWN, MOST = 256 if EVERY else 40, 1.5

EXCEPTIONS: dict[str, dict[str, float]] = {
    "each pair's difference, all features of it": {
        "pdist": 3.1, "_pdist_forward": 3.1, "cdist": 5.1, "_cdist_forward": 5.1, "_euclidean_dist": 5.1
    },
    "each element is compared with each": {
        "mode": 257, "multilabel_margin_loss": 257, "multilabel_margin_loss_forward": 257
    },
    "each place is compared with each that writes": {
        "masked_scatter": 461, "put": 15.1, "repeat_interleave": 7.1, "embedding_bag": 12.1
    },
    "a window that the pattern of convolutions does not take": {
        "conv1d": 6.1, "conv2d": 10.1, "conv3d": 8.1, "conv_transpose1d": 513
    },
    "the native kernel holds no probabilities": {"scaled_dot_product_attention": 65},
    "an outer product of two inputs": {"bilinear": 7.1},
    "torch averages over bins without their masks": {"adaptive_avg_pool2d": 2.6},
    "indices in pairs": {"index": 2.4, "max_pool1d": 2.1, "max_pool1d_with_indices": 2.1},
}  # fmt: skip
ALLOWED = {name: most for names in EXCEPTIONS.values() for name, most in names.items()}
NAMES = [n for n, row in rows().items() if n.startswith("aten.") and (EVERY or "pointwise" not in row.family)]


def too_large(name: str, most: float = MOST) -> Iterator[str]:
    """Each sample and size at which the largest tensor is too large."""
    row = rows()[name]
    samples = [s for s in row.samples if fits(name, s)]
    for sample in samples if EVERY else samples[:1]:
        try:
            for size, ratio in ratios(row, name, sample, GROWN):
                if ratio > most:
                    yield f"{name} {sample.args}: {ratio:.1f} times autograd's largest tensor where {size} is {GROWN}"
        except UnsupportedOperation:
            continue


@pytest.mark.parametrize("at", range(0, len(NAMES), 12))
def test_rows(at):
    names = NAMES[at : at + 12] if EVERY else [n for n in NAMES[at : at + 12] if n.split(".")[1] not in ALLOWED]
    found = [x for n in names for x in too_large(n, ALLOWED.get(n.split(".")[1], MOST))]
    assert not found, "\n".join(found)


def test_exceptions_are_rows():
    assert {n.split(".")[1] for n in rows()} >= ALLOWED.keys()


@pytest.mark.parametrize("name", ["aten.mode.default", "aten.bilinear.default"])
def test_what_is_excepted_is_still_too_large(name):
    """An exception that no longer is one leaves the list."""
    assert list(too_large(name))


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def whole(below: int, *shape: int) -> torch.Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(below))


def one_hot_loss(x, t):
    return -(F.one_hot(t, 16) * x.log_softmax(-1)).sum(-1).mean()


KINDS: dict[str, tuple[Callable[..., torch.Tensor], Callable[[int], dict[str, torch.Tensor]]]] = {
    "scatter_add": (
        lambda x, t, s: x.scatter_add(1, t, s),
        lambda n: {"x": normal(4, n), "t": whole(n, 4, n), "s": normal(4, n)},
    ),
    "scatter_reduce prod": (
        lambda x, t, s: x.scatter_reduce(1, t, s, "prod"),
        lambda n: {"x": normal(4, n), "t": whole(n, 4, n - 1), "s": normal(4, n - 1)},
    ),
    "scatter_reduce amax": (
        lambda x, t, s: x.scatter_reduce(1, t, s, "amax"),
        lambda n: {"x": normal(4, n), "t": whole(n, 4, n - 1), "s": normal(4, n - 1)},
    ),
    "index_add": (
        lambda x, t, s: x.index_add(0, t, s),
        lambda n: {"x": normal(n, 3), "t": whole(n, n + 2), "s": normal(n + 2, 3)},
    ),
    "gather": (lambda x, t: x.gather(1, t), lambda n: {"x": normal(5, n), "t": whole(n, 5, n + 2)}),
    "take_along_dim": (lambda x, t: torch.take_along_dim(x, t, 1), lambda n: {"x": normal(5, n), "t": whole(n, 5, n + 2)}),
    "flip and cumsum": (lambda x: x.flip(1).cumsum(1), lambda n: {"x": normal(5, n)}),
    "prod": (lambda x: x.prod(1), lambda n: {"x": normal(5, n)}),
    "prod of all": (lambda x: x.prod(), lambda n: {"x": normal(2, n)}),
    "logcumsumexp": (lambda x: x.logcumsumexp(0), lambda n: {"x": normal(n, 5)}),
    "cummax": (lambda x: x.cummax(0).values, lambda n: {"x": normal(n, 5)}),
    "cross entropy by a one-hot": (one_hot_loss, lambda n: {"x": normal(n, 16), "t": whole(16, n)}),
    "cross entropy": (F.cross_entropy, lambda n: {"input": normal(5, n), "target": whole(n, 5)}),
    "wide windows": (lambda x: F.avg_pool2d(x, 7, 1, 3), lambda n: {"x": normal(2, 3, n, n)}),
    "windows two apart": (lambda x: F.avg_pool2d(x, 3, 2, 1), lambda n: {"x": normal(2, 3, n, n)}),
    "windows of a maximum": (lambda x: F.max_pool2d(x, 3, 2, 1), lambda n: {"x": normal(2, 3, n, n)}),
    "bins of a maximum": (lambda x: F.adaptive_max_pool2d(x, (3, 5)), lambda n: {"x": normal(2, 3, n, n)}),
    "unfold": (lambda x: x.unfold(1, 5, 2), lambda n: {"x": normal(4, n)}),
    "distances": (torch.cdist, lambda n: {"x1": normal(n, 16), "x2": normal(n + 1, 16)}),
    "repeat": (lambda x: x.repeat(3, 2), lambda n: {"x": normal(n, 3)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_one_hot_and_no_matrix_of_pairs(kind):
    """Derived at one size, run at another; the gradients are autograd's, and the largest tensor about that of autograd."""
    f, data = KINDS[kind]
    run = dc.derive(f, **data(9)).compile()
    given = data(65)
    leaves = {k: t.clone().requires_grad_(t.is_floating_point()) for k, t in given.items()}
    wanted_of = [t for t in leaves.values() if t.requires_grad]
    with Largest() as theirs:
        value = f(*leaves.values())
        upstream = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
        wanted = torch.autograd.grad(value, wanted_of, upstream)
    more: dict[str, Any] = {"grad_output": upstream}
    with Largest() as ours:
        found, grads = run(**given, **more)
    torch.testing.assert_close(found, value.detach())
    for name, w in zip((k for k, t in leaves.items() if t.requires_grad), wanted):
        torch.testing.assert_close(grads[name], w, msg=lambda m, name=name: f"{name}: {m}")
    assert ours.bytes <= 2.1 * max(theirs.bytes, *(t.nbytes for t in given.values()))


def test_a_one_hot_would_be_seen():
    with Largest() as seen:
        (torch.arange(65) == whole(65, 64).unsqueeze(-1)).to(torch.float64) @ normal(65, 3)
    assert seen.bytes >= 64 * 65 * 8
