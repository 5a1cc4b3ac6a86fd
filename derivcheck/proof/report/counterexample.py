"""What a refutation shows: an example that a person can check, and how far two formulas were compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

NOTHING = 1e-50  # of the other value


@dataclass(frozen=True)
class Counterexample:
    """Where a claimed gradient is wrong.

    Attributes:
        sizes: the sizes.
        name: the gradient.
        index: the element.
        claimed: the value that the claim gives there.
        gradient: the value of the gradient.
        inputs: the inputs at which it is so.
        exact: whether the values are exact rationals (else they carry 60 digits).
        by: who says ``claimed``.
    """

    sizes: dict[str, int]
    name: str
    index: tuple[int, ...]
    claimed: Any
    gradient: Any
    inputs: dict[str, Any]
    exact: bool
    by: str = "the claim"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "sizes": self.sizes,
            "name": self.name,
            "index": list(self.index),
            "claimed": str(self.claimed),
            "gradient": str(self.gradient),
            "exact": self.exact,
            "inputs": {n: _plain(v) for n, v in self.inputs.items()},
        }

    @property
    def told(self) -> str:
        """The example, and how its numbers were made."""
        return f"{self}" + (" (exact)" if self.exact else " (60 digits)")

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        sizes = ", ".join(f"{n} = {v}" for n, v in self.sizes.items())
        right, claimed = (_number(v, beside) for v, beside in ((self.gradient, self.claimed), (self.claimed, self.gradient)))
        return f"{self.name}{at} is {right}, {self.by} gives {claimed}" + (f" at {sizes}" if sizes else "")


@dataclass(frozen=True)
class Evidence:
    """How far two formulas were compared on numbers: the sizes tried, and of each gradient that differs an example."""

    tried: tuple[dict[str, int], ...]
    examples: Mapping[str, Counterexample] = field(default_factory=dict)

    @property
    def counterexample(self) -> Counterexample | None:
        """The first example where they differ."""
        return next(iter(self.examples.values()), None)


def _number(v: Any, beside: Any) -> str:
    """A value; of 60 digits what is left of terms that cancel is 0."""
    if isinstance(v, (Fraction, int)):
        return str(v)
    return "0" if abs(v) < NOTHING * abs(beside) else f"{float(v):.12g}"


def _plain(v: Any) -> Any:
    a = np.asarray(v)
    if a.dtype == object:
        return np.vectorize(str, otypes=[object])(a).tolist() if a.size else []
    return a.tolist()
