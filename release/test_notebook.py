"""A notebook shows a derivation as formulas, and code of its cells can be checked and reproduced."""

from __future__ import annotations

import pytest

CELLS = (
    "import torch, derivcheck as dc\nd = dc.derive(torch.nn.Linear(2, 1), loss=torch.nn.MSELoss())\nd",
    "def f(x):\n    return torch.sin(x)\ndef wrong(grad_output, x):\n    return {'x': grad_output * torch.cos(x) * 2}\n"
    "report = dc.check(f, {'x': torch.randn(3)}, wrong)\nprint(report)\nprint(report.reproducer())",
)


def test_a_notebook() -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    from nbformat import v4

    book = v4.new_notebook(cells=[v4.new_code_cell(text) for text in CELLS])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    shown = book.cells[0].outputs[-1]["data"]
    assert "<math" in shown["text/html"] and "weight" in shown["text/latex"].lower() + shown["text/html"]
    said = "".join(o.get("text", "") for o in book.cells[1].outputs)
    assert "2" in said and "def wrong(grad_output, x):" in said
