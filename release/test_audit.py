"""An audit of scripts that start processes: workers that load data, ranks of torchrun; Ctrl-C; its page in a browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release.conftest import WORDS, run
from release.test_browser import looked_at
from tests.audit.scripts import LAYERS, TRAIN

AUDIT = [sys.executable, "-m", "derivcheck", "audit"]
RANKS = """
import sys, torch, torch.distributed as dist
from torch import nn
from own_layers import cubed
dist.init_process_group("gloo")
net = nn.parallel.DistributedDataParallel(nn.Linear(5, 8))
for k in range(3):
    cubed(net(torch.randn(4, 5))).sum().backward()
    if len(sys.argv) > 1 and dist.get_rank() == 1:
        raise ValueError("mine")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_layers.py").write_text(LAYERS.replace("{factor}", "3"))
    (tmp_path / "train.py").write_text(TRAIN.replace("{layers}", "own_layers"))
    (tmp_path / "ranks.py").write_text(RANKS)
    return tmp_path


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_that_load_data(context: str, folder: Path) -> None:
    done = run(*AUDIT, "train.py", "--", "a.pt", "2", context, folder=folder)
    assert "2 backward passes, 1 hand-written backward: it holds" in done.stdout and "Traceback" not in done.stderr
    assert done.stdout.count("hand-written backward") == 1, "a worker audits nothing"


def test_ranks_of_torchrun(folder: Path) -> None:
    ranks = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "derivcheck", "audit", "ranks.py"]
    done = run(*ranks, folder=folder)
    assert done.stdout.count("2 backward passes, 1 hand-written backward: it holds") == 1
    assert "rank 0 of 2" in done.stdout
    failed = subprocess.run(
        [*ranks, "--", "fail"], cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ | WORDS
    )
    assert failed.returncode != 0 and "derivcheck: rank 1: ranks.py raised ValueError: mine at ranks.py:10" in failed.stderr


def test_ctrl_c(folder: Path) -> None:
    (folder / "long.py").write_text(
        "import torch, time\nfrom own_layers import cubed\ncubed(torch.ones(2, requires_grad=True)).sum().backward()\n"
        "open('begun', 'w').close()\ntime.sleep(300)\n"
    )
    process = subprocess.Popen([*AUDIT, "long.py"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (folder / "begun").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert "Cubed" in out and "long.py was interrupted at long.py:5, after 1 of 2 backward passes" in " ".join(out.split())


@pytest.mark.parametrize("width", [0, 375])
def test_the_page(width: int, folder: Path) -> None:
    (folder / "own_layers.py").write_text(LAYERS.replace("{factor}", "2"))
    done = subprocess.run(
        [*AUDIT, "train.py", "--html", "audit.html", "--", "a.pt"], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stderr
    page = (folder / "audit.html").read_text()
    assert "http" not in page and page.count("<h2") == 2
    light, dark = looked_at(page, folder, width), looked_at(page, folder, width, "--blink-settings=preferredColorScheme=0")
    assert light["wide"] <= 0 and light["paper"] != dark["paper"]
