"""Random recurrences: one or two definitions that refer to each other's earlier (or later) steps."""

from __future__ import annotations

from random import Random

import torch

from derivcheck.notation.integers.polynomials import Index, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.brackets import bracket
from derivcheck.notation.terms.build import ONE, add, func, mul, ref, sub
from derivcheck.notation.terms.nodes import Term
from derivcheck.notation.terms.substitute import summation

T, B = size("T"), size("B")
INPUTS = (Input("a", (T, B)), Input("c", (B, T)), Input("h0", (B,)), Input("w", (B, B)))


def recurrence(seed: int) -> Program:
    """``h[t, b] := [t = 0]·h0[b] + [t >= 1]·f(h[t−1, ·], a, …)`` and variants of it."""
    r = Random(seed)
    t, b, j = Index("t", T), Index("b", B), Index("j", B)
    names = r.choice([("h",), ("h", "g")])
    down = r.random() < 0.4
    two = r.random() < 0.3  # two steps back
    transposed = r.random() < 0.3
    definitions = []
    for n in names:
        other = r.choice(names)
        step = 2 if two and r.random() < 0.5 else 1
        p = i_poly(t) + (step if down else -step)
        guard = bracket(">=", T - 1 - p if down else p)

        def earlier(name: str, k: Index, at: object = p) -> Term:
            return ref(name, k, at) if transposed else ref(name, at, k)  # type: ignore[arg-type]

        mixed = r.choice(
            [
                mul(earlier(other, b), sub(ONE, ref("c", b, t))),
                func("tanh", add(summation([j], mul(ref("w", b, j), earlier(other, j))), ref("a", t, b))),
                add(mul(ref("c", b, p if r.random() < 0.5 else t), earlier(n, b)), ref("a", t, b)),
            ]
        )
        first = r.choice([bracket("==", i_poly(t) - (T - 1 if down else as_poly(0))), ref("a", t, b), ref("h0", b)])
        term = add(mul(guard, mixed), mul(first, ref("h0", b)))
        if n == "g" and r.random() < 0.5:  # reads the same step of the other
            term = add(term, ref("h", b, t) if transposed else ref("h", t, b))
        definitions.append(Definition(n, (b, t) if transposed else (t, b), term))
    read = ref(names[-1], b, t) if transposed else ref(names[-1], t, b)
    y = Definition("y", (b,), summation([t], mul(read, ref("a", t, b))))
    return Program(INPUTS, (*definitions, y), ("y", names[0]), structure="tuple")


def recurrence_inputs(seed: int, sizes: dict[str, int]) -> dict[str, torch.Tensor]:
    """Tensors for the inputs above."""
    g = torch.Generator().manual_seed(seed % (1 << 31))
    return {a.name: torch.randn([d.at(sizes) for d in a.dims], generator=g, dtype=torch.float64) for a in INPUTS}
