"""Liger's Triton kernels under ``check``: a released library's right backwards, run by Triton's interpreter.

    pip install triton==3.5.1 liger-kernel==0.8.5 'numpy<2.4'      # beside torch and this package
    TRITON_INTERPRET=1 python -m benchmarks.liger [NAME…]

Each kernel is checked in float32 at two sizes against what it means in torch (``reference=``).  An alarm is to be looked at:
some kernels do write into what they are given, and that is said.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import derivcheck as dc


@dataclass(frozen=True)
class Case:
    """A kernel: where it is, what it means, inputs at a size, and which of them have a gradient (None: all that are real)."""

    module: str
    function: str
    means: Callable[..., Any]
    inputs: Callable[[int, int], dict[str, Any]]
    wrt: tuple[str, ...] | None = None
    sizes: tuple[tuple[int, int], ...] = ((4, 8), (3, 33))
    how: dict[str, Any] = field(default_factory=dict)


def normal(*shape: int) -> Tensor:
    """Seeded by the caller."""
    return torch.randn(*shape)


def rms(x: Tensor, eps: float) -> Tensor:
    """``x`` over its root mean square."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps)


def half_turned(x: Tensor) -> Tensor:
    """The halves of the last dimension, turned by a quarter."""
    a, b = x.chunk(2, -1)
    return torch.cat([-b, a], -1)


def jensen_shannon(_input: Tensor, target: Tensor) -> Tensor:
    """Of log probabilities; both halves weigh the same."""
    p, q = target.exp(), _input.exp()
    m = (0.5 * (p + q)).log()
    return (0.5 * (p * (target - m) + q * (_input - m))).sum() / _input.shape[0]


def log_probabilities(n: int, c: int) -> Tensor:
    """Rows of logarithms that add up to 1."""
    return normal(n, c).log_softmax(-1)


CASES = {
    "swiglu": Case(
        "swiglu", "LigerSiLUMulFunction", lambda a, b: F.silu(a) * b, lambda n, c: {"a": normal(n, c), "b": normal(n, c)}
    ),
    "geglu": Case(
        "geglu",
        "LigerGELUMulFunction",
        lambda a, b: F.gelu(a, approximate="tanh") * b,
        lambda n, c: {"a": normal(n, c), "b": normal(n, c)},
    ),
    "relu squared": Case(
        "relu_squared", "LigerReLUSquaredFunction", lambda X: F.relu(X) ** 2, lambda n, c: {"X": normal(n, c)}
    ),
    "dyt": Case(
        "dyt",
        "LigerDyTFunction",
        lambda x, alpha, gamma, beta: gamma * torch.tanh(alpha * x) + beta,
        lambda n, c: {"x": normal(n, c), "alpha": torch.tensor([0.7]), "gamma": normal(c), "beta": normal(c)},
    ),
    "rms norm": Case(
        "rms_norm",
        "LigerRMSNormFunction",
        lambda X, W, eps, offset, casting_mode, in_place: rms(X, eps) * (W + offset),
        lambda n, c: {
            "X": normal(n, c),
            "W": normal(c),
            "eps": 1e-5,
            "offset": 0.0,
            "casting_mode": "llama",
            "in_place": False,
        },
    ),
    "rms norm, in place": Case(
        "rms_norm",
        "LigerRMSNormFunction",
        lambda X, W, eps, offset, casting_mode: rms(X, eps) * (W + offset),
        lambda n, c: {"X": normal(n, c), "W": normal(c), "eps": 1e-5, "offset": 1.0, "casting_mode": "gemma"},
    ),
    "fused add rms norm": Case(
        "fused_add_rms_norm",
        "LigerFusedAddRMSNormFunction",
        lambda X, R, W, eps, offset, casting_mode, in_place: (rms(X + R, eps) * (W + offset), X + R),
        lambda n, c: {
            "X": normal(n, c),
            "R": normal(n, c),
            "W": normal(c),
            "eps": 1e-5,
            "offset": 0.0,
            "casting_mode": "llama",
            "in_place": False,
        },
    ),
    "layer norm": Case(
        "layer_norm",
        "LigerLayerNormFunction",
        lambda X, W, B, eps: F.layer_norm(X, X.shape[-1:], W, B, eps),
        lambda n, c: {"X": normal(n, c), "W": normal(c), "B": normal(c), "eps": 1e-5},
    ),
    "group norm": Case(
        "group_norm",
        "LigerGroupNormFunction",
        lambda X, affine_scaling_weight, affine_shifting_bias, num_channels, num_groups, eps: F.group_norm(
            X, num_groups, affine_scaling_weight, affine_shifting_bias, eps
        ),
        lambda n, c: {
            "X": normal(n, 4, c),
            "affine_scaling_weight": normal(4),
            "affine_shifting_bias": normal(4),
            "num_channels": 4,
            "num_groups": 2,
            "eps": 1e-5,
        },
    ),
    "softmax": Case(
        "softmax", "LigerSoftmaxFunction", lambda input_: input_.softmax(-1), lambda n, c: {"input_": normal(n, c)}
    ),
    "poly norm": Case(
        "poly_norm",
        "LigerPolyNormFunction",
        lambda X, W, B, eps, in_place: W[0] * rms(X**3, eps) + W[1] * rms(X**2, eps) + W[2] * rms(X, eps) + B,
        lambda n, c: {"X": normal(n, c), "W": normal(3), "B": normal(1), "eps": 1e-5, "in_place": False},
    ),
    "kl div": Case(
        "kl_div",
        "LigerKLDivLossFunction",
        lambda y_pred, y_true: F.kl_div(y_pred, y_true, reduction="batchmean"),
        lambda n, c: {"y_pred": log_probabilities(n, c), "y_true": log_probabilities(n, c).exp()},
        wrt=("y_pred",),
    ),
    "tvd": Case(
        "tvd",
        "LigerTVDLossFunction",
        lambda p, q: 0.5 * (p - q).abs().sum() / p.shape[0],
        lambda n, c: {"p": log_probabilities(n, c).exp(), "q": log_probabilities(n, c).exp()},
        wrt=("p",),
    ),
    "jsd": Case(
        "jsd",
        "LigerJSDFunction",
        jensen_shannon,
        lambda n, c: {"_input": log_probabilities(n, c), "target": log_probabilities(n, c)},
        wrt=("_input",),
    ),
    "cross entropy": Case(
        "cross_entropy",
        "LigerCrossEntropyFunction",
        lambda _input, target, weight: F.cross_entropy(_input, target),
        lambda n, c: {"_input": normal(n, c), "target": torch.randint(0, c, (n,)), "weight": None},
    ),
    "cross entropy, smoothed": Case(
        "cross_entropy",
        "LigerCrossEntropyFunction",
        lambda _input, target, weight, ignore_index, lse_square_scale, label_smoothing, reduction: F.cross_entropy(
            _input, target, label_smoothing=label_smoothing, reduction=reduction
        ),
        lambda n, c: {
            "_input": normal(n, c),
            "target": torch.randint(0, c, (n,)),
            "weight": None,
            "ignore_index": -100,
            "lse_square_scale": 0.0,
            "label_smoothing": 0.1,
            "reduction": "sum",
        },
    ),
    "rope": Case(
        "rope",
        "LigerRopeFunction",
        lambda q, k, cos, sin: (
            q * cos[:, None] + half_turned(q) * sin[:, None],
            k * cos[:, None] + half_turned(k) * sin[:, None],
        ),
        lambda n, c: {"q": normal(1, 2, n, 8), "k": normal(1, 2, n, 8), **turns(n, 8)},
        wrt=("q", "k"),
        sizes=((4, 8), (5, 8)),
    ),
}


def turns(n: int, c: int) -> dict[str, Tensor]:
    """Cosines and sines of rotary positions, both halves alike."""
    angles = torch.arange(n)[:, None] * (100.0 ** -(torch.arange(c // 2) / (c // 2)))
    angles = torch.cat([angles, angles], -1)[None]
    return {"cos": angles.cos(), "sin": angles.sin()}


def said(case: Case, n: int, c: int) -> tuple[str, str]:
    """A verdict on one kernel at one size, and the reason."""
    function = getattr(importlib.import_module(f"liger_kernel.ops.{case.module}"), case.function)
    torch.manual_seed(n)
    try:
        report = dc.check(
            function, case.inputs(n, c), reference=case.means, wrt=case.wrt, dtype=torch.float32, order=1, **case.how
        )
    except dc.UnsupportedOperation as e:
        return "unsupported", str(e)
    except Exception as e:  # whatever else a user would meet
        return "crash", f"{type(e).__name__}: {e}"
    verdicts = [r.verdict for r in report.rows if r.faulty or r.verdict not in ("passed", "open")]
    if report.passed:
        return "pass", ""
    kind = "alarm" if any(r.faulty for r in report.rows) else "no verdict"
    return kind, f"{', '.join(dict.fromkeys(verdicts))}: " + " | ".join(line.strip() for line in str(report).splitlines()[:3])


def as_compiled() -> None:
    """Triton's interpreter passes a Python float on as it is, which has no ``.to``, and has no device library: here it has."""
    import numpy
    import triton.language as tl
    from triton.language.extra import libdevice
    from triton.runtime import interpreter

    def on_numbers(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def applied(x: Any) -> Any:
            return tl.tensor(interpreter.TensorHandle(f(x.handle.data).astype(x.handle.data.dtype), x.dtype), x.type)

        return applied

    libdevice.tanh = on_numbers(numpy.tanh)
    libdevice.rsqrt = on_numbers(lambda v: 1 / numpy.sqrt(v))
    others = interpreter._implicit_cvt

    def converted(value: Any) -> Any:
        if not isinstance(value, float):
            return others(value)
        return tl.tensor(interpreter.TensorHandle(numpy.array([value], numpy.float32), tl.float32), tl.float32)

    interpreter._implicit_cvt = converted


def main(names: list[str]) -> int:
    """Check every kernel, or those named."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        print("set TRITON_INTERPRET=1: the kernels run in Triton's interpreter")
        return 2
    as_compiled()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    for name in names or list(CASES):
        for n, c in CASES[name].sizes:
            start = process_time()
            verdict, reason = said(CASES[name], n, c)
            counts[verdict] += 1
            print(f"{name} {n, c}: {verdict} ({process_time() - start:.1f} s) {reason[:400]}", flush=True)
    print(f"{sum(counts.values())} calls: " + ", ".join(f"{k} {v}" for v, k in counts.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
