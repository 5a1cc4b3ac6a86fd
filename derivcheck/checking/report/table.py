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

    narrow = any("ill-conditioned" in r.verdict for r in report)
    names = list(dict.fromkeys(w.name for r in report for w in r.witnesses))
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)  # 80 columns hold it
    out.add_column("gradient", overflow="fold", max_width=9 if narrow else None)
    out.add_column("largest\nerror", justify="right", no_wrap=True)
    out.add_column("bound", justify="right", no_wrap=True)
    out.add_column("would\nhave\nseen", justify="right", no_wrap=True)  # the smallest error, of the gradient's norm
    for n in names:
        out.add_column("differ-\nences" if narrow and n == "differences" else n, justify="right", no_wrap=True)
    widest = max((len(word) for r in report for word in r.verdict.split()), default=0)
    out.add_column("verdict", overflow="fold", min_width=widest)  # names are folded first
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
            f"{r.sensitivity:.0e}" if r.count or r.passed else "",
            *cells,
            Text(r.verdict, style=COLOURS.get(r.verdict, "bold red")),
        )
    return out
