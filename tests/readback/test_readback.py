"""What is printed is read back and evaluated: it is the derivation's value, in every style and ink."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from derivcheck.errors import NotationError
from derivcheck.notation.text.parse import parse_program
from derivcheck.notes.writing import sides
from derivcheck.notes.writing import writer as writing
from derivcheck.notes.writing.ink import Latex, Unicode
from tests.readback import corpus
from tests.readback.brackets import BRACKETED
from tests.readback.corpus import Source, source
from tests.readback.legend import Misprint
from tests.readback.line import Line
from tests.readback.pages import PAGES

SOURCES: dict[str, Callable[[], Iterator[Source]]] = {
    "notes": corpus.noted,
    "random": lambda: corpus.random(3),
    "published": lambda: islice(corpus.published(), 0, None, 12),
    "layers": lambda: islice(corpus.layers(), 0, None, 6),
}


def lines(source: Source, page: str, most: int = 12) -> list[Line]:
    """Lines of a page, of those of a long one some."""
    found = PAGES[page](source).lines
    return found if len(found) <= most else random.Random(len(source.name)).sample(found, most)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("sources", SOURCES)
def test_what_is_printed_reads_back(sources: str, page: str) -> None:
    read = 0
    for s in SOURCES[sources]():
        for line in lines(s, page):
            assert not line.wrong(), s.name
            read += 1
    assert read > 5


def says_wrong(s: Source, page: str) -> bool:
    """Whether a page has a line that is not so, or cannot be read."""
    for line in PAGES[page](s).lines:
        try:
            if line.wrong():
                return True
        except (NotationError, Misprint):
            return True
    return False


def test_a_printer_that_errs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "[i <= 0];[i <= 2];[3 - j <= i];[j < i];[i >= 1];[t[i] <= j];[c < 1];[x[i] <= s];[i % 2 >= 1]".split(";")
    programs = [source(b, parse_program(f"y[i] := sum(j: {b}*x[j]); z[m] := t[m]*x[m]*s*c", BRACKETED)) for b in shown]
    right = sides.sides
    for wrong in (
        lambda p, r: (right(p, r)[0], r, right(p, r)[2]),  # the relation as it was, whatever side things are on
        lambda p, r: right(p, r)[::-1],  # the sides exchanged
        lambda p, r: (right(p, r)[0], {">=": ">", "<=": "<"}.get(right(p, r)[1], right(p, r)[1]), right(p, r)[2]),
        lambda p, r: (right(p, r)[0] + 1, *right(p, r)[1:]),
    ):
        monkeypatch.setattr(writing, "sides", wrong)
        assert any(says_wrong(s, page) for s in programs for page in PAGES)
    monkeypatch.undo()
    for table in (Unicode.relations, Latex.relations):
        monkeypatch.setitem(table, "<=", table[">="])
        assert any(says_wrong(s, page) for s in programs for page in PAGES)
        monkeypatch.undo()
