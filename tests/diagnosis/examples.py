"""The wrong and the right backward of each family of mistakes, as cases."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from derivcheck.derivation.sweep import adjoint
from derivcheck.diagnosis.case import Case, Drawn, case
from derivcheck.diagnosis.guess import Example
from derivcheck.notation.integers.polynomials import Size
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure

VALUES = {"N": 4, "C": 3, "L": 5, "in": 3, "out": 2, "V": 4, "M": 7, "D": 3}


def run(backward: str | Callable[..., Any], example: Example, forward: Program) -> Callable[..., Any]:
    """A backward of an example as code."""
    if callable(backward):
        return lambda inputs, ups: backward(**ups, **inputs)
    ups = adjoint(forward).arguments[len(forward.arguments) :]
    dims = dict(example.dims) | {u.name: " ".join(map(str, u.dims)) for u in ups}
    program = parse_program(backward, {k: v for k, v in dims.items() if re.search(rf"\b{k}\b", backward)})

    def evaluated(inputs: Any, given: Any) -> dict[str, torch.Tensor]:
        sizes = measure(forward, {k: tuple(v.shape) for k, v in inputs.items()})
        values = evaluate(program, {**inputs, **given}, sizes)
        return {example.parameter: torch.from_numpy(values[f"{example.parameter}_bar"].copy())}

    return evaluated


def example_case(example: Example, backward: str | Callable[..., Any]) -> Case:
    """The case of a backward of an example."""
    forward = parse_program(example.forward, dict(example.dims))
    back = adjoint(forward)
    generator = torch.Generator().manual_seed(3)
    sizes = dict(VALUES)
    special = example.special or {}
    for name, value in special.items():
        for p, n in zip(forward.dims(name), torch.tensor(value).shape):
            atom = p.atom
            if isinstance(atom, Size):
                sizes[atom.name] = n
    inputs = {}
    for a in forward.arguments:
        shape = tuple(p.at(sizes) for p in a.dims)
        if a.name in special:
            value = torch.tensor(special[a.name])
            inputs[a.name] = value.double() if value.is_floating_point() else value
        else:
            inputs[a.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    ups = {}
    for u in back.arguments[len(forward.arguments) :]:
        g = torch.randn(tuple(p.at(sizes) for p in u.dims), generator=generator, dtype=torch.float64)
        ups[u.name] = g.transpose(-1, -2).contiguous().transpose(-1, -2) if example.transposed else g
    return case(example.parameter, forward, back, Drawn(inputs, ups), run(backward, example, forward))
