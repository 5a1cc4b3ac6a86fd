"""What a notebook shows: of a value a piece of HTML whose style sheet reaches nothing else on the page, of a cell a name."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
.derivcheck-shown { line-height: 1.45; }
.derivcheck-shown .verdict { margin: .2rem 0; font-weight: 600; }
.derivcheck-shown .good { color: light-dark(#176e36, #6fce8f); }
.derivcheck-shown .bad { color: light-dark(#a8071a, #ff8a80); }
.derivcheck-shown .open { color: light-dark(#8a5a00, #e5b95c); }
.derivcheck-shown table { border-collapse: collapse; margin: .3rem 0; }
.derivcheck-shown th, .derivcheck-shown td { text-align: left; vertical-align: top; padding: .15rem .9rem .15rem 0; }
.derivcheck-shown th, .derivcheck-shown td { border-bottom: 1px solid #8884; }
.derivcheck-shown .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.derivcheck-shown pre { margin: .3rem 0; white-space: pre-wrap; overflow-wrap: anywhere; background: none; color: inherit }
""".strip()

_KERNELS = "ipykernel_"  # the folder in which a notebook's kernel says that its cells stand

Cell = tuple[str, str]  # its text, and its class: "", "number", "good", "bad" or "open"


def piece(*parts: str) -> str:
    """Parts as one piece that brings its own style."""
    return f'<div class="derivcheck-shown"><style>\n{STYLE}\n</style>\n' + "\n".join(p for p in parts if p) + "\n</div>\n"


def verdict(text: str, tone: str) -> str:
    """The first line; ``tone`` is ``good``, ``bad`` or ``open``."""
    return f'<p class="verdict {tone}">{escape(text)}</p>'


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    """A table of texts."""
    lines = ["<tr>" + "".join(f'<th class="{kind}">{escape(text)}</th>' for text, kind in head) + "</tr>"]
    lines += ["<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for text, kind in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def lines(text: Iterable[str]) -> str:
    """Lines as they stand, or nothing."""
    joined = "\n".join(text)
    return f"<pre>{escape(joined)}</pre>" if joined else ""


def curve(values: Sequence[float], label: str) -> str:
    """A small line plot of ``values`` in their order, logarithmic where all are positive; nothing for fewer than two.

    >>> curve([1.0], "loss")
    ''
    """
    points = [(k, v) for k, v in enumerate(values) if math.isfinite(v)]
    if len(points) < 2:
        return ""
    heights = [math.log10(v) if min(v for _, v in points) > 0 else v for _, v in points]
    low, high = min(heights), max(heights)
    span, wide, tall = high - low or 1.0, 320, 90
    at = (
        f"{4 + k / (len(values) - 1) * (wide - 8):.1f},{4 + (high - h) / span * (tall - 8):.1f}"
        for (k, _), h in zip(points, heights)
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}">'
        f'<polyline fill="none" stroke="currentColor" stroke-width="1.5" points="{" ".join(at)}"/></svg>'
    )


def file_name(path: str) -> str:
    """A source file as a user knows it: its name without folders; a cell of a notebook is ``cell``.

    >>> file_name("/home/me/layer.py"), file_name("/tmp/ipykernel_1234/440775244.py")
    ('layer.py', 'cell')
    """
    folder, name = os.path.split(path)
    return "cell" if os.path.basename(folder).startswith(_KERNELS) else name
