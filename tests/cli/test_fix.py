"""``check`` and ``prove`` with ``--fix`` and ``--write``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from derivcheck.cli.app import app

DIMS = ["--dims", "x: N in; W: out in", "--const", "eps=0.7"]
LAYERS = """
import torch

def forward(x, W, eps):
    return torch.tanh(x @ W.T) * eps

def right(grad_output, x, W, eps):
    g = grad_output * eps * (1 - torch.tanh(x @ W.T) ** 2)
    return {"x": g @ W, "W": g.T @ x}

def wrong(grad_output, x, W, eps):
    g = grad_output * (1 - torch.tanh(x @ W.T) ** 2)
    return {"x": g @ W, "W": g.T @ x}
"""


@pytest.fixture
def layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "layers.py"
    path.write_text(LAYERS)
    return path


def check(path: Path, backward: str, *more: str) -> tuple[int, str]:
    arguments = ["check", f"{path}:forward", "--backward", f"{path}:{backward}", *DIMS, *more]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})
    return result.exit_code, result.output


def test_fix_prints_a_diff_and_changes_nothing(layers: Path) -> None:
    code, output = check(layers, "wrong", "--fix")
    assert code == 1 and "--- a/layers.py\n+++ b/layers.py\n" in output, output
    assert "proved for every N, in, out" in output
    (added,) = [x for x in output.splitlines() if x.startswith("+    ")]
    assert "eps" in added
    assert layers.read_text() == LAYERS and [f for f in layers.parent.iterdir() if f.name != "__pycache__"] == [layers]


def test_write_makes_the_edit_and_keeps_the_file(layers: Path) -> None:
    code, output = check(layers, "wrong", "--fix", "--write")
    assert code == 1 and "layers.py.orig" in output
    assert (layers.parent / "layers.py.orig").read_text() == LAYERS
    assert check(layers, "wrong")[0] == 0


def test_without_a_fault_there_is_no_fix(layers: Path) -> None:
    code, output = check(layers, "right", "--fix", "--write")
    assert code == 0 and "---" not in output and layers.read_text() == LAYERS


KERNELS = """
__device__ float swish(float x) { return x / (1.0f + expf(-x)); }
__device__ void right(float x, float v_result, float& v_x) {
    float s = 1.0f / (1.0f + expf(-x));
    v_x = v_result * s * (1.0f + x * (1.0f - s));
}
__device__ void wrong(float x, float v_result, float& v_x) {
    float s = 1.0f / (1.0f + expf(-x));
    v_x = v_result * s * (1.0f - x * (1.0f - s));
}
"""


def prove(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["prove", *arguments], env={"COLUMNS": "80"})
    return result.exit_code, result.output


def test_a_refuted_backward_of_cuda_source_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "swish.cu"
    path.write_text(KERNELS)
    code, output = prove(f"{path}:swish", f"{path}:wrong", "--fix")
    assert code == 1 and "--- a/swish.cu\n+++ b/swish.cu\n" in output and path.read_text() == KERNELS, output
    code, output = prove(f"{path}:swish", f"{path}:wrong", "--fix", "--write")
    assert code == 1 and "as it was: " in output and (tmp_path / "swish.cu.orig").read_text() == KERNELS, output
    assert prove(f"{path}:swish", f"{path}:wrong")[0] == 0
    mended = path.read_text()
    code, output = prove(f"{path}:swish", f"{path}:right", "--fix", "--write")
    assert code == 0 and "fix" not in output and path.read_text() == mended


def test_index_text_is_no_file_to_write() -> None:
    code, output = prove("y[n] := x[n]^2", "x_bar[n] := x[n]*grad_output[n]", "--dims", "x: N", "--fix", "--write")
    assert code == 2 and "the backward is index text, and no file that could be written" in output, output
    assert "+x_bar[n] := 2" in output


@pytest.mark.parametrize("command", [check, lambda path, b, *more: prove(f"{path}:forward", f"{path}:{b}", *DIMS, *more)])
def test_write_alone_is_refused(layers: Path, command: Callable[..., tuple[int, str]]) -> None:
    code, output = command(layers, "wrong", "--write")
    assert code == 2 and "--write makes the edit that --fix finds; give both" in output


def test_formats_of_a_review(layers: Path) -> None:
    code, text = check(layers, "wrong", "--format", "github")
    assert code == 1 and text.startswith("::error file=layers.py,line=12,title=") and text.count("\n") == 2
    code, text = check(layers, "right", "--format", "github")
    assert code == 0 and text.startswith("::notice title=derivcheck::forward: all 2 gradients hold")
    code, text = check(layers, "wrong", "--format", "sarif")
    assert code == 1 and [r["ruleId"] for r in json.loads(text)["runs"][0]["results"]] == ["wrong", "wrong"]
    code, text = check(layers, "right", "--format", "sarif")
    assert code == 0 and json.loads(text)["runs"][0]["results"] == []
    assert check(layers, "right", "--format", "json")[1] == check(layers, "right", "--json")[1]
    code, text = check(layers, "right", "--format", "sarf")
    assert code == 2 and "sarif" in text
