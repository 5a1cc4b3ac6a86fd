"""In half precision the worst case is far from the usual one: an error of 5 % hides inside it.

So the derived gradient is also computed in the type itself, each step rounded, and its error is what this
arithmetic usually does.  A gradient whose error as a whole (its norm) is several times that is not rounding,
even where each element is within its worst case.
"""

from __future__ import annotations

import torch

from derivcheck.checking.arithmetic.live import Live
from derivcheck.checking.arithmetic.pairs import unit
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate

TIMES = 3.0  # how much worse than the derived way in the same arithmetic another right way may be
SHARE = 0.04  # of the worst case, which another right way may use where the derived way happens to be exact


class Typical:
    """The error of the derived gradient computed in half precision; evaluated when first asked for."""

    def __init__(self, adjoint: Program, given: dict[str, torch.Tensor], sizes: dict[str, int], dtype: torch.dtype) -> None:
        self.adjoint, self.given, self.sizes, self.dtype = adjoint, given, sizes, dtype
        self._values: dict[str, torch.Tensor] | None = None

    def value(self, bar: str) -> torch.Tensor | None:
        """A definition as this arithmetic computes it, float64; None where it does not run in this type."""
        if self._values is None:
            some = next(iter(self.given.values()))
            try:
                with torch.no_grad():
                    self._values = evaluate(self.adjoint, self.given, self.sizes, Live(self.dtype, some.device))
            except (RuntimeError, NotImplementedError):  # a function that torch has in no half precision
                self._values = {}
        return self._values[bar].double().cpu() if bar in self._values else None

    def limit(self, bar: str, expected: torch.Tensor, bound: torch.Tensor) -> float | None:
        """The largest norm of an error that is still rounding; None where this arithmetic says nothing (overflow)."""
        value = self.value(bar)
        if value is None:
            return None
        error = value - expected
        finite = torch.isfinite(bound) & torch.isfinite(error) & torch.isfinite(expected)
        if not bool(finite.all()):
            return None

        def norm(t: torch.Tensor) -> float:
            return float(torch.linalg.vector_norm(t))

        # one error alone, or one that outweighs the others, may be anything up to its worst case
        few = (norm(bound) / max(float(bound.sum()), 1e-300)) ** 4
        return TIMES * norm(error) + min(1.0, SHARE + few) * norm(bound) + 2 * unit(self.dtype) * norm(expected)
