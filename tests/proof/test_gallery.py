"""Published backwards are proved for every size; with one realistic mistake each, they are refuted."""

import pytest

from derivcheck.derive import derive
from derivcheck.proof.prove import prove_programs
from derivcheck.proof.report.proof import Proof
from derivcheck.prove import parse_claim
from tests.proof.gallery import GALLERY, Entry

MISTAKES = [(e, k) for e in GALLERY for k in range(len(e.wrong))]


def _proof(entry: Entry, backward: str) -> Proof:
    d = derive(entry.forward, dims=entry.inputs)
    return prove_programs(d.program, d.adjoint, parse_claim(backward, d), time_limit=20)


@pytest.mark.parametrize("entry", GALLERY, ids=lambda e: e.name)
def test_proved(entry: Entry) -> None:
    proof = _proof(entry, entry.backward)
    assert proof.status == "proved", str(proof)
    assert proof.counterexample is None


@pytest.mark.parametrize(("entry", "k"), MISTAKES, ids=lambda v: v.name if isinstance(v, Entry) else str(v))
def test_a_mistake_is_refuted(entry: Entry, k: int) -> None:
    proof = _proof(entry, entry.mistaken(k))
    assert proof.status == "refuted", str(proof)
    assert proof.counterexample is not None
    assert proof.counterexample.claimed != proof.counterexample.gradient


def test_every_entry_has_a_mistake() -> None:
    assert all(e.wrong for e in GALLERY)
    assert len({e.name for e in GALLERY}) == len(GALLERY)
