"""A run over several processes is the run of one on all rows: the same losses and parameters, within rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from derivcheck.training.ranks import in_ranks
from tests.training import ranked

WORLD = 2
SOME = ("short last batch", "words", "words by autograd", "two counts")
SAYS = {
    "batch norm": "the module's forward changes its buffers (running statistics), and every rank would keep others",
    "a root": "several processes add gradients over rows, and sqrt at ranked.py:",
    "two counts by autograd": "the loss is divided by several counts",
    "a wrong gradient on one rank": "the gradient does not hold at input",
    "infinite on one rank": "is inf; expected finite values",
}


def the_run_of_one_process(found: list[dict[str, Any]], name: str) -> None:
    one = ranked.alone(ranked.CASES[name])
    losses, final, parameters, world, passed = found[0][name]
    assert world == len(found) and all(passed) and len(passed) == 2
    bound = 1e-13  # some tens of steps of sums over a dozen numbers of size 1
    assert torch.allclose(torch.tensor(losses), torch.tensor(one.losses), rtol=bound, atol=bound)
    assert abs(final - one.final_loss) < bound
    for n, p in one.parameters.items():
        torch.testing.assert_close(parameters[n], p, rtol=bound, atol=bound)
    for other in found[1:]:
        assert other[name][0] == losses
        assert all(torch.equal(other[name][2][n], p) for n, p in parameters.items())


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_ranks(ranked.outcomes, WORLD, str(tmp_path_factory.mktemp("ranks")), (*SOME, *SAYS))


@pytest.mark.parametrize("name", SOME)
def test_the_run_of_one_process(outcomes: list[dict[str, Any]], name: str) -> None:
    the_run_of_one_process(outcomes, name)


@pytest.mark.parametrize("name", ranked.REFUSED)
def test_what_cannot_be_added_is_refused_by_every_rank(outcomes: list[dict[str, Any]], name: str) -> None:
    assert all(SAYS[name] in found[name] for found in outcomes), [found[name] for found in outcomes]


def test_modules_that_differ(outcomes: list[dict[str, Any]]) -> None:
    assert (
        "weight is (3, 3) float64 on rank 1 and (2, 3) float64 on rank 0; every rank trains the same" in outcomes[0]["unlike"]
    )
    assert all(found["unlike"] for found in outcomes)


def test_a_signal_to_one_rank_saves_the_run_of_all(outcomes: list[dict[str, Any]]) -> None:
    whole = outcomes[0]["short last batch"]
    for found in outcomes:
        said, losses, parameters = found["resumed"]
        assert said.startswith("stopped by SIGTERM after step 4; ")
        assert losses == whole[0] and all(torch.equal(parameters[n], p) for n, p in whole[2].items())


def test_sharded_parameters(outcomes: list[dict[str, Any]]) -> None:
    one = ranked.alone(ranked.CASES["adam"])
    module, _, x, _, _ = ranked.CASES["adam"]()
    module.load_state_dict({n[1:].replace("_", ".", 1): p for n, p in one.parameters.items()})
    for found in outcomes:
        losses, whole, out, refused = found["sharded"]
        torch.testing.assert_close(torch.tensor(losses), torch.tensor(one.losses), rtol=1e-12, atol=1e-12)
        for n, p in module.named_parameters():
            torch.testing.assert_close(whole[n], p.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(out, module(x).detach(), rtol=1e-12, atol=1e-12)
        assert "sharded; save them by torch.distributed.checkpoint" in refused
