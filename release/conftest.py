"""``make release``: what is too slow for ``make test``, or needs a tool that not every machine has.

Each part stands in a file of its own.  Where its tool is missing it is skipped, with the reason; pytest counts the skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = {"COLUMNS": "80", "OMP_NUM_THREADS": "1"}


def run(*command: str | Path, folder: Path, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    """A command that has to succeed."""
    done = subprocess.run(
        [str(c) for c in command], cwd=folder, capture_output=True, text=True, timeout=seconds, env={**os.environ, **WORDS}
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    return done


def tool(*names: str) -> str:
    """The first of these programs that is there; else the test is skipped."""
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    checkout = tmp_path_factory.mktemp("wheel") / "checkout"
    left = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "derivcheck-out", "*.egg-info")
    shutil.copytree(ROOT, checkout, ignore=left)
    run(sys.executable, "-c", "from setuptools import build_meta as b; b.build_wheel('.')", folder=checkout)
    (found,) = checkout.glob("*.whl")
    assert not any(n.startswith(("tests", "release")) for n in zipfile.ZipFile(found).namelist())
    return found


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a new environment with the wheel and what it needs, nothing else."""
    environment = tmp_path_factory.mktemp("bare") / "environment"
    run(sys.executable, "-m", "venv", environment, folder=wheel.parent)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel]
    done = subprocess.run([str(p) for p in pip], capture_output=True, text=True, timeout=1800)
    if done.returncode != 0 and "No matching distribution" in done.stderr:
        pytest.skip("the packages that the wheel needs cannot be had here")
    assert done.returncode == 0, done.stderr[-2000:]
    return environment / "bin"
