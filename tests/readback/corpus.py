"""Derivations whose pages are read back: the catalogue's rows, layers, published ones, the notes' own, random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch

from derivcheck.checking.arithmetic.bound import Bound
from derivcheck.checking.arithmetic.pairs import Pair
from derivcheck.derivation.sweep import adjoint, apart
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.text.parse import parse_program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notes.symbols.mentioned import mentioned
from derivcheck.operators.language.row import rows
from examples.gallery import LAYERS
from examples.gallery.layer import SIZES as GALLERY_SIZES
from tests.codegen import random_programs, random_recurrences
from tests.notes.layers import PAGES
from tests.notes.programs import ALL
from tests.operators.rows_on_numbers import arrays, case, fits, sizes_of
from tests.proof.gallery import GALLERY
from tests.readback.brackets import bracketed

SMALL = {"N": 2, "in": 2, "out": 3, "M": 3, "C": 2, "D": 3, "K": 3, "V": 6, "I": 3, "J": 3, "A": 2, "B": 3}
COPRIME = (2, 3, 5)
TEXTBOOK = {"N": 2, "D": 3, "T": 3, "C": 2, "H": 3, "W": 4, "O": 2, "k": 2}


@dataclass(frozen=True)
class Source:
    """A forward, its gradient, numbers for the gradient's inputs, and sizes."""

    name: str
    forward: Program
    back: Program
    inputs: Mapping[str, Any]
    sizes: Mapping[str, int]

    @cached_property
    def values(self) -> dict[str, Pair]:
        """The numbers of every name, each with what rounding may have done to it."""
        definitions = (*self.forward.definitions, *(d for d in self.back.definitions if d.name not in self.forward.names))
        return values(self.back.arguments, definitions, self.inputs, self.sizes)


def values(
    arguments: tuple[Input, ...], definitions: tuple[Definition, ...], inputs: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, Pair]:
    """The numbers of all inputs and definitions, with their errors."""
    whole = Program(arguments, definitions, tuple(d.name for d in definitions))
    found = {a.name: Pair(torch.as_tensor(np.asarray(inputs[a.name]))) for a in arguments}
    return found | evaluate(whole, inputs, sizes, Bound())


def sizes_for(forward: Program, back: Program, known: Mapping[str, int] = SMALL) -> dict[str, int]:
    """Sizes by name; those that nothing tells are small and coprime."""
    below = {s for a in forward.arguments if a.below is not None for s in a.below.sizes()}
    names = [*dict.fromkeys((*mentioned(forward, back).sizes, *sorted(below)))]
    return {s: known.get(s, COPRIME[k % 3]) for k, s in enumerate(names)}


def numbers(p: Program, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Any]:
    """Inputs of a Program: halves, so that conditions on them turn out both ways."""
    rng = np.random.default_rng(seed)
    out: dict[str, Any] = {}
    for a in p.arguments:
        shape = tuple(q.at(sizes) for q in a.dims)
        if a.kind == "int":
            out[a.name] = rng.integers(0, a.below.at(sizes) if a.below is not None else 3, shape)
        elif a.kind == "float":
            out[a.name] = rng.choice([-1.5, -1, -0.5, 0.5, 1, 1.5], shape) * (1 + rng.integers(0, 8, shape) / 64)
        else:
            out[a.name] = rng.integers(0, 2, shape).astype(bool)
    if p.arguments and "grad_output" in out and not out["grad_output"].shape:
        out["grad_output"] = np.array(1.0)
    return out


def source(
    name: str,
    forward: Program,
    inputs: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    wrt: Iterable[str] = (),
) -> Source:
    """A forward with its gradient and numbers."""
    forward = apart(forward, tuple(a.name for a in forward.arguments if a.kind == "float"))
    back = adjoint(forward, tuple(wrt) or None)
    at = dict(sizes) if sizes is not None else sizes_for(forward, back)
    return Source(name, forward, back, {**numbers(back, at, len(name)), **(inputs or {})}, at)


def catalogue() -> Iterator[Source]:
    """Every row of the catalogue on every sample, where it has a gradient."""
    for name, row in rows().items():
        if not name.startswith("aten.") or row.refused:
            continue
        for k, sample in enumerate(row.samples):
            if not fits(name, sample):
                continue
            c = case(row, name, sample)
            try:
                yield source(f"{name}-{k}", c.program, arrays(c), sizes_of(c.program))
            except UnsupportedOperation:
                continue


def layers() -> Iterator[Source]:
    """The layers of the gallery, whose pages stand in the documentation."""
    for name, layer in LAYERS.items():
        d = layer.derivation
        tensors = {n: t.numpy() for n, t in layer.tensors().items() if n in d.program.inputs}
        sizes = sizes_for(d.program, d.adjoint, {**GALLERY_SIZES, **layer.sizes})
        yield source(name, d.program, tensors, sizes, d.wrt)


def published() -> Iterator[Source]:
    """Forwards whose backwards people publish."""
    for e in GALLERY:
        forward = parse_program(e.forward, e.inputs)
        yield source(e.name, forward, sizes=fitting(forward))


def fitting(forward: Program) -> dict[str, int]:
    """Small sizes at which every dimension has an element: of an image at least its window's."""
    names = list(mentioned(forward, forward).sizes)
    dims = [p for n in forward.names for p in forward.dims(n)]
    for values in product(*([(2, 3), (3, 2)][k % 2] for k in range(len(names)))):
        sizes = dict(zip(names, values))
        if all(p.at(sizes) >= 1 for p in dims):
            return sizes
    raise AssertionError(f"no sizes fit {forward}")


def noted() -> Iterator[Source]:
    """The cases of the notes' own tests."""
    makers: dict[str, Callable[[], tuple[Program, Program]]] = ALL
    for name, make in makers.items():
        yield source(name, make()[0])


def random(count: int) -> Iterator[Source]:
    """Random Programs, recurrences and brackets, ``count`` of each."""
    for seed in range(count):
        for kind, make in (
            ("program", lambda s: random_programs.program(s, depth=2)),
            ("recurrence", random_recurrences.recurrence),
            ("bracket", bracketed),
        ):
            try:
                yield source(f"{kind} {seed}", make(seed))
            except UnsupportedOperation:  # a gradient through an extreme
                continue


def textbook() -> Iterator[Source]:
    """Layers from papers and textbooks, as derived from torch code."""
    for name, page in PAGES.items():
        d = page.derived()
        yield source(name, d.program, sizes=sizes_for(d.program, d.adjoint, TEXTBOOK), wrt=d.wrt)
