"""A fixed part of the benchmark's wrong backwards is named in the words of the field, at a shape where a user would meet it."""

from __future__ import annotations

import pytest

from benchmarks.wrong_backwards.blind import BLIND
from benchmarks.wrong_backwards.later import SET as LATER
from benchmarks.wrong_backwards.tuned import TUNED
from benchmarks.wrong_backwards.wrong import Wrong
from derivcheck.diagnosis.diagnose import diagnose

EVERY = (*BLIND, *TUNED, *LATER)
CHOSEN = [w for k, w in enumerate(EVERY) if w in BLIND or k % 4 == 0]


def test_the_set_is_large_enough() -> None:
    assert len(TUNED) + len(LATER) + len(BLIND) >= 80
    assert len({w.layer for w in EVERY}) >= 15
    assert len(BLIND) >= 16


@pytest.mark.parametrize("wrong", CHOSEN, ids=lambda w: f"{w.layer}-{w.backward.__name__}")
def test_named(wrong: Wrong) -> None:
    found = diagnose(wrong.case(0), seconds=30)
    assert found is not None
    assert wrong.named(found.kind, str(found)), f"{found.kind}: {found}"
