"""Which operators stay whole, and torch's own decompositions of the others into simpler ones."""

from __future__ import annotations

from typing import Any

from derivcheck.operators.language.row import find
from derivcheck.tracing.recording.data import operator_name

# Operators that give their argument as it is.
SAME = {
    "aten.lift_fresh.default",
    "aten.alias.default",
    "aten.clone.default",
    "aten.contiguous.default",
    "aten.lift_fresh_copy.default",
    "aten.lift.default",
    "aten.detach_copy.default",
}
_table: dict[Any, Any] = {}


def has_row(func: Any) -> bool:
    """Whether an operator is kept whole: it has a row, or it only hands its argument on."""
    name = operator_name(func)
    return name in SAME or name == "aten.detach.default" or find(name) is not None


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
