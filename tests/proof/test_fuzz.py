"""The normal form never calls two different things equal: random terms, rewritten and mistaken."""

import pytest

from derivcheck.proof import powers
from tests.proof.fuzz import differs, judged, pair

CHUNKS = 4
SEEDS = 3600  # of which some 2,000 give two different terms


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_called_equal_is_equal_on_numbers(chunk: int) -> None:
    size = SEEDS // CHUNKS
    found = judged(range(chunk * size, (chunk + 1) * size), time_limit=3.0)  # a busy machine proves no less
    assert not found.unsound, "\n".join(f"seed {p.seed}: {p.left}  |  {p.right}" for p in found.unsound)
    assert found.equal > 100 and found.unequal > 100
    assert found.proved >= 0.9 * found.equal


def test_the_fuzz_finds_an_unsound_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """√(u²) = u is what a careless rule would say."""
    monkeypatch.setattr(powers, "positive", lambda space, a, e: True)
    assert any(judged(range(k, k + 20), time_limit=0.2).unsound for k in range(3000, 5000, 20))


def test_numbers_tell_most_mistakes_apart() -> None:
    wrong = [p for p in map(pair, range(300)) if not p.equal and p.left is not p.right]
    assert sum(differs(p.left, p.right, p.seed) for p in wrong) > len(wrong) / 3
