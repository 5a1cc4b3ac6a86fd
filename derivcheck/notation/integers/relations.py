"""The relations of brackets and conditions, on numbers and on arrays."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne
}  # fmt: skip
#: The relation that holds when the two sides are exchanged, or both negated.
FLIPPED = {"==": "==", "!=": "!=", ">=": "<=", "<=": ">=", ">": "<", "<": ">"}


def holds(relation: str, value: Any) -> Any:
    """``value relation 0``, of a number or of each element of an array.

    >>> holds(">=", 0), holds("<", 2)
    (True, False)
    """
    return RELATIONS[relation](value, 0)
