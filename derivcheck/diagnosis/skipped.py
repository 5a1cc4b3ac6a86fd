"""A normalisation left out of the chain rule: the gradient of what was normalised, returned as that of the input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from derivcheck.diagnosis.factors import laid
from derivcheck.diagnosis.guess import Example, Guess, edited, place
from derivcheck.diagnosis.scene import Scene, backward_definitions
from derivcheck.notation.terms.build import add, mul, power, ref

EXAMPLE = Example(
    forward="r[n] := sum(c: x[n,c]^2)^(1/2); y[n,c] := w[c]*(x[n,c]/r[n])^3",
    dims={"x": "N C", "w": "C"},
    parameter="x",
    right="r[n] := sum(c: x[n,c]^2)^(1/2); g[n,c] := 3*grad_output[n,c]*w[c]*(x[n,c]/r[n])^2; "
    "x_bar[n,c] := g[n,c]/r[n] - x[n,c]*sum(k: g[n,k]*x[n,k])/r[n]^3",
    wrong=lambda grad_output, x, w: {"x": _unnormalised(grad_output, x, w)},
    says="left out of the chain rule",
)


def _unnormalised(g: Tensor, x: Tensor, w: Tensor) -> Tensor:
    return 3 * g * w * torch.nn.functional.normalize(x, dim=1) ** 2


def skipped(scene: Scene, others: list[Scene]) -> Iterator[Guess]:
    """Statistics of an input whose paths are left out, where the rest is not divided (or multiplied) by one of them either."""
    for d in backward_definitions(scene.program, scene.case.forward):
        through = dict.fromkeys(p.through for p in d.paths if p.through)
        statistics = [n for n in through if len(scene.full.dims(n)) < len(d.indices)]
        for count in range(1, min(len(statistics), 3) + 1):
            for chosen in combinations(statistics, count):
                stay = [p.term for p in d.paths if p.through not in chosen]
                words = f"the normalisation by {' and '.join(chosen)} is left out of the chain rule{place(scene, d)}: "
                words += f"the gradient of what is normalised is taken for that of {d.name.removesuffix('_bar')}"
                for name in chosen:
                    axes = laid(scene.full.dims(name), d.dims)
                    if stay and axes is not None:
                        by = ref(name, *(d.indices[k] for k in axes))
                        for p in (1, -1):
                            yield edited("skipped", words, {d.name: mul(power(by, p), add(*stay))})
