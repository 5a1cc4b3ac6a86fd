"""Documents that derivcheck writes go through TeX."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

import derivcheck as dc
from examples.gallery import LAYERS
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


@pytest.mark.parametrize("style", ["index", "matrix"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_line_of_the_gallery_is_too_wide(style: str, lang: str, tmp_path: Path) -> None:
    tex = tool("xelatex", "lualatex")
    documents = {name: layer.derivation.to_latex(style, lang=lang, full=True) for name, layer in LAYERS.items()}
    assert len(documents) > 30
    heads = sorted((text.partition(r"\begin{document}")[0] for text in documents.values()), key=len)
    lines = [heads[-1], r"\begin{document}"]  # the longest loads fonts beyond ASCII where some page needs them
    for name, text in documents.items():
        body = text.partition(r"\begin{document}")[2].replace(r"\end{document}", r"\newpage")
        lines += [rf"\typeout{{PAGE {name}}}", body]
    (tmp_path / "all.tex").write_text("\n".join([*lines, r"\end{document}", ""]), encoding="utf-8")
    run(tex, "-interaction=nonstopmode", "-halt-on-error", "all.tex", folder=tmp_path)
    page, wide = "", []
    for line in (tmp_path / "all.log").read_text(encoding="utf-8", errors="replace").splitlines():
        page = line if line.startswith("PAGE") else page
        wide += [f"{page}: {line}"] if r"Overfull \hbox" in line or "Missing character" in line else []
    assert not wide
