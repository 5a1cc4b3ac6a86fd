"""Documents that derivcheck writes go through TeX."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

import derivcheck as dc
from release.conftest import run, tool

STYLES = {"index": None, "matrix": None, "scalar": {"N": 2, "in": 2, "out": 2}}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_document(style: str, lang: str, tmp_path: Path) -> None:
    tex = tool("xelatex", "lualatex", "tectonic") if lang == "zh" else tool("pdflatex", "xelatex", "lualatex", "tectonic")
    d = dc.derive(nn.Linear(2, 2), loss=nn.MSELoss())
    (tmp_path / "notes.tex").write_text(d.to_latex(style, lang=lang, sizes=STYLES[style], full=True), encoding="utf-8")
    options = [] if tex.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    run(tex, *options, "notes.tex", folder=tmp_path)
    assert (tmp_path / "notes.pdf").stat().st_size > 5000


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_command_writes_a_pdf(lang: str, tmp_path: Path) -> None:
    tool("tectonic", "xelatex", "lualatex")
    command = [sys.executable, "-m", "derivcheck", "notes", "torch.nn:LayerNorm(5)", "--lang", lang, "--format", "pdf"]
    run(*command, "--out", "notes.pdf", folder=tmp_path)
    written = (tmp_path / "notes.pdf").read_bytes()
    assert written.startswith(b"%PDF-") and len(written) > 5000 and [p.name for p in tmp_path.iterdir()] == ["notes.pdf"]
