"""The wheel in a bare environment: the README's commands and examples run from it, and its types are seen."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from release.conftest import ROOT, run

CUDA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]["cuda"]
MEASUREMENTS = "height,weight,age\n" + "".join(f"{150 + 7 * k % 40},{50 + 3 * k % 30},{20 + k % 37}\n" for k in range(40))


def commands(page: str) -> list[str]:
    """The lines of a page's code that call derivcheck."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [line.partition("  #")[0].strip() for line in text.splitlines() if line.startswith("    derivcheck ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader of the README stands: examples beside, data and a gradient of their own."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "measurements.csv").write_text(MEASUREMENTS)
    gradient = (ROOT / "examples" / "tutorial_gradient.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(re.sub(r"\bdef tutorial\(", "def gradient(", gradient))
    return tmp_path


def test_the_readme_has_commands() -> None:
    """A page without commands would test nothing."""
    assert len(commands("README.md")) >= 3


def test_the_first_command_writes_its_files_twice(bare: Path, folder: Path) -> None:
    for _ in range(2):
        run(bare / "derivcheck", "run", folder=folder)
    assert {"fit.png", "gradients.py", "report.json"} <= {p.name for p in (folder / "derivcheck-out").iterdir()}


@pytest.mark.parametrize("line", commands("README.md"))
def test_a_command_of_the_readme(line: str, bare: Path, folder: Path) -> None:
    words = shlex.split(line)
    if ".cu:" in line:  # the README says what to install for it
        run(bare / "python", "-m", "pip", "install", "--quiet", *CUDA, folder=folder)
    code = 1 if "forgetful" in line else 0  # the README says that this one is wrong
    script = f"import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode != {code})"
    run(sys.executable, "-c", script, bare / "derivcheck", *words[1:], folder=folder)


@pytest.mark.parametrize("page", ["README.md", "docs/index-text.md"])
def test_the_examples_of_a_page(page: str, bare: Path, tmp_path: Path) -> None:
    run(bare / "python", "-m", "doctest", "-o", "NORMALIZE_WHITESPACE", "-o", "ELLIPSIS", ROOT / page, folder=tmp_path)


def test_real_data(folder: Path) -> None:
    """In this environment: its data are scikit-learn's, which a bare one has not."""
    for _ in range(2):
        run(sys.executable, folder / "examples" / "real_data.py", folder=folder)
    assert (folder / "derivcheck-out" / "diabetes" / "report.json").exists()


def test_its_types_are_seen(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text("import derivcheck as dc\nreveal_type(dc.check)\n")
    options = ["--python-executable", str(bare / "python"), "--cache-dir", str(tmp_path / "cache")]
    done = run(sys.executable, "-m", "mypy", *options, "use.py", folder=tmp_path)
    assert "Report" in done.stdout and 'Any"' not in done.stdout.splitlines()[0]
