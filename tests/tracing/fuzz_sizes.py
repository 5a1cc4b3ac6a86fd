"""A search for code whose sizes are misread: random functions of sizes, derived once and held against autograd at ten sizes.

    python -m tests.tracing.fuzz_sizes 20000 [FIRST]      # seeds FIRST … FIRST + 20000

Each function computes numbers from ``x.shape`` and uses them in slices, pads, chunks, branches, tables, loops and products.  At
each size the derivation's code gives autograd's value and gradient, or refuses; anything else is a silent disagreement.
"""

from __future__ import annotations

import math
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

import derivcheck as dc

Function = Callable[[torch.Tensor], torch.Tensor]
POINTS = [
    (0, 3),
    (1, 1),
    (2, 2),
    (1, 6),
    (3, 1),
    (4, 5),
    (9, 2),
    (17, 33),
    (31, 64),
    (65, 7),
    (70, 130),
    (129, 3),
    (257, 5),
    (300, 40),
    (600, 2),
    (1025, 3),
    (2, 1100),
    (3, 513),
    (5000, 1),
    (2, 4099),
]


class Writer:
    """Writes the text of one random function of ``x``."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def constant(self) -> int:
        return self.random.choice((1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 64, 100, 128, 255, 256, 512))

    def size(self) -> str:
        return self.pick(
            "n",
            "m",
            "n",
            "m",
            "x.shape[0]",
            "x.size(-1)",
            "len(x)",
            "x.numel()",
            "x.shape[-1]",
            "math.prod(x.shape)",
            "sum(x.shape)",
        )

    def whole(self, depth: int = 2) -> str:
        """A whole number made of sizes."""
        if depth == 0:
            return self.size() if self.random.random() < 0.75 else str(self.constant())
        a, b, c = self.whole(depth - 1), self.whole(depth - 1), self.constant()
        return self.pick(
            f"({a} + {b})",
            f"({a} - {c})",
            f"({a} * {self.random.choice((2, 3))})",
            f"({a} // {c})",
            f"({a} % {c})",
            f"(-(-{a} // {c}))",
            f"(({a} + {c} - 1) // {c})",
            f"min({a}, {c})",
            f"max({c}, {a})",
            f"max(1, {a} // 4)",
            f"min({a}, {b}, {c})",
            f"abs({a} - {b})",
            f"({a} >> {self.random.randrange(1, 7)})",
            f"({a} << 1)",
            f"divmod({a}, {c})[{self.random.randrange(2)}]",
            f"math.ceil({a} / {c})",
            f"int({a} / {c})",
            f"math.floor({a} / {c})",
            f"({self.constant() % 9} if {a} > {c} else {self.constant() % 7})",
            f"({a} if {a} < {c} else {c})",
            f"{{{c}: 3, {c + 1}: 4}}.get({a}, 2)",
            f"sorted(({a}, {b}))[0]",
            f"({a} & {self.random.choice((1, 3, 7, 63))})",
            f"math.gcd({a}, {c})",
            f"round({a} / {c})",
            f"int({a} ** 0.5)",
            f"[3, 5, 7][{a} % 3]",
            f"int(float({a}))",
            f"(1 << max(0, {a} - 1).bit_length())",
            f"math.isqrt({a})",
            f"int(str({a})[0])",
            f"({a} | {c})",
            f"len(range(0, {a}, {c}))",
        )

    def real(self) -> str:
        a, c = self.whole(1), self.constant()
        return self.pick(
            f"1 / ({a} + 1)",
            f"math.sqrt({a} + 1)",
            f"({a} + 1) ** -0.5",
            f"{a} / {c}",
            f"0.1 * {a}",
            f"math.log({a} + 2)",
            f"float({a})",
            f"({a} - {c}) / ({self.size()} + 1)",
            f"1.5 / max({a}, 1)",
            f"math.log2({a} + 1)",
        )

    def bound(self) -> str:
        return self.pick(
            "", str(self.constant()), f"-{self.constant()}", self.whole(1), f"-({self.whole(1)})", "n // 2", "m // 2", ""
        )

    def statement(self) -> None:
        w, c, dim = self.whole(1), self.constant(), self.random.randrange(2)
        full = ":, " if dim else ""
        kind = self.random.randrange(20)
        if kind < 4:
            self.lines.append(f"x = x[{full}{self.bound()}:{self.bound()}]")
        elif kind == 4:
            self.lines.append(f"x = x[{full}::{self.random.randrange(1, 4)}]")
        elif kind == 5:
            self.lines.append(f"x = x.chunk({self.random.randrange(1, 4)}, {dim})[0]")
        elif kind == 6:
            self.lines.append(f"x = x.split({c}, {dim})[0]")
        elif kind == 7:
            self.lines.append(f"x = x.tensor_split({self.pick('2', '3', f'[{c}]')}, {dim})[0]")
        elif kind == 8:
            self.lines.append(f"x = F.pad(x, ({self.pick('0, ', f'({w}) % 5, ')}(-{self.whole(1)}) % {c}))")
        elif kind == 9:
            self.lines.append(f"x = torch.roll(x, {w}, {dim})")
        elif kind == 10:
            self.lines.append(
                f"x = x.narrow({dim}, 0, {self.pick(f'min(x.shape[{dim}], {c})', f'x.shape[{dim}] // 2', str(c))})"
            )
        elif kind == 11:
            self.lines += [f"if {self.whole(1)} {self.pick('>', '<', '>=', '==', '!=')} {self.whole(1)}:", "    x = 2 * x"]
        elif kind == 12:
            self.lines += [
                f"for i in range(0, x.shape[{dim}], {self.random.choice((64, 256, 1000, 3))}):",
                f"    s = s + (x[{full}i : i + 5] ** 2).sum()",
            ]
        elif kind == 13:
            self.lines.append(f"x = x * ({self.real()})")
        elif kind == 14:
            self.lines.append(f"x = torch.cat([x, x[{full}:{c}]], {dim})")
        elif kind == 15:
            self.lines.append(
                self.pick(
                    "x = x.flatten().reshape(-1, 1)",
                    "x = x.reshape(x.shape[1], x.shape[0])",
                    "x = x.t()",
                    "x = x.repeat(1, 2)",
                    "x = x.contiguous().view(-1, x.shape[-1])",
                )
            )
        elif kind == 16:
            self.lines.append(f"x = x + torch.arange(x.shape[1], dtype=x.dtype) / {self.pick(str(c), f'(1 + {w})')}")
        elif kind == 17:
            self.lines.append(f"s = s + x.sum() / (1 + {w})")
        elif kind == 18:
            self.lines.append(f"x = torch.where(torch.arange(x.shape[1]) < {w}, x, 0.5 * x)")
        else:
            self.lines.append(f"x = x / ({self.real()} + 3)")

    def text(self) -> str:
        """The function's text."""
        for _ in range(self.random.randrange(1, 4)):
            self.statement()
        end = self.pick(
            "(x ** 2).sum()",
            "(x ** 2).mean()",
            f"(x ** 3).sum() / (1 + {self.whole(2)})",
            f"(x ** 2).sum() * {self.whole(2)}",
            "x.sin()",
        )
        body = ["n, m = x.shape", "s = 0.0", *self.lines, f"return {end} + s" if self.random.random() < 0.9 else "return x * x"]
        return "def f(x):\n" + "".join(f"    {line}\n" for line in body)


def function(seed: int) -> tuple[Function, str]:
    """A random function of a matrix, and its text."""
    text = Writer(seed).text()
    names: dict[str, Any] = {"math": math, "torch": torch, "F": F}
    exec(compile(text, f"<random {seed}>", "exec"), names)
    return names["f"], text


@dataclass
class Outcome:
    """What became of one function: ``agree`` (somewhere), ``refused`` (everywhere), ``invalid`` code, ``silent`` (wrong), or
    ``crash``."""

    kind: str
    text: str
    detail: str = ""


def _autograd(f: Function, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    leaf = x.clone().requires_grad_()
    out = f(leaf)
    g = torch.ones_like(out)
    if not out.requires_grad:
        return out.detach(), g, torch.zeros_like(x)
    (grad,) = torch.autograd.grad(out, leaf, g, allow_unused=True)
    return out.detach(), g, torch.zeros_like(x) if grad is None else grad


def _close(f: Function, x: torch.Tensor, found: torch.Tensor, wanted: torch.Tensor, what: str) -> bool:
    """Equal to nine digits, or to what a change in the last three bits of the data does, or of a place that is added to them:
    ``sin(1e4*x)`` has fewer."""
    if torch.allclose(found, wanted, rtol=1e-9, atol=1e-10, equal_nan=True):
        return True
    moved = (_autograd(f, other)[0 if what == "value" else 2] for other in (x * (1 + 2**-49), x + 2**-49 * max(x.shape)))
    allowed = 2 * sum((m - wanted).abs() for m in moved) + 1e-9 * wanted.abs() + 1e-10
    return bool(((found - wanted).abs() <= allowed).all())


def tried(seed: int, points: int = 10) -> Outcome:
    """Derive one random function and hold it against autograd."""
    f, text = function(seed)
    rng = random.Random(seed + 1)
    example = torch.randn(rng.choice((1, 2, 3, 5, 8, 9, 20)), rng.choice((1, 2, 4, 6, 7, 33)), dtype=torch.float64)
    try:
        _autograd(f, example)
    except Exception:
        return Outcome("invalid", text)
    try:
        d = dc.derive(f, dims={"x": "N M"}) if seed % 2 else dc.derive(f, x=example)
        run = d.compile()
    except (dc.UnsupportedOperation, dc.InputError) as e:
        return Outcome("refused", text, str(e))
    except Exception as e:
        return Outcome("crash", text, f"derive: {type(e).__name__}: {e}")
    held = 0
    for n, m in [tuple(example.shape), *rng.sample(POINTS, points)]:
        x = torch.randn(n, m, dtype=torch.float64, generator=torch.Generator().manual_seed(n + 7 * m))
        try:
            value, g, want = _autograd(f, x)
        except Exception:
            continue  # torch raises
        try:
            found, grads = run(x=x) if g.ndim == 0 else run(x=x, grad_output=g)
        except (ValueError, IndexError) as e:
            if not str(e):
                return Outcome("crash", text, f"at {n, m}: {type(e).__name__} without a word")
            continue
        except Exception as e:
            return Outcome("crash", text, f"at {n, m}: {type(e).__name__}: {e}")
        for a, b, what in ((found, value, "value"), (grads["x"], want, "gradient")):
            if a.shape != b.shape or a.dtype != b.dtype or not _close(f, x, a, b, what):
                return Outcome("silent", text, f"{what} at {n, m}; conditions {d.program.conditions}")
        held += 1
    return Outcome("agree" if held else "refused", text, "" if held else "at every size")


def main(count: int, first: int = 0) -> int:
    """Try many; print what is wrong, and the counts.  Returns the number of silent disagreements and crashes."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    start, counts = time.perf_counter(), Counter[str]()
    reasons: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            outcome = tried(seed)
        except KeyboardInterrupt:  # interrupted, it says how far it came
            count = seed - first
            break
        counts[outcome.kind] += 1
        if outcome.kind in ("silent", "crash"):
            print(f"seed {seed}: {outcome.kind}: {outcome.detail}\n{outcome.text}", flush=True)
        if outcome.kind == "refused":
            reasons[" ".join(outcome.detail.split())[:70]] += 1
    valid = sum(counts.values()) - counts["invalid"]
    share, took = counts["refused"] / max(valid, 1), time.perf_counter() - start
    print(f"{count} functions, {valid} of them valid: {dict(counts)}; refused {share:.1%} in {took:.0f} s")
    for reason, k in reasons.most_common(12):
        print(f"  {k:5} {reason}")
    return counts["silent"] + counts["crash"]


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), *map(int, sys.argv[2:]))))
