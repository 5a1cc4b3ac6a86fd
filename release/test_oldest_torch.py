"""Generated code runs on torch alone, from 2.4 on: the golden files, against autograd, in an environment with nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.conftest import ROOT, run

OLDEST = "torch==2.4.0"
ROOM = 8e9  # bytes: where there is no build for the CPU alone, its libraries for a GPU come with it
CPU = ("--index-url", "https://download.pytorch.org/whl/cpu")


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of a new environment with the oldest torch; it goes when the tests have run."""
    if sys.version_info >= (3, 13):
        pytest.skip(f"{OLDEST} has no build for this Python")
    environment = tmp_path_factory.mktemp("oldest") / "environment"
    if shutil.disk_usage(environment.parent).free < ROOM:
        pytest.skip(f"{OLDEST} needs {ROOM / 1e9:.0f} GB on the disk")
    run(sys.executable, "-m", "venv", environment, folder=environment.parent)
    python = environment / "bin" / "python"
    for source in (CPU, ()):
        command = [str(python), "-m", "pip", "install", "--quiet", "--retries", "0", *source, OLDEST, "numpy<2"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode == 0:
            yield python
            shutil.rmtree(environment)
            return
    pytest.skip(f"{OLDEST} cannot be had here")


def test_golden_files(oldest: Path, tmp_path: Path) -> None:
    files = ROOT / "tests" / "codegen"
    shutil.copytree(files / "golden", tmp_path / "golden")
    shutil.copy(files / "golden_layers.py", tmp_path)
    run(oldest, "-c", "import importlib.util as u; assert not u.find_spec('derivcheck')", folder=tmp_path)
    done = run(oldest, "golden_layers.py", folder=tmp_path)
    assert "torch 2.4.0" in done.stdout and f"{len(list((tmp_path / 'golden').glob('*.py')))} of" in done.stdout
