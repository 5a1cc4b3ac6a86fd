"""A gradient of the user's is asked again while a run goes on: one that was right at the gate may change its mind."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from derivcheck.errors import UnverifiedGradientError
from derivcheck.training.gate import Backward, judged, stops
from derivcheck.training.gradients import Setting, Tensors


class Recheck:
    """Holds a gradient against the derived one now and then, and keeps the last parameters at which it held.

    Args:
        backward: the gradient as the check calls it.
        every: after how many steps; None for the end alone.
        seed: of everything random in a check.
        state: the module's parameters and buffers, updated in place.
    """

    def __init__(
        self, setting: Setting, backward: Backward, every: int | None, seed: int, state: Mapping[str, torch.Tensor]
    ) -> None:
        self.setting, self.backward, self.every, self.seed, self.state = setting, backward, every, seed, state
        self.held = 0  # the step at which it held last; 0 is the gate
        self.kept: dict[str, torch.Tensor] = {}
        self._keep()

    def due(self, step: int) -> bool:
        """Whether it is asked again after this step."""
        return self.every is not None and step % self.every == 0

    def after(self, step: int, x: torch.Tensor, y: torch.Tensor, used: Tensors) -> None:
        """Where it is due, look at the gradients that a step is about to use.

        Raises:
            UnverifiedGradientError: they do not hold; the parameters are those at which it held last.
        """
        if not self.due(step):
            return

        def backward(grad_output: torch.Tensor, **given: torch.Tensor) -> Tensors:
            return {n: g * grad_output.to(g.dtype) for n, g in used.items()}

        self._ask(backward, step, x, y)

    def anew(self, step: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Call it once more, at the parameters as they are; raises as :meth:`after`."""
        self._ask(self.backward, step, x, y)

    def _ask(self, backward: Backward, step: int, x: torch.Tensor, y: torch.Tensor) -> None:
        """Hold the gradient against the derived one; where it does not hold, put back the last good parameters and stop."""
        report = judged(self.setting, self.setting.tensors(x, y), backward, self.seed, witnesses=False)
        if stops(report):
            with torch.no_grad():
                for n, t in self.state.items():
                    t.copy_(self.kept[n])
            last = f"at step {self.held}" if self.held else "before the first step"
            said = f"the gradient does not hold at step {step}; it held {last}, and the parameters of then are kept"
            raise UnverifiedGradientError(f"{said}.\n{report}", report)
        self.held = step
        self._keep()

    def _keep(self) -> None:
        self.kept = {n: t.detach().clone() for n, t in self.state.items()}
