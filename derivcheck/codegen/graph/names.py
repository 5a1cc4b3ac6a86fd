"""Names in generated code: identifiers, the user's own where they can be."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

_SIZES = {"in": "in_features", "out": "out_features"}
RESERVED = frozenset({"torch", "math", "forward", "gradients", "forward_and_gradients"})


class Names:
    """Hands out identifiers, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken) | RESERVED

    def new(self, wish: str) -> str:
        """An identifier like ``wish``: itself where it is free, not a keyword and not a builtin."""
        name = identifier(wish)
        name = f"{name}_" if name in ("l", "O", "I") else name  # they look like digits
        if name in self.taken or keyword.iskeyword(name) or hasattr(builtins, name):
            k = 1
            while f"{name}_{k}" in self.taken:
                k += 1
            name = f"{name}_{k}"
        self.taken.add(name)
        return name

    def size(self, wish: str) -> str:
        """An identifier for a size: ``in_features`` for ``in``."""
        return self.new(_SIZES.get(wish, wish) if keyword.iskeyword(wish) or wish == "out" else wish)


def identifier(wish: str) -> str:
    """The nearest ASCII identifier."""
    name = re.sub(r"\W", "_", wish, flags=re.ASCII) or "_"
    return name if not name[0].isdigit() else f"_{name}"
