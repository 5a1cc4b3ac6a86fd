"""What is not read, and what has to be read again."""

from __future__ import annotations

from derivcheck.errors import InputError


class Refused(Exception):
    """What is not read: a construct, why, and what to do instead; the statement adds its place."""

    def __init__(self, construct: str, reason: str, instead: str = "") -> None:
        super().__init__(construct)
        self.construct, self.reason, self.instead = construct, reason, instead


class UnplacedFault(Exception):
    """A fault of the source's memory, before its place is known."""


class MemoryFault(InputError):
    """A fault of the source: a position out of bounds, two threads at one place, a read of what nobody wrote; with its line."""


class Again(Exception):
    """The source is read again, with something known that was met on the way."""
