"""Recurrences as Python loops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from derivcheck.codegen.graph import Node
from derivcheck.errors import UnsupportedOperation
from derivcheck.notation.program import Definition

if TYPE_CHECKING:
    from derivcheck.codegen.lower import Lowering
    from derivcheck.codegen.write import Writer


class Loop:
    """A group of recurrent definitions, lowered."""

    def names(self) -> Iterable[str]:
        """What it defines."""
        return ()

    def nodes(self) -> Sequence[Node]:
        """What it computes."""
        return ()

    def write(self, writer: Writer, file: Any) -> None:
        """Write it."""


def lower_group(low: Lowering, group: Sequence[Definition]) -> Loop:
    """The loop of a group."""
    raise UnsupportedOperation(group[0].name, "recurrences have no code yet", group[0].place)
