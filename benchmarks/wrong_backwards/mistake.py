"""A backward with one mistake, the line that has to change and its correction: both fixed before any diagnosis was run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., dict[str, Tensor]]


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        backward: the wrong backward: ``backward(grad_output, **inputs) -> dict``.
        wrong: the text of its line that has to change, once in its source.
        right: the text that stands there in the right backward.
        says: a pattern that a right sentence about the mistake contains, in any letter case.
    """

    backward: Backward
    wrong: str
    right: str
    says: str


@dataclass(frozen=True)
class Slip:
    """A mistake with its layer: what a check of it needs.

    Attributes:
        layer: the layer's name.
        forward: the forward as a torch function.
        draw: the inputs, float64 and int64, at sizes given by name.
        sizes: two values for each name.
        mistake: the mistake.
    """

    layer: str
    forward: Callable[..., Tensor]
    draw: Callable[..., dict[str, Any]]
    sizes: Mapping[str, tuple[int, int]]
    mistake: Mistake

    @property
    def title(self) -> str:
        return self.mistake.backward.__name__.replace("_", " ")

    def inputs(self, at: int) -> dict[str, Any]:
        """The inputs at one of the two sets of sizes, the same at every call."""
        with torch.random.fork_rng():
            torch.manual_seed(16 + at)
            return self.draw(**{name: values[at] for name, values in self.sizes.items()})

    def repaired(self, new: str, old: str | None = None) -> Backward:
        """The backward with a line replaced; the line that is wrong by default."""
        return rewritten(self.mistake.backward, self.mistake.wrong if old is None else old, new)

    def wrong_names(self, backward: Backward, at: int) -> list[str]:
        """The inputs whose gradient differs from the one of torch.autograd at one of the two sets of sizes."""
        inputs = self.inputs(at)
        leaves = {k: v.clone().requires_grad_() for k, v in inputs.items() if floats(v)}
        y = self.forward(**{**inputs, **leaves})
        upstream = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(at))
        want = torch.autograd.grad(y, list(leaves.values()), upstream, allow_unused=True)
        got = backward(grad_output=upstream, **{k: v.clone() if isinstance(v, Tensor) else v for k, v in inputs.items()})
        return [name for name, true in zip(leaves, want) if name in got and not same(got[name], true)]


def faults(slip: Slip) -> list[str]:
    """What is wrong with a case, in sentences."""
    found = []
    for at in (0, 1):
        if names := slip.wrong_names(slip.repaired(slip.mistake.right), at):
            found.append(f"{slip.title}: with the right line {', '.join(names)} is wrong at the sizes {at}")
        if not slip.wrong_names(slip.mistake.backward, at):
            found.append(f"{slip.title}: with the wrong line all is right at the sizes {at}")
    return found


def same(got: Tensor, want: Tensor | None) -> bool:
    if want is None:
        return not bool(got.any())
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-9, atol=1e-10)


def floats(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def rewritten(backward: Backward, old: str, new: str) -> Backward:
    """A function whose source has one text replaced: the sources are those of this benchmark."""
    source = inspect.getsource(backward)
    assert source.count(old) == 1, f"{backward.__name__}: the line is there {source.count(old)} times"
    space: dict[str, Any] = dict(backward.__globals__)
    exec(compile("from __future__ import annotations\n" + source.replace(old, new), backward.__name__, "exec"), space)
    found: Backward = space[backward.__name__]
    return found


def layer(
    name: str,
    forward: Callable[..., Tensor],
    draw: Callable[..., dict[str, Any]],
    sizes: Mapping[str, tuple[int, int]],
    *mistakes: Mistake,
) -> list[Slip]:
    """The mistakes of one layer."""
    return [Slip(name, forward, draw, sizes, m) for m in mistakes]


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def rand(*shape: int) -> Tensor:
    """Between 0.1 and 0.9: rates, decays, weights."""
    return 0.1 + 0.8 * torch.rand(shape, dtype=torch.float64)


def away(*shape: int) -> Tensor:
    """Vectors that are not short: distances between particles."""
    return torch.randn(shape, dtype=torch.float64).sign() * (0.6 + torch.rand(shape, dtype=torch.float64))


def ints(below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape)


def with_last(labels: Tensor, value: int) -> Tensor:
    """Labels whose last one is the given value and whose first one is not."""
    labels[0], labels[-1] = value + 1, value
    return labels
