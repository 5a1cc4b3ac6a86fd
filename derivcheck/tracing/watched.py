"""Whole numbers that remember which sizes they are made of and note when the user's code compares them.

>>> from derivcheck.notation.sizes import size
>>> log = []
>>> n = Watched.of(7, size("N"), log)
>>> (2 * n + 1) // 3
5
>>> n > 4
True
>>> log[0].relation, log[0].left, log[0].right, log[0].outcome
('>', N, 4, True)
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any

from derivcheck.notation.sizes import Poly, as_poly

_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Comparison:
    """A comparison that the code made: ``left relation right`` came out as ``outcome``."""

    relation: str
    left: Poly
    right: Poly
    outcome: bool
    file: str
    line: int

    @property
    def held(self) -> str:
        """The relation that held."""
        return self.relation if self.outcome else _OPPOSITE[self.relation]

    @property
    def place(self) -> str:
        """``user.py:12``."""
        return f"{os.path.basename(self.file)}:{self.line}"


class Watched(int):
    """An int with the integer expression that it is."""

    poly: Poly
    log: list[Comparison]

    @staticmethod
    def of(value: int, poly: Poly, log: list[Comparison]) -> Watched:
        """A watched number."""
        made = Watched(value)
        made.poly, made.log = poly, log
        return made

    def _made(self, value: int, poly: Poly) -> Watched:
        return Watched.of(value, poly, self.log)

    def __add__(self, other: int) -> int:
        return self._made(int(self) + int(other), self.poly + _poly(other)) if isinstance(other, int) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: int) -> int:
        return self._made(int(self) - int(other), self.poly - _poly(other)) if isinstance(other, int) else NotImplemented

    def __rsub__(self, other: int) -> int:
        return self._made(int(other) - int(self), _poly(other) - self.poly) if isinstance(other, int) else NotImplemented

    def __mul__(self, other: int) -> int:
        return self._made(int(self) * int(other), self.poly * _poly(other)) if isinstance(other, int) else NotImplemented

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        return self._made(int(self) // int(other), self.poly // _poly(other)) if isinstance(other, int) else NotImplemented

    def __mod__(self, other: int) -> int:
        return self._made(int(self) % int(other), self.poly % _poly(other)) if isinstance(other, int) else NotImplemented

    def _compare(self, relation: str, other: Any, outcome: Any) -> Any:
        if outcome is not NotImplemented and isinstance(other, int):
            frame = sys._getframe(2)
            self.log.append(
                Comparison(relation, self.poly, _poly(other), bool(outcome), frame.f_code.co_filename, frame.f_lineno)
            )
        return outcome

    def __eq__(self, other: object) -> bool:
        return bool(self._compare("==", other, int.__eq__(self, other)) is True)

    def __ne__(self, other: object) -> bool:
        return self._compare("==", other, int.__eq__(self, other)) is not True

    def __lt__(self, other: int) -> bool:
        return self._compare("<", other, int.__lt__(self, other))  # type: ignore[no-any-return]

    def __le__(self, other: int) -> bool:
        return self._compare("<=", other, int.__le__(self, other))  # type: ignore[no-any-return]

    def __gt__(self, other: int) -> bool:
        return self._compare(">", other, int.__gt__(self, other))  # type: ignore[no-any-return]

    def __ge__(self, other: int) -> bool:
        return self._compare(">=", other, int.__ge__(self, other))  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return int.__hash__(self)


def _poly(value: int) -> Poly:
    return value.poly if isinstance(value, Watched) else as_poly(int(value))
