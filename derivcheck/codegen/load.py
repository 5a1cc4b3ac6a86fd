"""Generated text as a function.  Only text that this package generated comes here, never a user's."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Callable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=512)
def load(text: str) -> Callable[..., Any]:
    """The function that a generated file defines: ``forward_and_gradients``, or ``forward`` where it has no gradients.

    The text is registered with :mod:`linecache`, so that a traceback shows its lines.

    >>> from derivcheck.codegen.load import load
    >>> load("def forward(*, x):\\n    return 2 * x\\n")(x=4)
    8
    """
    name = f"<derivcheck {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": "derivcheck_generated"}
    exec(compile(text, name, "exec"), scope)  # noqa: S102
    found: Callable[..., Any] = scope.get("forward_and_gradients") or scope["forward"]
    return found
