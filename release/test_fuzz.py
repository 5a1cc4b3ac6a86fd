"""Long searches; RELEASE_SEEDS says how long."""

from __future__ import annotations

import os
import sys

from release.conftest import ROOT, run

SEEDS = os.environ.get("RELEASE_SEEDS", "50000")


def test_proofs() -> None:
    said = run(sys.executable, "-m", "tests.proof.fuzz", SEEDS, folder=ROOT, seconds=24 * 3600).stdout
    assert "unsound" in said, said[-500:]


def test_sizes() -> None:
    run(sys.executable, "-m", "tests.tracing.fuzz_sizes", SEEDS, folder=ROOT, seconds=24 * 3600)
