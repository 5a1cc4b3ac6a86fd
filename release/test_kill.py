"""A command that is ended while it writes: nothing of the user's is lost, files are whole, the next run goes through."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release.conftest import run

COMMAND = [sys.executable, "-m", "derivcheck", "run", "--epochs", "5", "--out", "out"]
KILLS = int(os.environ.get("RELEASE_KILLS", "6"))
WHOLE = {".png": b"IEND\xaeB`\x82", ".tex": b"\\end{document}\n", ".json": b"}\n"}


def ended(folder: Path, how: signal.Signals, moment: random.Random, at_write: bool) -> bool:
    """Start the command and end it: at its first write, or at any moment.  Whether it was still running."""
    process = subprocess.Popen(COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = time.monotonic() + (300 if at_write else moment.uniform(0.5, 8))
    try:
        while process.poll() is None and time.monotonic() < last:
            if at_write and any(p.stat().st_size for p in list((folder / "out").glob(".derivcheck-*"))):
                time.sleep(moment.uniform(0, 0.003))
                break
            time.sleep(0.0002)
    except FileNotFoundError:  # it was renamed meanwhile
        pass
    running = process.poll() is None
    process.send_signal(how)
    process.wait(timeout=60)
    return running


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_ended_at_any_moment(how: signal.Signals, tmp_path: Path) -> None:
    run(*COMMAND, folder=tmp_path)
    out, moment, hit = tmp_path / "out", random.Random(0), 0
    (out / "mine.txt").write_text("mine")
    names = {p.name for p in out.iterdir()}
    for k in range(KILLS):
        hit += ended(tmp_path, how, moment, at_write=k % 2 == 0)
        assert (out / "mine.txt").read_text() == "mine"
        for path in out.iterdir():
            if path.suffix in WHOLE and not path.name.startswith(".derivcheck-"):
                assert path.read_bytes().endswith(WHOLE[path.suffix]), f"{path.name} is cut short"
        json.loads((out / "report.json").read_text())
        if how is not signal.SIGKILL:  # after which nobody clears away
            assert {p.name for p in out.iterdir()} == names
        run(*COMMAND, folder=tmp_path)
    assert hit, "the command was never ended while it ran"


SAVED = ["--epochs", "400", "--batch-size", "10", "--checkpoint-every", "7", "--resume"]


def test_killed_again_and_again_and_resumed(tmp_path: Path) -> None:
    """Nothing is lost but the steps since the last checkpoint: what comes out is, byte for byte, the run that nobody killed."""
    command = [*COMMAND[:4], *SAVED]
    run(*command, "--out", "whole", folder=tmp_path, seconds=1200)
    moment, hit, further = random.Random(1), 0, []
    for _ in range(int(os.environ.get("RELEASE_KILLS_RESUMED", "50"))):
        process = subprocess.Popen(
            [*command, "--out", "parts"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        time.sleep(moment.uniform(0.2, 12))
        hit += process.poll() is None
        process.kill()
        _, said = process.communicate(timeout=60)
        assert not said, "a checkpoint that was being written when the run was killed is as it was before, or as it is after"
        further.append(sum(p.stat().st_mtime for p in (tmp_path / "parts").glob("checkpoint-*.pt")))
        if process.returncode == 0:
            break
    assert hit and further == sorted(further)
    run(*command, "--out", "parts", folder=tmp_path, seconds=1200)
    for name in ("history.csv", "gradients.py"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
