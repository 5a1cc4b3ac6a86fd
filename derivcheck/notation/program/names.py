"""Names of parameters: ``0.weight`` of an ``nn.Sequential`` is ``_0_weight``, an identifier; ``0_weight`` finds it too.

>>> found = ByName({"_0_weight": 3, "bias": 4})
>>> found["0_weight"], found["bias"], "0_weight" in found, list(found)
(3, 4, True, ['_0_weight', 'bias'])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def spelled(name: str, names: Iterable[str]) -> str:
    """A name as it stands among ``names``: itself, or with the underscore that makes it an identifier."""
    return f"_{name}" if name[:1].isdigit() and f"_{name}" in names else name


class ByName(dict[str, T]):
    """A dictionary in which ``0_weight`` finds ``_0_weight``."""

    def __missing__(self, name: str) -> T:
        other = spelled(name, self)
        if other == name:
            raise KeyError(name)
        return self[other]

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or isinstance(name, str) and dict.__contains__(self, spelled(name, list(self)))

    def get(self, name: str, default: Any = None) -> Any:
        """The entry of that name, or the default."""
        return self[name] if name in self else default
