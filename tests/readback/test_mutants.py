"""A token that is dropped from printed text is noticed: the text is refused, or says something else."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from derivcheck.errors import InputError, NotationError
from tests.readback.corpus import Source, noted, numbers
from tests.readback.legend import Misprint
from tests.readback.line import Line
from tests.readback.mutants import mutants
from tests.readback.pages import PAGES

LARGER = {"N": 5, "in": 3, "out": 4, "M": 4, "C": 5, "D": 4, "K": 7, "V": 7}


def elsewhere(s: Source, page: str) -> list[Source]:
    """The same derivation on other numbers and, where the page is for every size, at other sizes."""
    sizes = [s.sizes, s.sizes if page == "scalar" else {n: LARGER.get(n, k + 1) for n, k in s.sizes.items()}]
    return [Source(s.name, s.forward, s.back, numbers(s.back, at, seed), at) for seed, at in enumerate(sizes, 7)]


def noticed(line: Line, text: str) -> bool:
    """Whether a text in place of a line is refused or wrong."""
    try:
        return bool(line.wrong(text))
    except (NotationError, InputError, Misprint):
        return True


@pytest.mark.parametrize("page", PAGES)
def test_a_dropped_token_is_noticed(page: str) -> None:
    ink = "text" if page == "index text" else "unicode" if "Unicode" in page else "latex"
    r = random.Random(0)
    kinds: Counter[str] = Counter()
    for s in noted():
        lines = PAGES[page](s).lines
        others: list[list[Line]] = []
        for k in r.sample(range(len(lines)), min(4, len(lines))):
            every = list(mutants(lines[k].text, ink))
            for kind, text in r.sample(every, min(6, len(every))):
                kinds[kind] += 1
                if noticed(lines[k], text):
                    continue
                others = others or [PAGES[page](x).lines for x in elsewhere(s, page)]
                assert any(noticed(one[k], text) for one in others), f"{s.name}, {kind}: {text}\nof {lines[k].text}"
    assert sum(kinds.values()) > 80 and len(kinds) >= 5, kinds
