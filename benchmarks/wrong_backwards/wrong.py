"""A wrong backward with its true name: forward in index text, backward in torch code, and what a diagnosis should say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from derivcheck.derivation.sweep import adjoint
from derivcheck.diagnosis.case import Case, Drawn, case
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program

RELATIVE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 0.05}  # rounding, relative to the largest element


def rounded(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Values that the dtype holds, as float64."""
    return value.to(dtype).double() if value.is_floating_point() else value


@dataclass(frozen=True)
class Wrong:
    """A backward with one mistake.

    Attributes:
        layer: the layer, one of the set's fifteen and more.
        forward, dims: the forward as index text.
        backward: the wrong backward: ``backward(grad_output=…, **inputs) -> dict``.
        name: the input whose gradient is wrong.
        kinds: the families that name the mistake truly.
        says: a pattern that the sentence must contain, in any letter case.
        sizes: three sets of sizes at which a user might meet it; the first has primes, one a square, one powers of two.
        special: inputs that are not drawn from a normal distribution: ``(sizes, generator) -> tensor``.
        layout: ``transposed`` or ``expanded`` for an upstream gradient that is not contiguous.
        right: names whose gradients this backward gets right are checked too, where it returns them.
    """

    layer: str
    forward: str
    dims: Mapping[str, str]
    backward: Callable[..., dict[str, Tensor | None]]
    name: str
    kinds: tuple[str, ...]
    says: str
    sizes: tuple[Mapping[str, int], ...]
    special: Mapping[str, Callable[[Mapping[str, int], torch.Generator], Tensor]] = field(default_factory=dict)
    layout: str = ""

    @property
    def title(self) -> str:
        return self.backward.__name__.replace("_", " ")

    def named(self, kind: str, sentence: str) -> bool:
        """Whether a diagnosis of that kind with that sentence is the true one."""
        return kind in self.kinds and re.search(self.says, sentence, re.IGNORECASE) is not None

    def cases(self) -> Iterator[Case]:
        """The wrong gradient at each set of sizes."""
        for k in range(len(self.sizes)):
            yield self.case(k)

    def case(self, k: int, again: bool = True, dtype: torch.dtype = torch.float64) -> Case:
        """The wrong gradient at one of the sets of sizes; without ``again`` the backward cannot be run elsewhere."""
        forward, back = programs(self.forward, tuple(self.dims.items()))
        sizes = self.sizes[k]
        generator = torch.Generator().manual_seed(100 + k)
        inputs: dict[str, Tensor] = {}
        for a in forward.arguments:
            shape = tuple(p.at(sizes) for p in a.dims)
            if a.name in self.special:
                inputs[a.name] = self.special[a.name](sizes, generator)
            elif a.kind == "int":
                assert a.below is not None
                inputs[a.name] = torch.randint(a.below.at(sizes), shape, generator=generator)
            else:
                inputs[a.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
        upstream = {}
        for a in back.arguments:
            if a.role == "upstream":
                shape = tuple(p.at(sizes) for p in a.dims)
                upstream[a.name] = self.laid(torch.randn(shape, generator=generator, dtype=torch.float64))
        if dtype != torch.float64:
            inputs = {k: rounded(v, dtype) for k, v in inputs.items()}
            upstream = {k: rounded(v, dtype) for k, v in upstream.items()}
        found = case(self.name, forward, back, Drawn(inputs, upstream), partial(self.run, dtype=dtype), RELATIVE[dtype])
        return found if again else replace(found, backward=None)

    def laid(self, g: Tensor) -> Tensor:
        if self.layout == "transposed" and g.ndim > 1:
            return g.transpose(-1, -2).contiguous().transpose(-1, -2)
        return g

    def run(
        self, inputs: Mapping[str, Tensor], upstream: Mapping[str, Tensor], dtype: torch.dtype = torch.float64
    ) -> dict[str, Any]:
        if dtype == torch.float64:
            return self.backward(**upstream, **inputs)
        given = {k: v.to(dtype) if v.is_floating_point() else v for k, v in {**upstream, **inputs}.items()}
        copies = {k: v.clone() for k, v in given.items()}
        found = self.backward(**given)
        for k, v in inputs.items():
            if not torch.equal(copies[k], given[k]):
                v.copy_(given[k])
        return found


@cache
def programs(text: str, dims: tuple[tuple[str, str], ...]) -> tuple[Program, Program]:
    """The forward and its adjoint."""
    forward = parse_program(text, dict(dims))
    return forward, adjoint(forward)


def three(**sizes: tuple[int, int, int]) -> tuple[Mapping[str, int], ...]:
    """Three sets of sizes, a column each: ``three(N=(5, 9, 8), out=(3, 4, 4))``."""
    return tuple({k: v[i] for k, v in sizes.items()} for i in range(3))
