"""Misses: wrong gradients beside what other checkers say of them, in one process.

    python -m benchmarks.misses

Each mutant changes a right hand-written backward by a given part of the gradient's norm (1e-9 in float64, 1e-4
in float32, 5e-2 in bfloat16) in one of several ways.  Prints how many each checker lets pass: this check,
``torch.autograd.gradcheck`` slow and fast at their defaults, ``torch.testing.assert_close`` of the right gradient
at its default.  gradcheck is made for float64; in other types it is run all the same, and what it then says of the
right backward is printed beside.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

import derivcheck as dc
from derivcheck.checking.check import examine
from derivcheck.checking.subject.subject import Subject
from derivcheck.derived import Derivation
from examples.gallery import LAYERS

Tensors = dict[str, torch.Tensor]
PART = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2}


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "linear": {"x": (6, 5), "w": (4, 5), "b": (4,)},
    "mse": {"x": (6, 5), "w": (4, 5), "b": (4,), "y": (6, 4)},
    "layer norm": {"x": (6, 8), "w": (8,), "b": (8,)},
    "softmax": {"x": (6, 8)},
    "gelu": {"x": (6, 8)},
    "attention": {"q": (2, 5, 4), "k": (2, 5, 4), "v": (2, 5, 4)},
}


def _place(g: torch.Tensor, at: int) -> torch.Tensor:
    out = torch.zeros(g.numel(), dtype=torch.float64)
    out[at % g.numel()] = 1
    return out.reshape(g.shape)


def directions(g: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """Ways of being wrong: float64 directions of norm 1 in the shape of the gradient."""
    generator = torch.Generator().manual_seed(seed)
    d = g.detach().double()
    last = torch.zeros_like(d)
    last[..., -1:] = d[..., -1:]
    first = torch.zeros_like(d)
    first[:1] = d[:1]
    ways = {
        "all too large": d,
        "one element": _place(d, 7 * seed + 1),
        "the largest element": _place(d, int(d.abs().argmax())),
        "the last column": last,
        "the first row": first,
        "shifted by a constant": torch.ones_like(d),
        "rolled": d.roll(1, -1) - d,
        "signs of some": d * (torch.rand(d.shape, generator=generator, dtype=torch.float64) < 0.3),
    }
    return {n: w / torch.linalg.vector_norm(w) for n, w in ways.items() if float(torch.linalg.vector_norm(w)) > 0}


def function(forward: Callable[..., Any], backward: Callable[..., Tensors], names: list[str]) -> Any:
    """An autograd.Function of a forward and a hand-written backward."""

    class Mine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Any:
            ctx.save_for_backward(*args)
            return forward(*args)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:  # type: ignore[override]
            out = backward(grad_output=g, **dict(zip(names, ctx.saved_tensors)))
            return tuple(out[n] for n in names)

    return Mine


def gradcheck(forward: Any, backward: Any, tensors: Tensors, fast: bool) -> bool:
    """Whether torch's gradcheck passes it."""
    leaves = tuple(t.clone().requires_grad_() for t in tensors.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.autograd.gradcheck(
            function(forward, backward, list(tensors)).apply, leaves, fast_mode=fast, raise_exception=False
        )


def main() -> int:
    """Run all; the number of mutants that this check lets pass."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    mutants: Counter[str] = Counter()
    missed: dict[str, Counter[str]] = {k: Counter() for k in ("check", "gradcheck slow", "gradcheck fast", "assert_close")}
    right: dict[str, set[str]] = {"gradcheck slow": set(), "gradcheck fast": set()}
    for name, shapes in SHAPES.items():
        forward, backward, d = LAYERS[name].forward, LAYERS[name].backward, None
        for dtype, part in PART.items():
            kind = str(dtype).removeprefix("torch.")
            for seed in range(3):
                generator = torch.Generator().manual_seed(seed)
                tensors = {n: torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for n, s in shapes.items()}
                d = d or dc.derive(forward, **tensors)
                wrt = tuple(tensors)
                s = Subject(Derivation(d.program, wrt), None, tensors, wrt, name)
                assert examine(s, backward, None, dtype, 0, None, hostile=False, witnesses=False).passed, (name, dtype)
                for mode, fast in (("gradcheck slow", False), ("gradcheck fast", True)):
                    if seed == 0 and gradcheck(forward, backward, tensors, fast):
                        right[mode].add(f"{name} {kind}")
                for wrong in wrt:
                    up = torch.ones((), dtype=dtype) if name == "mse" else torch.ones(1)
                    true = backward(grad_output=forward(**tensors) * 0 + up.to(dtype), **tensors)[wrong]
                    for way, _ in directions(true, seed).items():

                        def mutant(
                            grad_output: Any,
                            _wrong: str = wrong,
                            _way: str = way,
                            _seed: int = seed,
                            _part: float = part,
                            _right: Any = backward,
                            **given: Any,
                        ) -> Tensors:
                            out = _right(grad_output=grad_output, **given)
                            g = out[_wrong].double()
                            step = directions(g, _seed).get(_way)
                            if step is not None:
                                g = g + 1.01 * _part * torch.linalg.vector_norm(g) * step
                            return {**out, _wrong: g.to(out[_wrong].dtype)}

                        mutants[kind] += 1
                        report = examine(s, mutant, None, dtype, 0, None, hostile=False, witnesses=False)
                        if not report.faulty:
                            missed["check"][kind] += 1
                            row = report[wrong]
                            print(
                                f"missed: {name} {kind} {wrong} {way}: {row.verdict}, smallest seen {row.sensitivity:.1e}",
                                flush=True,
                            )
                        for mode, fast in (("gradcheck slow", False), ("gradcheck fast", True)):
                            if f"{name} {kind}" in right[mode] and gradcheck(forward, mutant, tensors, fast):
                                missed[mode][kind] += 1
                        got = mutant(grad_output=forward(**tensors) * 0 + up.to(dtype), **tensors)[wrong]
                        try:
                            torch.testing.assert_close(got, true)
                            missed["assert_close"][kind] += 1
                        except AssertionError:
                            pass
    took = time.perf_counter() - start
    kinds = list(mutants)
    print(f"\n{sum(mutants.values())} mutants ({took:.0f} s)")
    print(f"{'missed of':16}" + "".join(f"{k} {mutants[k]:>5}   " for k in kinds))
    for checker, counts in missed.items():
        usable = {k: sum(f"{n} {k}" in right[checker] for n in SHAPES) for k in kinds} if checker in right else None
        cells = "".join(f"{counts[k]:>{len(k) + 6}}   " for k in kinds)
        more = (
            ""
            if usable is None
            else f"   (passes the right backward of {', '.join(f'{v} of {len(SHAPES)} in {k}' for k, v in usable.items())})"
        )
        print(f"{checker:16}{cells}{more}")
    return sum(missed["check"].values())


if __name__ == "__main__":
    raise SystemExit(main() > 0)
