"""Three ways to a batch's loss and gradients: derived, autograd, or the user's own function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from derivcheck.checking.subject.forms import called
from derivcheck.derived import Derivation
from derivcheck.errors import InputError

Tensors = Mapping[str, torch.Tensor]
Step = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, Tensors]]


class Setting:
    """One module with its loss and derivation: the tensors that a batch puts into the derived Program.

    Attributes:
        trained: the parameters by their name in the Program (dotted names with ``_``).
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[..., Any],
        derivation: Derivation,
        trained: Mapping[str, nn.Parameter],
        x: torch.Tensor,
    ) -> None:
        """Find which free inputs of the Program are the batch's features and target; the rest is the module's own."""
        self.module, self.loss, self.derivation, self.trained = module, loss, derivation, trained
        inputs = derivation.program.inputs
        state = {called(n): (n, t) for n, t in [*module.named_parameters(), *module.named_buffers()]}
        self.held = {n: t for n, (_, t) in state.items() if n in inputs}
        self.dotted = {n: dotted for n, (dotted, _) in state.items() if n in inputs}
        free = [n for n in inputs if n not in self.held and n not in derivation.values]
        if len(free) != 2:
            raise InputError(
                f"train feeds one input and one target; this module and loss read {', '.join(free)}"
                + ("; call module.eval() to train without dropout" if any("dropout" in n for n in free) else "")
            )
        self.x_name, self.y_name = free
        self.constants = {n: t for n, t in derivation.values.items() if n in derivation.held}
        self.follows_buffers = _changes_buffers(module, x)

    def tensors(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every input of the Program for one batch, in the Program's order, detached from any graph."""
        given = {**self.held, self.x_name: x, self.y_name: y, **{n: t.to(x) for n, t in self.constants.items()}}
        return {n: given[n].detach() for n in self.derivation.program.inputs if n in given}

    def derived(self) -> Step:
        """Loss and gradients by the generated code."""
        run = self.derivation.compile()

        def step(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
            value, grads = run(**self.tensors(x, y))
            self.update_buffers(x)
            return value, grads

        return step

    def autograd(self) -> Step:
        """Loss and gradients by torch's own reverse mode."""

        def step(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
            value = self.loss(self.module(x), y)
            found = torch.autograd.grad(value, list(self.trained.values()), allow_unused=True)
            return value.detach(), _zeros_for_none(self.trained, found)

        return step

    def own(self, gradient: Callable[..., Tensors]) -> Step:
        """Loss by the module, gradients by the user's function; a one-element gradient takes the parameter's shape."""
        try:
            asked = set(inspect.signature(gradient).parameters)
        except (TypeError, ValueError):
            asked = set()

        def step(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, Tensors]:
            with torch.no_grad():
                value = self.loss(self.module(x), y)
                given = {n: t for n, t in self.tensors(x, y).items() if n not in self.constants or n in asked}
                grads = gradient(grad_output=torch.ones_like(value), **given)
            return value, {n: grads[n].reshape(p.shape) if p.numel() == 1 else grads[n] for n, p in self.trained.items()}

        return step

    def derived_backward(self) -> Callable[..., Tensors]:
        """The generated code as the check calls a backward."""
        run = self.derivation.compile()

        def derived(grad_output: torch.Tensor, **given: torch.Tensor) -> Tensors:
            grads: Tensors = run(**given, **dict.fromkeys(self.derivation.upstream, grad_output))[1]
            return grads

        return derived

    def call(self, tensors: Tensors) -> torch.Tensor:
        """The module's own code and the loss on given tensors; the module's parameters and buffers stay as they are."""
        state = {n: t.clone() for n, t in self.module.named_buffers()}
        state |= {self.dotted[n]: t if t.requires_grad else t.clone() for n, t in tensors.items() if n in self.dotted}
        out = torch.func.functional_call(self.module, state, (tensors[self.x_name],))
        value: torch.Tensor = self.loss(out, tensors[self.y_name])
        return value

    def update_buffers(self, x: torch.Tensor) -> None:
        """Let a forward that keeps running statistics keep them: the generated code has no side effects."""
        if self.follows_buffers:
            with torch.no_grad():
                self.module(x)


def _zeros_for_none(leaves: Tensors, found: Iterable[torch.Tensor | None]) -> Tensors:
    """autograd has None for a parameter that the loss does not read; its gradient is zero."""
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(leaves.items(), found)}


def _changes_buffers(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether a forward changes the module's buffers, as batch norm does in training; they are put back."""
    kept = {n: b.clone() for n, b in module.named_buffers()}
    if not kept:
        return False
    with torch.no_grad():
        module(x)
        changed = False
        for n, b in module.named_buffers():
            changed |= not torch.equal(b, kept[n])
            b.copy_(kept[n])
    return changed
