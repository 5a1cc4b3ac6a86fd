"""False alarms: correct gradients in every type, shape, kind of data and layout; none may be called wrong.

    python -m benchmarks.false_alarms [--seeds 3] [--probes]

Each case is a native kernel of torch (its own backward through autograd) or a hand-written form, checked at
its own data with the bound of its own type; with ``--probes`` as ``check`` does it, with every witness and every
hostile probe, at the smallest shape of each layer.  Prints the cases, the faulty ones (0 is the aim), and how many
were judged vacuous.
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
from derivcheck.checking.check import examine
from derivcheck.checking.subject.subject import Subject
from derivcheck.derived import Derivation
from examples.gallery import LAYERS as GALLERY

Tensors = dict[str, torch.Tensor]
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
KINDS = ("normal", "offset", "constant", "wide", "sparse")


@dataclass
class Case:
    """A forward, the shapes of its inputs at several sizes, and a hand-written backward where one is tried too."""

    forward: Callable[..., Any]
    shapes: tuple[dict[str, tuple[int, ...]], ...]
    ints: dict[str, int]  # integer inputs and what they stay below
    backward: Callable[..., Tensors] | None = None


def _square(*sizes: tuple[int, ...], **names: str) -> tuple[dict[str, tuple[int, ...]], ...]:
    """Shapes by name: ``x="a b"`` picks from each tuple of sizes by letter."""
    return tuple({n: tuple(s["abcdefg".index(k)] for k in t.split()) for n, t in names.items()} for s in sizes)


S2 = ((4, 5), (33, 64), (512, 128), (64, 512))
S3 = ((4, 5, 3), (33, 64, 20), (128, 512, 64), (512, 64, 128))
LAYERS: dict[str, Case] = {
    "linear": Case(GALLERY["linear"].forward, _square(*S3, x="a b", w="c b", b="c"), {}, GALLERY["linear"].backward),
    "mse of linear": Case(GALLERY["mse"].forward, _square(*S3, x="a b", w="c b", b="c", y="a c"), {}),
    "layer_norm": Case(GALLERY["layer norm"].forward, _square(*S2, x="a b", w="b", b="b"), {}, GALLERY["layer norm"].backward),
    "rms_norm": Case(GALLERY["rms norm"].forward, _square(*S2, x="a b", w="b"), {}),
    "softmax": Case(GALLERY["softmax"].forward, _square(*S2, x="a b"), {}, GALLERY["softmax"].backward),
    "log_softmax": Case(lambda x: F.log_softmax(x, -1), _square(*S2, x="a b"), {}),
    "logsumexp": Case(lambda x: torch.logsumexp(x, -1), _square(*S2, x="a b"), {}),
    "cross_entropy": Case(lambda x, t: F.cross_entropy(x, t), _square(*S2, x="a b", t="a"), {"t": 1}),
    "gelu": Case(GALLERY["gelu"].forward, _square(*S2, x="a b"), {}, GALLERY["gelu"].backward),
    "silu": Case(lambda x: F.silu(x), _square(*S2, x="a b"), {}),
    "tanh mlp": Case(lambda x, w: torch.tanh(x @ w.T), _square(*S3, x="a b", w="c b"), {}),
    "relu mlp": Case(GALLERY["relu of linear"].forward, _square(*S3, x="a b", w="c b"), {}),
    "embedding": Case(
        GALLERY["embedding"].forward,
        _square((4, 5, 7), (1000, 16, 3), (512, 64, 50), ids="a", table="c b"),
        {"ids": 0},
    ),
    "bmm": Case(
        lambda x, y: torch.bmm(x, y), _square((2, 3, 4, 5), (4, 32, 64, 16), (2, 128, 128, 64), x="a b c", y="a c d"), {}
    ),
    "attention": Case(
        GALLERY["attention"].forward,
        _square((2, 3, 4), (4, 32, 16), (2, 128, 32), q="a b c", k="a b c", v="a b c"),
        {},
    ),
}


def tensors_of(
    layer: Case, shapes: dict[str, tuple[int, ...]], kind: str, dtype: torch.dtype, contiguous: bool, seed: int
) -> Tensors:
    """The data of a case."""
    g = torch.Generator().manual_seed(seed)
    out: Tensors = {}
    for n, shape in shapes.items():
        if n in layer.ints:
            table = next(s for m, s in shapes.items() if m not in layer.ints)
            out[n] = torch.randint(table[-1] if layer.ints[n] else table[0], shape, generator=g)
            continue
        t = torch.randn(shape, generator=g, dtype=torch.float64)
        if kind == "offset":
            t = t + 1e3
        elif kind == "constant":
            t = torch.full_like(t, 1.3)
        elif kind == "wide":
            span = 6 if dtype in (torch.float64, torch.float32, torch.bfloat16) else 2
            t = t * torch.logspace(-span, span, t.numel(), dtype=torch.float64).reshape(shape) if n == "x" else t
        elif kind == "sparse":
            t = t * (t.abs() > 1.2)
        t = t.to(dtype)
        out[n] = t.mT.contiguous().mT if not contiguous and t.ndim >= 2 else t
    return out


def cases(seeds: int, smallest: bool) -> Iterator[tuple[str, Case, Derivation, Tensors, str]]:
    """Every case: its name, layer, derivation and data."""
    for name, layer in LAYERS.items():
        d = None
        for shapes in layer.shapes[:1] if smallest else layer.shapes:
            for dtype in DTYPES:
                for kind in KINDS:
                    for contiguous in (True, False):
                        for seed in range(seeds):
                            tensors = tensors_of(layer, shapes, kind, dtype, contiguous, seed)
                            if d is None:
                                d = dc.derive(layer.forward, **tensors)
                            if any(not bool(torch.isfinite(t).all()) for t in tensors.values() if t.is_floating_point()):
                                continue
                            yield f"{name} {tuple(shapes.values())[0]} {dtype} {kind}", layer, d, tensors, kind


def main(seeds: int, probes: bool) -> int:
    """Run all; the number of false alarms."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    total, verdicts = 0, Counter[str]()
    alarms: list[str] = []
    for name, layer, d, tensors, _ in cases(seeds, probes):
        wrt = tuple(n for n, t in tensors.items() if t.is_floating_point())
        dtype = tensors[wrt[0]].dtype
        for backward in (None, layer.backward) if layer.backward is not None else (None,):
            s = Subject(Derivation(d.program, wrt), lambda t, f=layer.forward: f(**t), dict(tensors), wrt, name)
            report = examine(s, backward, None, dtype, 0, None, hostile=probes, witnesses=probes)
            total += 1
            verdicts.update(r.verdict for r in report)
            if report.faulty or any(r.verdict in ("undecided", "not reproduced") for r in report):
                how = "native" if backward is None else "by hand"
                alarms.append(
                    f"{name} ({how}): "
                    + "; ".join(f"{r.sentence()} {r.max_error:.1e}>{r.tolerance:.1e}" for r in report.failures)
                )
                print("ALARM", alarms[-1], flush=True)
    took = time.perf_counter() - start
    print(
        f"{total} correct cases over {len(LAYERS)} layers, {len(DTYPES)} types, {len(KINDS)} kinds of data: "
        f"{len(alarms)} false alarms "
        f"({took:.0f} s); gradients: {dict(verdicts)}"
    )
    return len(alarms)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--probes", action="store_true", help="with every witness and probe, at the smallest shapes")
    options = parser.parse_args()
    raise SystemExit(main(options.seeds, options.probes) > 0)
