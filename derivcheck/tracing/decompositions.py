"""torch's own decompositions of operators into simpler ones."""

from __future__ import annotations

from typing import Any

_table: dict[Any, Any] = {}


def decomposition(func: Any) -> Any:
    """A torch decomposition of an operator into simpler ones (core ATen), or None."""
    if not _table:
        from torch._decomp import core_aten_decompositions, decomposition_table

        _table.update(decomposition_table)
        _table.update(core_aten_decompositions())
    found = _table.get(func)
    if found is None and func._can_decompose():
        return func.decompose
    return found
