"""Right backwards as textbooks write them: none may be called wrong or vacuous, an error of a hundred bounds is caught in each.

    python -m benchmarks.textbook_forms [--seeds 8] [--types float64 float32 bfloat16] [--only WORD] [--mutants]

Each form is one way to write one function's backward: from the input, from the saved output, fused, recomputed.  It is
checked as a user checks it, with every probe, in each type, on normal data of deviation 0.1 to 200 (in bfloat16 to 5).  With
``--mutants`` each gradient is also off by a hundred times the part of its norm that the check says it sees: that must not pass.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

import derivcheck as dc
from derivcheck.checking.report.report import Report

Tensor = torch.Tensor
TYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}
DEVIATIONS = {"float64": (0.1, 1.0, 10.0, 50.0, 200.0), "float32": (0.1, 1.0, 10.0, 50.0, 200.0), "bfloat16": (0.1, 1.0, 5.0)}
EPS = 1e-5


@dataclass(frozen=True)
class Form:
    """A backward of a function.

    Attributes:
        function, how: the names of both.
        backward: takes grad_output and the inputs; returns one gradient, or one per input in ``wrt``.
        inputs: name -> shape; ``t`` (of shape ``(N,)``) are labels below 9, names that start with ``p`` are positive.
        wrt: the inputs that it returns gradients of.
    """

    function: str
    how: str
    forward: Callable[..., Tensor]
    backward: Callable[..., Any]
    inputs: dict[str, tuple[int, ...]]
    wrt: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.function}: {self.how}"


FORMS: list[Form] = []
X: dict[str, tuple[int, ...]] = {"x": (6, 9)}


def forms(
    function: str, forward: Callable[..., Tensor], inputs: dict[str, tuple[int, ...]] = X, /, **backwards: Callable[..., Any]
) -> None:
    """Add the forms of a function."""
    for how, backward in backwards.items():
        wrt = tuple(n for n in inputs if n != "t")
        one = 1 if "one" in how else len(wrt)
        FORMS.append(Form(function, how.replace("_", " "), forward, backward, inputs, wrt[:one]))


def _softplus(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)


def _lse(x: Tensor) -> Tensor:
    return torch.logsumexp(x, -1, keepdim=True)


forms(
    "sigmoid", lambda x: torch.sigmoid(x),
    from_output=lambda g, x: g * torch.sigmoid(x) * (1 - torch.sigmoid(x)),
    from_input=lambda g, x: g * torch.exp(-x.abs()) / (1 + torch.exp(-x.abs())) ** 2,
    squared=lambda g, x: g * (torch.sigmoid(x) - torch.sigmoid(x) ** 2),
    by_tanh=lambda g, x: g * (1 - torch.tanh(x / 2) ** 2) / 4,
)  # fmt: skip
forms(
    "tanh", lambda x: torch.tanh(x),
    from_output=lambda g, x: g * (1 - torch.tanh(x) ** 2),
    product=lambda g, x: g * (1 - torch.tanh(x)) * (1 + torch.tanh(x)),
    from_input=lambda g, x: g * (2 / (torch.exp(x.abs()) + torch.exp(-x.abs()))) ** 2,
    subtracted=lambda g, x: g - g * torch.tanh(x) * torch.tanh(x),
)  # fmt: skip
forms(
    "exp", lambda x: torch.exp(-x.abs()),
    from_output=lambda g, x: -g * torch.exp(-x.abs()) * x.sign(),
    from_input=lambda g, x: g * torch.where(x > 0, -torch.exp(-x), torch.where(x < 0, torch.exp(x), torch.zeros_like(x))),
)  # fmt: skip
forms(
    "softplus", _softplus,
    sigmoid=lambda g, x: g * torch.sigmoid(x),
    from_output=lambda g, x: g * (1 - torch.exp(-_softplus(x))),
    expm1_of_output=lambda g, x: -g * torch.expm1(-_softplus(x)),
)  # fmt: skip
forms(
    "logsigmoid", lambda x: F.logsigmoid(x),
    one_minus=lambda g, x: g * (1 - torch.sigmoid(x)),
    mirrored=lambda g, x: g * torch.sigmoid(-x),
    from_output=lambda g, x: g * (1 - torch.exp(F.logsigmoid(x))),
)  # fmt: skip
forms(
    "silu", lambda x: F.silu(x),
    product=lambda g, x: g * torch.sigmoid(x) * (1 + x * (1 - torch.sigmoid(x))),
    from_output=lambda g, x: g * (F.silu(x) + torch.sigmoid(x) * (1 - F.silu(x))),
    summed=lambda g, x: g * (torch.sigmoid(x) + x * torch.sigmoid(x) * torch.sigmoid(-x)),
)  # fmt: skip
forms(
    "gelu", lambda x: F.gelu(x),
    erf=lambda g, x: g * (0.5 * (1 + torch.erf(x * 0.5**0.5)) + x * torch.exp(-0.5 * x * x) * 0.3989422804014327),
    erfc=lambda g, x: g * (0.5 * torch.erfc(-x * 0.5**0.5) + x * torch.exp(-0.5 * x * x) * 0.3989422804014327),
)  # fmt: skip
forms(
    "gelu tanh", lambda x: F.gelu(x, approximate="tanh"),
    tanh=lambda g, x: _gelu_tanh(g, x),
)  # fmt: skip
forms(
    "elu", lambda x: F.elu(x),
    from_output=lambda g, x: g * torch.where(x > 0, torch.ones_like(x), F.elu(x) + 1),
    from_input=lambda g, x: g * torch.where(x > 0, torch.ones_like(x), torch.exp(x)),
)  # fmt: skip
forms(
    "selu", lambda x: F.selu(x),
    from_output=lambda g, x: g * torch.where(x > 0, torch.full_like(x, 1.0507009873554805), F.selu(x) + 1.7580993408473766),
)  # fmt: skip
forms(
    "mish", lambda x: x * torch.tanh(_softplus(x)),
    tanh=lambda g, x: g * (torch.tanh(_softplus(x)) + x * (1 - torch.tanh(_softplus(x)) ** 2) * torch.sigmoid(x)),
)  # fmt: skip
forms(
    "softsign", lambda x: x / (1 + x.abs()),
    from_input=lambda g, x: g / (1 + x.abs()) ** 2,
    from_output=lambda g, x: g * (1 - (x / (1 + x.abs())).abs()) ** 2,
)  # fmt: skip
forms(
    "reciprocal root", lambda x: torch.rsqrt(x * x + 1),
    from_output=lambda g, x: -g * x * torch.rsqrt(x * x + 1) ** 3,
    from_input=lambda g, x: -g * x / ((x * x + 1) * torch.sqrt(x * x + 1)),
)  # fmt: skip
forms(
    "atan", lambda x: torch.atan(x),
    from_input=lambda g, x: g / (1 + x * x),
    by_cosine=lambda g, x: g * torch.cos(torch.atan(x)) ** 2,
)  # fmt: skip
forms(
    "log of cosh", lambda x: x.abs() + torch.log1p(torch.exp(-2 * x.abs())),
    tanh=lambda g, x: g * torch.tanh(x),
    quotient=lambda g, x: g * (1 - 2 / (torch.exp((2 * x).clamp(max=80)) + 1)),
)  # fmt: skip
forms(
    "softmax", lambda x: torch.softmax(x, -1),
    from_output=lambda g, x: torch.softmax(x, -1) * (g - (g * torch.softmax(x, -1)).sum(-1, keepdim=True)),
    two_products=lambda g, x: (
        g * torch.softmax(x, -1) - torch.softmax(x, -1) * (g * torch.softmax(x, -1)).sum(-1, keepdim=True)
    ),
    from_logsumexp=lambda g, x: _softmax_by(torch.exp(x - _lse(x)), g),
    jacobian=lambda g, x: (
        (torch.diag_embed(torch.softmax(x, -1)) - torch.softmax(x, -1)[:, :, None] * torch.softmax(x, -1)[:, None, :])
        @ g[:, :, None]
    )[:, :, 0],
)  # fmt: skip
forms(
    "log-softmax", lambda x: F.log_softmax(x, -1),
    from_output=lambda g, x: g - torch.exp(F.log_softmax(x, -1)) * g.sum(-1, keepdim=True),
    from_input=lambda g, x: g - torch.softmax(x, -1) * g.sum(-1, keepdim=True),
    recomputed=lambda g, x: g - torch.exp(x - _lse(x)) * g.sum(-1, keepdim=True),
)  # fmt: skip
forms(
    "logsumexp", lambda x: torch.logsumexp(x, -1),
    from_output=lambda g, x: g[:, None] * torch.exp(x - _lse(x)),
    softmax=lambda g, x: g[:, None] * torch.softmax(x, -1),
)  # fmt: skip
forms(
    "cross-entropy", lambda x, t: F.cross_entropy(x, t), {"x": (6, 9), "t": (6,)},
    softmax_minus_one_hot=lambda g, x, t: g * (torch.softmax(x, -1) - F.one_hot(t, x.shape[1])) / len(x),
    from_logsumexp=lambda g, x, t: g * (torch.exp(x - _lse(x)) - F.one_hot(t, x.shape[1])) / len(x),
    from_log_softmax=lambda g, x, t: g / len(x) * (torch.exp(F.log_softmax(x, -1)) - F.one_hot(t, x.shape[1])),
)  # fmt: skip
forms(
    "logits", lambda x, pt: F.binary_cross_entropy_with_logits(x, torch.exp(-pt)), {"x": (6, 9), "pt": (6, 9)},
    one_of_them=lambda g, x, pt: g * (torch.sigmoid(x) - torch.exp(-pt)) / x.numel(),
)  # fmt: skip
forms(
    "cumulative sum", lambda x: x.cumsum(-1),
    turned=lambda g, x: g.flip(-1).cumsum(-1).flip(-1),
    total_less_exclusive=lambda g, x: g.sum(-1, keepdim=True) - (g.cumsum(-1) - g),
    total_less_inclusive=lambda g, x: g + g.sum(-1, keepdim=True) - g.cumsum(-1),
)  # fmt: skip
forms(
    "variance", lambda x: x.var(-1, unbiased=False),
    two_pass=lambda g, x: 2 * g[:, None] * (x - x.mean(-1, keepdim=True)) / x.shape[-1],
    expanded=lambda g, x: 2 / x.shape[-1] * (g[:, None] * x - g[:, None] * x.mean(-1, keepdim=True)),
)  # fmt: skip
forms(
    "standard deviation", lambda x: torch.sqrt(x.var(-1, unbiased=False) + EPS),
    two_pass=lambda g, x: _deviation(g, x, x.var(-1, unbiased=False, keepdim=True)),
    one_pass=lambda g, x: _deviation(g, x, (x * x).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2),
)  # fmt: skip
forms(
    "layer norm", lambda x, w: F.layer_norm(x, (x.shape[-1],), w), {"x": (6, 9), "w": (9,)},
    two_pass=lambda g, x, w: _norm(g, x, w, x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)),
    one_pass=lambda g, x, w: _norm(
        g, x, w, x.mean(-1, keepdim=True), (x * x).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2
    ),
    sums=lambda g, x, w: _norm_by_sums(g, x, w),
    Welford=lambda g, x, w: _norm(g, x, w, *_welford(x)),
)  # fmt: skip
forms(
    "RMS norm", lambda x, w: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS) * w, {"x": (6, 9), "w": (9,)},
    from_normalised=lambda g, x, w: _rms(g, x, w),
    from_input=lambda g, x, w: _rms_cubed(g, x, w),
)  # fmt: skip
forms(
    "mean square", lambda x, y: F.mse_loss(x, y), {"x": (6, 9), "y": (6, 9)},
    difference=lambda g, x, y: (g * 2 * (x - y) / x.numel(), -g * 2 * (x - y) / x.numel()),
    divided_first=lambda g, x, y: (2 * g / x.numel() * (x - y), 2 * g / x.numel() * (y - x)),
)  # fmt: skip
forms(
    "norm", lambda x: torch.sqrt((x * x).sum(-1) + EPS),
    from_output=lambda g, x: g[:, None] * x / torch.sqrt((x * x).sum(-1, keepdim=True) + EPS),
    reciprocal=lambda g, x: g[:, None] * x * torch.rsqrt((x * x).sum(-1, keepdim=True) + EPS),
)  # fmt: skip
forms(
    "normalise", lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) + EPS),
    projected=lambda g, x: _normalise(g, x),
)  # fmt: skip
forms(
    "linear", lambda x, w: x @ w.T, {"x": (6, 9), "w": (4, 9)},
    products=lambda g, x, w: (g @ w, g.T @ x),
    einsum=lambda g, x, w: (torch.einsum("no,oi->ni", g, w), torch.einsum("no,ni->oi", g, x)),
    one_by_sums=lambda g, x, w: (g[:, :, None] * w[None]).sum(1),
)  # fmt: skip
forms(
    "attention", lambda q, k, v: torch.softmax(q @ k.mT / 2, -1) @ v, {"q": (2, 5, 4), "k": (2, 6, 4), "v": (2, 6, 4)},
    from_weights=lambda g, q, k, v: _attention(g, q, k, v, torch.softmax(q @ k.mT / 2, -1)),
    flash=lambda g, q, k, v: _attention(g, q, k, v, torch.exp(q @ k.mT / 2 - _lse(q @ k.mT / 2)), flash=True),
)  # fmt: skip
forms(
    "gated linear unit", lambda x, y: x * torch.sigmoid(y), {"x": (6, 9), "y": (6, 9)},
    from_gate=lambda g, x, y: (g * torch.sigmoid(y), g * x * torch.sigmoid(y) * (1 - torch.sigmoid(y))),
    from_output=lambda g, x, y: (g * torch.sigmoid(y), g * (x * torch.sigmoid(y)) * (1 - torch.sigmoid(y))),
)  # fmt: skip
forms(
    "SwiGLU", lambda x, y: F.silu(x) * y, {"x": (6, 9), "y": (6, 9)},
    recomputed=lambda g, x, y: (
        g * y * (torch.sigmoid(x) * (1 - F.silu(x)) + F.silu(x)),
        g * F.silu(x),
    ),
)  # fmt: skip
forms(
    "smooth L1", lambda x: F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none"),
    clamped=lambda g, x: g * x.clamp(-1, 1),
    chosen=lambda g, x: g * torch.where(x.abs() < 1, x, x.sign()),
)  # fmt: skip
forms(
    "divergence", lambda x, y: F.kl_div(F.log_softmax(x, -1), torch.softmax(y, -1), reduction="sum"),
    {"x": (6, 9), "y": (6, 9)},
    one_difference=lambda g, x, y: g * (torch.softmax(x, -1) - torch.softmax(y, -1)),
)  # fmt: skip
forms(
    "entropy", lambda x: -(torch.softmax(x, -1) * F.log_softmax(x, -1)).sum(-1),
    centred=lambda g, x: _entropy(g, x),
)  # fmt: skip


def _softmax_by(p: Tensor, g: Tensor) -> Tensor:
    return p * (g - (g * p).sum(-1, keepdim=True))


def _gelu_tanh(g: Tensor, x: Tensor) -> Tensor:
    c = 0.7978845608028654
    t = torch.tanh(c * (x + 0.044715 * x * x * x))
    return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x))


def _deviation(g: Tensor, x: Tensor, var: Tensor) -> Tensor:
    return g[:, None] * (x - x.mean(-1, keepdim=True)) / (x.shape[-1] * torch.sqrt(var + EPS))


def _norm(g: Tensor, x: Tensor, w: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    rstd = torch.rsqrt(var + EPS)
    xhat = (x - mean) * rstd
    h = g * w
    return rstd * (h - h.mean(-1, keepdim=True) - xhat * (h * xhat).mean(-1, keepdim=True)), (g * xhat).sum(0)


def _norm_by_sums(g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """As fused kernels have it: two sums over the row, and one pass over the elements."""
    n = x.shape[-1]
    mean = x.mean(-1, keepdim=True)
    rstd = torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + EPS)
    a = (g * w).sum(-1, keepdim=True)
    b = (g * w * (x - mean)).sum(-1, keepdim=True) * rstd
    return (rstd / n) * (n * g * w - a - (x - mean) * rstd * b), (g * (x - mean) * rstd).sum(0)


def _welford(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of rows, one column after the other (of nine: a loop over a size is checked at that size)."""
    mean, square = x[:, :1] * 0, x[:, :1] * 0
    for k in range(x.shape[1]):
        delta = x[:, k : k + 1] - mean
        mean = mean + delta / (k + 1)
        square = square + delta * (x[:, k : k + 1] - mean)
    return mean, square / x.shape[1]


def _rms(g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    r = torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS)
    xhat = x * r
    return r * (g * w - xhat * (g * w * xhat).mean(-1, keepdim=True)), (g * xhat).sum(0)


def _rms_cubed(g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    r = torch.rsqrt((x * x).mean(-1, keepdim=True) + EPS)
    return g * w * r - x * r**3 * (g * w * x).sum(-1, keepdim=True) / x.shape[-1], (g * x * r).sum(0)


def _normalise(g: Tensor, x: Tensor) -> Tensor:
    r = torch.rsqrt((x * x).sum(-1, keepdim=True) + EPS)
    return r * (g - x * r * (g * x * r).sum(-1, keepdim=True))


def _attention(g: Tensor, q: Tensor, k: Tensor, v: Tensor, p: Tensor, flash: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    dp = g @ v.mT
    row = (g * (p @ v)).sum(-1, keepdim=True) if flash else (dp * p).sum(-1, keepdim=True)
    ds = p * (dp - row) / 2
    return ds @ k, ds.mT @ q, p.mT @ g


def _entropy(g: Tensor, x: Tensor) -> Tensor:
    p, logs = torch.softmax(x, -1), F.log_softmax(x, -1)
    return -g[:, None] * p * (logs - (p * logs).sum(-1, keepdim=True))


def data_of(form: Form, deviation: float, seed: int) -> dict[str, Tensor]:
    """Normal numbers; labels, and what is positive, as the form says."""
    generator = torch.Generator().manual_seed(1000 * seed + 7)
    out = {}
    for n, shape in form.inputs.items():
        if n == "t":
            out[n] = torch.randint(0, 9, shape, generator=generator)
        else:
            t = torch.randn(shape, generator=generator, dtype=torch.float64) * (1 if n == "w" else deviation)
            out[n] = t.abs() if n.startswith("p") else t
    return out


def checked(form: Form, dtype: torch.dtype, deviation: float, seed: int, off: float = 0.0) -> Report:
    """The check of a form; ``off``: by which part each gradient is off, at all data."""

    def backward(**given: Tensor) -> dict[str, Tensor]:
        found = form.backward(given.pop("grad_output"), **given)
        found = dict(zip(form.wrt, found if isinstance(found, tuple) else (found,)))
        return {n: g * (1 + off) for n, g in found.items()} if off else found

    backward.__signature__ = _signature(["grad_output", *form.inputs])  # type: ignore[attr-defined]
    return dc.check(form.forward, data_of(form, deviation, seed), backward, dtype=dtype, seed=seed, wrt=form.wrt)


def _signature(names: list[str]) -> Any:
    import inspect

    return inspect.Signature([inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names])


def cases(types: list[str], seeds: int, only: str) -> Iterator[tuple[Form, str, float, int]]:
    """Every form, type, deviation and seed."""
    for form in FORMS:
        for name in types:
            for deviation in DEVIATIONS[name]:
                for seed in range(seeds):
                    if only in form.name:
                        yield form, name, deviation, seed


def main() -> int:
    """Run what is asked for; the number of right forms that are called wrong or vacuous, and of mutants that pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--types", nargs="*", default=list(TYPES))
    parser.add_argument("--only", default="")
    parser.add_argument("--mutants", action="store_true", help="also each form a hundred bounds off")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in options.types}
    alarms = missed = mutants = 0
    for form, name, deviation, seed in cases(options.types, options.seeds, options.only):
        report = checked(form, TYPES[name], deviation, seed)
        verdicts[name].update(r.verdict for r in report)
        if any(r.faulty or r.verdict not in ("passed", "right but ill-conditioned") for r in report):
            alarms += 1
            print(f"ALARM {form.name}, {name}, deviation {deviation:g}, seed {seed}: {report}", flush=True)
        if options.mutants and not seed:
            part = max(r.sensitivity for r in report if r.name in form.wrt)
            mutants += 1
            if checked(form, TYPES[name], deviation, seed, off=100 * part).passed:
                missed += 1
                print(f"MISSED {form.name}, {name}, deviation {deviation:g}: {100 * part:.1e}", flush=True)
    took = time.perf_counter() - start
    functions = len({f.function for f in FORMS})
    for name, found in verdicts.items():
        print(f"{name}: {dict(found)}")
    print(f"{len(FORMS)} forms of {functions} functions: {alarms} alarms; {missed} of {mutants} mutants missed ({took:.0f} s)")
    return alarms + missed


if __name__ == "__main__":
    raise SystemExit(main() > 0)
