"""Generated text as a function.  Only text that this package generated comes here, never a user's."""

from __future__ import annotations

import hashlib
import linecache
import sys
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any


@lru_cache(maxsize=512)
def load(text: str) -> Callable[..., Any]:
    """The function that a generated file defines: ``forward_and_gradients``, or ``forward`` where it has no gradients.

    The text is registered with :mod:`linecache`, so that a traceback shows its lines.

    >>> from derivcheck.codegen.file.load import load
    >>> load("def forward(*, x):\\n    return 2 * x\\n")(x=4)
    8
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"<derivcheck {digest}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module = ModuleType(f"derivcheck_generated_{digest}")
    sys.modules[module.__name__] = module  # torch.compile looks a function's globals up by its module's name
    scope = module.__dict__
    exec(compile(text, name, "exec"), scope)
    found: Callable[..., Any] = scope.get("forward_and_gradients") or scope["forward"]
    return found
