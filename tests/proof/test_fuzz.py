"""The normal form never calls two different things equal: random terms, rewritten and mistaken."""

from typing import Any

import pytest

from derivcheck.proof import prover
from derivcheck.proof.assumptions import kinks
from derivcheck.proof.assumptions.domain import Domain
from derivcheck.proof.assumptions.identical import identically_zero
from derivcheck.proof.assumptions.kinks import Kinks
from derivcheck.proof.expressions.polynomials import elements_in
from derivcheck.proof.normal_form import signs
from tests.proof.fuzz import Count, differs, judge_claim, judged, main
from tests.proof.random_terms import pair

CHUNKS = 2
SEEDS = 360  # which give some 650 pairs to judge


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_called_equal_is_equal_on_numbers(chunk: int) -> None:
    size = SEEDS // CHUNKS
    found = judged(range(chunk * size, (chunk + 1) * size), time_limit=3.0)  # a busy machine proves no less
    assert not found.unsound, "\n".join(f"seed {p.seed}: {p.left}  |  {p.right}" for p in found.unsound)
    assert not found.wrong, "\n".join(f"claim of seed {c.seed}: {wrong}" for c, wrong in found.wrong)
    assert not found.failed, "\n".join(f"seed {p.seed}: {error}" for p, error in found.failed)
    assert found.pairs > 300 and found.equal > 30 and found.unequal > 30
    assert found.claims["proved"] > 48 and found.claims["refuted"] > 48
    assert found.proved >= 0.85 * found.equal
    assert found.proved + found.otherwise >= 0.92 * found.equal


def test_the_fuzz_finds_an_unsound_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """√(u²) = u is what a careless rule would say."""
    monkeypatch.setattr(signs, "positive", lambda context, a, e: True)
    assert any(judged(range(k, k + 20), time_limit=0.2).unsound for k in range(3000, 5000, 20))


@pytest.mark.parametrize(
    "careless",
    [
        (Kinks, "meets", lambda self, context, u: {}),  # every comparison a kink, at each index
        # A comparison of m·x a kink wherever the mask is, as if it were never 0.
        (kinks, "identically_zero", lambda context, u, inputs: identically_zero(context, u, inputs | elements_in(u))),
        (Domain, "sign", lambda self, context, a: 1),  # the forward is defined for positive numbers alone
    ],
)
def test_the_fuzz_finds_a_careless_proof_of_a_claim(monkeypatch: pytest.MonkeyPatch, careless: tuple[Any, str, Any]) -> None:
    monkeypatch.setattr(prover, "objection", lambda *_: None)  # no numbers asked of a proof: they would object
    monkeypatch.setattr(*careless)
    count = Count()
    for seed in range(90, 600):
        judge_claim(count, seed, 0.5)
        if count.wrong:
            break
    assert count.wrong


def test_an_error_in_a_rule_is_counted_and_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a broken rule")

    monkeypatch.setattr("tests.proof.fuzz.surely_equal", broken)
    assert main(["4", "0"]) == 1
    shown = capsys.readouterr().out
    assert "ended in an error" in shown and "ValueError: a broken rule" in shown


def test_numbers_tell_most_mistakes_apart() -> None:
    wrong = [p for p in map(pair, range(300)) if not p.equal and p.left is not p.right]
    assert sum(differs(p.left, p.right, p.seed) for p in wrong) > len(wrong) / 3


def test_the_command_says_how_the_pairs_fared_also_where_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["12", "0"]) == 0
    assert " made equal, of which " in capsys.readouterr().out

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tests.proof.fuzz.judge", interrupted)
    assert main(["12", "0"]) == 130
    shown = capsys.readouterr().out
    assert "interrupted after 0 of 12 seeds" in shown and "0 pairs; " in shown
