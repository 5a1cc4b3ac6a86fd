"""A run over several processes is the run of one on all rows: the same losses and parameters, within rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def refused_by_every_rank(found: list[dict[str, Any]], name: str) -> None:
    assert all(SAYS[name] in f[name] for f in found), [f[name] for f in found]


def a_signal_to_one_rank_saves_the_run_of_all(found: list[dict[str, Any]]) -> None:
    whole = found[0]["short last batch"]
    for f in found:
        said, losses, parameters = f["resumed"]
        assert said.startswith("stopped by SIGTERM after step 4; ")
        assert losses == whole[0] and all(torch.equal(parameters[n], p) for n, p in whole[2].items())


def sharded_parameters(found: list[dict[str, Any]]) -> None:
    one = ranked.alone(ranked.CASES["adam"])
    module, _, x, _, _ = ranked.CASES["adam"]()
    module.load_state_dict({n[1:].replace("_", ".", 1): p for n, p in one.parameters.items()})
    for f in found:
        losses, whole, out, refused = f["sharded"]
        torch.testing.assert_close(torch.tensor(losses), torch.tensor(one.losses), rtol=1e-12, atol=1e-12)
        for n, p in module.named_parameters():
            torch.testing.assert_close(whole[n], p.detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(out, module(x).detach(), rtol=1e-12, atol=1e-12)
        assert "sharded; save them by torch.distributed.checkpoint" in refused


def test_two_ranks(tmp_path: Path) -> None:
    """One test, since the processes take seconds to start: runs, refusals, a stop and its resumption, shards."""
    found = in_ranks(ranked.outcomes, WORLD, str(tmp_path), (*SOME, *SAYS))
    for name in SOME:
        the_run_of_one_process(found, name)
    for name in ranked.REFUSED:
        refused_by_every_rank(found, name)
    assert "weight is (3, 3) float64 on rank 1 and (2, 3) float64 on rank 0; every rank trains the same" in found[0]["unlike"]
    assert all(f["unlike"] for f in found)
    a_signal_to_one_rank_saves_the_run_of_all(found)
    sharded_parameters(found)
