"""``make notebooks``: the tutorial's notebooks, executed in place, with nothing in them that tells when or where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = ("tutorial.ipynb", "教程.ipynb")


def executed(path: Path, seconds: int = 300) -> Any:
    """The notebook with what its cells show now."""
    book = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(book, timeout=seconds, kernel_name="python3", record_timing=False).execute()
    return book


if __name__ == "__main__":
    for name in NOTEBOOKS:
        nbformat.write(executed(EXAMPLES / name), EXAMPLES / name)
