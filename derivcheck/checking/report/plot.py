"""``|error| / bound`` of each faulty gradient as an image, for people who would rather look."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib import colors, rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from derivcheck.checking.report.row import Row
from derivcheck.files import Outputs, marked, marked_png


def plot(report: Iterable[Row], path: str | None = None) -> Figure:
    """A picture per faulty gradient: white within the bound, darker the further above it.

    Args:
        path: where to write it (the suffix says the format), or None.  A file that is there is replaced if it is a PNG or SVG
            that derivcheck wrote and nobody has changed; the Figure's own ``savefig`` writes over anything.

    Returns:
        The matplotlib Figure.

    Raises:
        InputError: the file is somebody else's, or cannot be written.
    """
    pictures = images(report) or {"no gradient is wrong": None}
    with rc_context({"font.size": 10, "savefig.dpi": 160}):
        figure = Figure(figsize=(4.2 * len(pictures), 3.8), layout="constrained")
        for axes, (name, ratio) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures.items()):
            axes.set_title(name)
            if ratio is None:
                axes.axis("off")
                continue
            top = max(10.0, min(float(ratio.max()), 1e30))
            shown = axes.imshow(
                ratio.clip(0.1, top), norm=colors.LogNorm(0.1, top), cmap="magma_r", aspect="auto", interpolation="nearest"
            )
            axes.set_xlabel("last dimension")
            axes.set_ylabel("other dimensions")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            figure.colorbar(shown, ax=axes, label="|error| / bound")
        if path is not None:
            _write(figure, Path(path))
    return figure


def _write(figure: Figure, path: Path) -> None:
    """The figure as a file that is ours: it is asked for before it is drawn, and carries our mark."""
    outputs = Outputs([(path, "path=")], force=None)
    outputs.ask()
    kind, memory = path.suffix.removeprefix(".").lower() or "png", io.BytesIO()
    figure.savefig(memory, format=kind)
    image: str | bytes = memory.getvalue()
    if kind == "png":
        image = marked_png(memory.getvalue())
    elif kind == "svg":
        image = marked(memory.getvalue().decode(), "xml")
    outputs.write({path: image})


def images(report: Iterable[Row]) -> dict[str, Any]:
    """name → ``|error| / bound`` of a faulty gradient, a float64 array of two dimensions."""
    out: dict[str, Any] = {}
    for row in report:
        if row.evidence is None:
            continue
        right, found = row.evidence.right, row.evidence.found.get(row.name)
        bar = row.bar
        if found is None or bar not in right.pairs or tuple(found.shape) != tuple(right.value(bar).shape):
            continue
        ratio = (found.detach().double().cpu() - right.value(bar)).abs() / right.tolerance(bar).clamp(min=5e-324)
        ratio = ratio.nan_to_num(nan=math.inf, posinf=1e30)
        out[row.name] = (ratio.reshape(-1, ratio.shape[-1]) if ratio.ndim else ratio.reshape(1, 1)).numpy()
    return out
