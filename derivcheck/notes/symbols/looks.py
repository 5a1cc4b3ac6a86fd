"""Which printed looks are taken, so that two things never print alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count

from derivcheck.notes.symbols.symbol import SPELT, Symbol

_ELEMENT = re.compile(r"(.+)(?:_|\^\()([\d,]+|[^\W_]+'*)\)?(\u0302?\u0304*)")


class Looks:
    """The looks in use, and those whose bearers have elements: ``z_4`` is taken where ``z`` has elements.

    ``letters``: the indices' letters; ``z_n`` is an element too.  ``words``: what an argument follows, ``cos(x)``, which is
    another than ``cos_n``, an element.

    >>> looks = Looks()
    >>> looks.take(Symbol("z").looks(), elements=True)
    True
    >>> looks.take(Symbol("z", label="4", low=True).looks()), looks.take(Symbol("z", label="4").looks())
    (False, True)
    """

    def __init__(self, letters: Iterable[str] = ()) -> None:
        self.letters = frozenset(letters)
        self.used: set[str] = set()
        self.words: set[str] = set()
        self.parts: set[str] = set()  # what the looks in use may be read as elements of
        self.families: set[str] = set()

    def take(self, looks: Iterable[str], elements: bool = False) -> bool:
        """Take them where nothing else looks so, as a whole or as an element; whether they were taken."""
        wanted = set(looks)
        wholes = set(self._wholes(wanted))
        if (
            wanted & self.used
            or not elements
            and wanted & self.words
            or wholes & self.families
            or elements
            and wanted & self.parts
        ):
            return False
        self.used |= wanted
        self.parts |= wholes
        if elements:
            self.families |= wanted
        return True

    def first(self, wishes: Iterable[Symbol], elements: bool = False) -> Symbol:
        """The first symbol that is free; it is taken."""
        return next(s for s in wishes if self.take(s.looks(), elements))

    def _wholes(self, looks: Iterable[str]) -> Iterator[str]:
        for text in looks:
            found = _ELEMENT.fullmatch(unicodedata.normalize("NFKD", text))  # the accents apart
            if found and (found[2].strip(",").isdigit() and "^" not in text or self.letters.issuperset(found[2].rstrip("'"))):
                yield unicodedata.normalize("NFKC", found[1] + found[3])


def plain(name: str) -> Iterator[Symbol]:
    """How a name is written where its symbol is taken: as the word that it is, else with a label, at last with a number."""
    word = SPELT.get(name, name)
    yield Symbol(word, spelt=True)
    base, _, label = word.rpartition("_")
    if base.strip("_") and label:
        yield Symbol(base, label=label)
    for k in count(2):
        yield Symbol(word, spelt=True, label=str(k))
