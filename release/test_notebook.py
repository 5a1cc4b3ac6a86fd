"""The notebooks of the tutorial run, and show what the words around them say; code of a cell can be checked and reproduced."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

import nbclient
from nbformat import v4

from release.notebooks import EXAMPLES, NOTEBOOKS, executed

CELLS = (
    "import torch, derivcheck as dc\nd = dc.derive(torch.nn.Linear(2, 1), loss=torch.nn.MSELoss())\nd",
    "def f(x):\n    return torch.sin(x)\ndef wrong(grad_output, x):\n    return {'x': grad_output * torch.cos(x) * 2}\n"
    "report = dc.check(f, {'x': torch.randn(3)}, wrong)\nprint(report)\nprint(report.reproducer())",
)


def test_a_notebook() -> None:
    book = v4.new_notebook(cells=[v4.new_code_cell(text) for text in CELLS])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    shown = book.cells[0].outputs[-1]["data"]
    assert "<math" in shown["text/html"] and "import torch" not in shown["text/html"] and "W_{jk}" in shown["text/latex"]
    said = "".join(o.get("text", "") for o in book.cells[1].outputs)
    assert "2" in said and "def wrong(grad_output, x):" in said


def _shown(book: Any) -> list[str]:
    """What each output of a notebook says, as HTML or text."""
    cells = (o for cell in book.cells if cell.cell_type == "code" for o in cell.outputs)
    return [o.get("text") or o["data"].get("text/html") or o["data"].get("text/latex") or "" for o in cells]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_tutorial(name: str) -> None:
    shown = _shown(executed(EXAMPLES / name))
    reports = [s for s in shown if "derivcheck-shown" in s]
    tones = ["good" if 'class="verdict good"' in r else "bad" for r in reports]
    assert tones == ["good", "bad", "bad", "bad", "good", "bad", "good"], "as the text around them says"
    assert "divided by N, but the mean is over N·out" in reports[2] and "cell:" in reports[2]
    (runs,) = (s for s in shown if "300 epochs" in s and "w =" in s)
    slopes = {line[:17].strip(): float(line.split("w =")[1].split()[0]) for line in runs.splitlines() if "w =" in line}
    assert abs(slopes["SGD, 300 epochs"] - 2) < 0.05 < abs(slopes["SGD, 50 epochs"] - 2)
