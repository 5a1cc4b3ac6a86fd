"""The generated source of twenty layers as it was read in review; ``make golden`` writes it anew."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.golden_layers import GOLDEN, LAYERS, disagreement
from tests.codegen.make_golden import text


@pytest.mark.parametrize("name", LAYERS)
def test_golden(name: str) -> None:
    assert text(name) == (GOLDEN / f"{name}.py").read_text(encoding="utf-8"), "read what changed, then: make golden"
    assert disagreement(name) < 1e-12, "it is not autograd's"


def test_no_file_without_a_layer() -> None:
    assert {p.stem for p in GOLDEN.glob("*.py")} == set(LAYERS)


def test_names_say_what_is_computed() -> None:
    """No name is a kind of operation with a number."""
    for name in LAYERS:
        code = (
            (GOLDEN / f"{name}.py").read_text(encoding="utf-8").partition("def forward_and_gradients")[2].partition("\ndef ")[0]
        )
        assert not re.search(r"\b(product|total|column|difference|part|shaped|found|z)(_\d+)\b", code), name
        assert "  # (" in code, f"{name} says no shape"


def test_ruff_is_content() -> None:
    """With the rules of this repository, formatting left out."""
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    done = subprocess.run([ruff, "check", str(GOLDEN)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_wrong_file_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = (GOLDEN / "softmax.py").read_text(encoding="utf-8").replace("grad_output - ", "grad_output + ")
    (tmp_path / "softmax.py").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr("tests.codegen.golden_layers.GOLDEN", tmp_path)
    assert disagreement("softmax") > 0.01
