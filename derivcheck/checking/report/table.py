"""The report as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from derivcheck.checking.report.row import Row

COLOURS = {
    "passed": "green",
    "vacuous": "yellow",
    "right but ill-conditioned": "yellow",
    "undecided": "yellow",
    "not reproduced": "yellow",
}


def table(report: Iterable[Row]) -> Any:
    """A row per gradient: error, bound and verdict, then what each witness says of the derived gradient."""
    from rich import box  # loaded for a table alone
    from rich.table import Table  # loaded for a table alone
    from rich.text import Text  # loaded for a table alone

    names = list(dict.fromkeys(w.name for r in report for w in r.witnesses))
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)  # 80 columns hold it
    out.add_column("gradient")
    out.add_column("largest error", justify="right")
    out.add_column("bound", justify="right")
    for n in names:
        out.add_column(n, justify="right")
    out.add_column("verdict")
    for r in report:
        cells = []
        for n in names:
            w = next((w for w in r.witnesses if w.name == n), None)
            mark = "" if w is None or w.agrees else "?" if w.agrees is None else "✗"
            cells.append("" if w is None else "exact" if w.name == "SymPy" and w.agrees else f"{w.max_error:.1e}{mark}")
        out.add_row(
            r.name,
            f"{r.max_error:.1e}",
            f"{r.tolerance:.1e}",
            *cells,
            Text(r.verdict, style=COLOURS.get(r.verdict, "bold red")),
        )
    return out
