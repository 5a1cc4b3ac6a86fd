"""torch's own decompositions of operators into simpler ones."""

from __future__ import annotations

from typing import Any

_table: dict[Any, Any] = {}


def decomposition(func: Any) -> Any:
    """A torch decomposition of an operator into simpler ones (core ATen), or None."""
    if not _table:
        from torch._decomp import core_aten_decompositions, decomposition_table  # takes a second, which most traces do without

        _table.update(decomposition_table)
        _table.update(core_aten_decompositions())
    found = _table.get(func)
    if found is None and func._can_decompose():
        return func.decompose
    return found


def written_in_python(func: Any) -> Any:
    """The Python function of an operator that ``torch.library.custom_op`` made, or None.  Its backward is the user's own."""
    from torch._library.custom_ops import OPDEFS  # a private part, met where a custom operator is

    made = OPDEFS.get(func._schema.name)
    return None if made is None or func._schema.is_mutable else made._init_fn
