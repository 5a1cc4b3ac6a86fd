"""A part of somebody's source that can be changed and run, whatever the language."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

Span = tuple[int, int]  # first and last character in a piece


@dataclass(eq=False)
class SourcePiece(ABC):
    """A part of a file, whole lines of it.

    Attributes:
        file: the file's path, or what to call a text that is no file.
        line: its first line, from 1.
        text: its source.
        whole: the hash of the file's text.
        unwritten: the whole text, where it is no file.
    """

    file: str
    line: int
    text: str
    whole: str
    unwritten: str = ""

    @functools.cached_property
    def starts(self) -> list[int]:
        """The offset of each line."""
        found = [0]
        for line in self.text.splitlines(keepends=True):
            found.append(found[-1] + len(line))
        return found

    @functools.cached_property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.splitlines()

    def changed(self, edits: Sequence[tuple[Span, str]]) -> str:
        """The text with parts of it replaced."""
        text = self.text
        for (start, end), new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    @abstractmethod
    def same(self, one: str, two: str) -> bool:
        """Whether two texts are the same code, parentheses apart that it does not need."""

    @abstractmethod
    def running(self, text: str) -> AbstractContextManager[None]:
        """A context in which the backward runs with this text.

        Raises:
            SyntaxError, ValueError: a text that cannot stand in place of the piece.
        """
