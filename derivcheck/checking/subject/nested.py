"""Inputs that hold tensors inside (lists, tuples, dicts, dataclasses): each tensor has a name, ``d_a`` for ``d["a"]``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.errors import InputError
from derivcheck.tracing.program.inputs import fill, holds_tensors, slots


@dataclass(frozen=True)
class Nested:
    """The inputs as the caller has them.

    Attributes:
        leaves: every tensor by its name.
        passed: what holds no tensor.
        structure: the inputs that hold tensors inside, with names in their places.
        inner: the names of those tensors.
    """

    leaves: dict[str, torch.Tensor] = field(default_factory=dict)
    passed: dict[str, Any] = field(default_factory=dict)
    structure: dict[str, Any] = field(default_factory=dict)
    inner: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Nested:
        """The inputs taken apart.

        Raises:
            InputError: two tensors of one name, or a name that is no identifier.

        >>> found = Nested.of({"d": {"a": torch.ones(2), "k": 3}, "eps": 1e-5})
        >>> list(found.leaves), found.passed, found.filled(found.leaves)["d"]["k"]
        (['d_a'], {'eps': 1e-05}, 3)
        """
        found = cls()

        def take(name: str, t: torch.Tensor) -> None:
            if name in found.leaves or name in inputs and inputs[name] is not t:
                raise InputError(f"two inputs are called {name!r}, one of them inside another; rename one")
            if not name.isidentifier():
                raise InputError(f"a tensor inside an input would be called {name!r}; expected keys that are identifiers")
            found.leaves[name] = t
            if name not in inputs:
                found.inner.add(name)

        for n, v in inputs.items():
            if isinstance(v, torch.Tensor):
                take(n, v)
            elif holds_tensors(v):
                found.structure[n] = slots(n, v, take)
            else:
                found.passed[n] = v
        return found

    def filled(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs that hold tensors inside, with these in their places."""
        return {n: fill(v, tensors) for n, v in self.structure.items()}

    def flat(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Gradients by the tensors' names: what a backward returns may be nested as the inputs are."""
        found: dict[str, Any] = {}
        for n, g in gradients.items():
            if n in self.structure and holds_tensors(g):
                slots(n, g, found.__setitem__)
            else:
                found[n] = g
        return found


def by_name(names: Iterable[str], tensors: Mapping[str, Any], nested: Nested) -> dict[str, Any]:
    """The caller's own arguments, by name: tensors, nested ones, and what is no tensor."""
    plain = {n: tensors[n] for n in names if n in tensors and n not in nested.inner}
    return {**plain, **nested.filled(tensors), **nested.passed}
