"""A wrong gradient with all that is known of it: what :func:`derivcheck.diagnosis.diagnose.diagnose` is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.notation.values.measure import measure
from derivcheck.tracing.program.copies import same_layout

Tensors = Mapping[str, Tensor]
Run = Callable[[Tensors, Tensors], Mapping[str, "Tensor | None"]]


@dataclass(frozen=True)
class Case:
    """The gradient of one input, derived and found, at one set of values.

    Attributes:
        name: the input under diagnosis.
        forward: the Program of the forward.
        adjoint: its gradient; the output for ``name`` is ``<name>_bar``.
        inputs: every input of the forward by name; floating ones in float64.
        upstream: the upstream gradients by their names in ``adjoint``, with the strides that the backward was given.
        sizes: the value of each symbolic size.
        derived: the right gradient of each input, float64.
        found: what the backward returned for each input (None: nothing), in its own shape.
        tolerance: per input, how far each element may be off by rounding.
        backward: runs the backward under test on such inputs and upstream gradients and gives what it returns, by input name;
            None where it cannot be run again.  It may change its arguments: that is a finding.
        again: another case of the same backward at other sizes, by sizes and seed; by default drawn with :func:`draw`.
        fixed: names of inputs that keep their values in another case (constants).
        rounding: the tolerance relative to the size of the gradient where it is known; else ``tolerance`` tells.
        double: as ``backward``, but in float64 whatever the dtype of the case; None where there is no such thing.
    """

    name: str
    forward: Program
    adjoint: Program
    inputs: Tensors
    upstream: Tensors
    sizes: Mapping[str, int]
    derived: Tensors
    found: Mapping[str, Tensor | None]
    tolerance: Tensors
    backward: Run | None = None
    again: Callable[[Mapping[str, int], int], Case | None] | None = None
    fixed: frozenset[str] = field(default=frozenset())
    double: Run | None = None
    rounding: float = 0.0

    def at(self, sizes: Mapping[str, int], seed: int) -> Case | None:
        """The same backward at other sizes and values, or None where it cannot run there.

        Whatever the backward raises at sizes that its author never tried is its own affair: no case, no evidence.
        """
        try:
            if self.again is not None:
                return self.again(sizes, seed)
            return self._run_on(draw(self, sizes, seed))
        except Exception:
            return None

    def with_inputs(self, inputs: Tensors) -> Case | None:
        """The same backward on other inputs of the same shapes, or None where it cannot run there."""
        try:
            return self._run_on(Drawn(inputs, self.upstream))
        except Exception:
            return None

    def _run_on(self, drawn: Drawn) -> Case | None:
        return None if self.backward is None else self.on(drawn, self.backward, self.relative)

    def on(self, drawn: Drawn, backward: Run, relative: float = 1e-11) -> Case:
        """Another backward of the same forward, run on other values."""
        return replace(case(self.name, self.forward, self.adjoint, drawn, backward, relative), fixed=self.fixed)

    @property
    def relative(self) -> float:
        """The tolerance relative to the size of the gradient, a number."""
        if self.rounding:
            return self.rounding
        bound, right = self.tolerance.get(self.name), self.derived[self.name]
        if bound is None or not right.numel():
            return 1e-11
        scale = float(right.abs().max())
        largest = float(torch.as_tensor(bound, dtype=torch.float64).max())
        return min(max(1e-11, largest / scale), 0.05) if scale > 0 else 1e-11


class Drawn(NamedTuple):
    """What a backward is run on: inputs and upstream gradients by name, as :class:`Case` says."""

    inputs: Tensors
    upstream: Tensors


def case(name: str, forward: Program, adjoint: Program, drawn: Drawn, backward: Run, relative: float = 1e-11) -> Case:
    """Run a backward and put it beside the derived gradient, evaluated in float64.

    Args:
        name: the input under diagnosis.
        relative: the tolerance relative to the largest element of each gradient.

    Raises:
        InputError: shapes that clash.
    """
    inputs, upstream = drawn
    given = {**inputs, **upstream}
    values = evaluate(adjoint, given)
    names = [n for n in inputs if f"{n}_bar" in adjoint.outputs]
    derived = {n: torch.from_numpy(values[f"{n}_bar"].copy()) for n in names}
    tolerance = {n: torch.full_like(g, relative * float(g.abs().max()) if g.numel() else 0.0) for n, g in derived.items()}
    run_on = {k: same_layout(v) for k, v in inputs.items()}
    found = dict(backward(run_on, {k: same_layout(v) for k, v in upstream.items()}))
    sizes = measure(adjoint, {k: tuple(v.shape) for k, v in given.items()})
    return Case(
        name,
        forward,
        adjoint,
        inputs,
        upstream,
        sizes,
        derived,
        {n: _double(found.get(n)) for n in names},
        tolerance,
        backward,
        rounding=relative,
    )


def _double(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach().to("cpu", torch.float64)


def draw(like: Case, sizes: Mapping[str, int], seed: int) -> Drawn:
    """Inputs and upstream gradients of the same kind of values at other sizes: positive stay positive, masks stay masks."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {a.name: _like(a, like.inputs[a.name], sizes, generator, a.name in like.fixed) for a in like.forward.arguments}
    upstream = {}
    for a in like.adjoint.arguments:
        if a.name in like.upstream:
            shape = tuple(p.at(sizes) for p in a.dims)
            upstream[a.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
    return Drawn(inputs, upstream)


def _like(argument: Input, sample: Tensor, sizes: Mapping[str, int], generator: torch.Generator, fixed: bool) -> Tensor:
    """Values for an input at other sizes, of the sample's kind: labels stay in range, two values stay two, positive stays
    positive."""
    shape = tuple(p.at(sizes) for p in argument.dims)
    if fixed or (not shape and argument.role in ("constant", "buffer")):
        return sample if tuple(sample.shape) == shape else sample.flatten()[:1].expand(shape).clone()

    def pick(pool: Tensor) -> Tensor:
        return (
            pool[torch.randint(len(pool), shape, generator=generator)] if len(pool) else torch.zeros(shape, dtype=sample.dtype)
        )

    if argument.kind != "float" or not sample.is_floating_point():
        if argument.below is None:
            return pick(sample.flatten())
        below = argument.below.at(sizes)
        chosen = torch.randint(max(below, 1), shape, generator=generator)
        old = sample.flatten()
        if not old.numel() or not shape:
            return chosen.to(sample.dtype)
        special = old[(old < 0)]  # an ignore_index below 0 keeps its share
        share = special.numel() / old.numel()
        return torch.where(torch.rand(shape, generator=generator) < share, pick(special if len(special) else old), chosen).to(
            sample.dtype
        )
    values = sample.flatten()
    if values.numel() > 2 and len(own := torch.unique(values[:1000])) <= 2:
        alike = len(own) == 1 and float(own[0]) in (0.0, 1.0)  # labels or a mask, of which the data have one kind alone
        return pick(own.new_tensor([0.0, 1.0]) if alike else own)
    if values.numel() and bool((values > 0).all()):
        low, high = 0.5 * float(values.min()), float(values.max())
        top = high if high <= 1 else 1.5 * high  # what is at most 1 may be a probability
        return low + (top - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
    return torch.randn(shape, generator=generator, dtype=torch.float64)
