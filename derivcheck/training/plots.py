"""The pictures of a run; the one file that meets matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager, get_font

Line = tuple[torch.Tensor, torch.Tensor]  # weight (out, in), bias (out,)

_STYLE: Any = {
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 160,
}
# Colours that stay apart for the colour-blind (Okabe & Ito 2008); dashes keep lines apart that lie on each other.
_LINES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linewidth": 3.2, "alpha": 0.55},
    {"color": "#D55E00", "linestyle": (0, (4, 3)), "linewidth": 1.6},
    {"color": "#009E73", "linestyle": "-.", "linewidth": 1.6},
    {"color": "#CC79A7", "linestyle": ":", "linewidth": 2.0},
    {"color": "#000000", "linestyle": "-", "linewidth": 0.9},
)
HIGH = 1e150  # a loss that a picture shows
POINTS = 5000  # that a picture shows at most, evenly taken
_DOTS = ("o", "x", "^", "s", "+")
# Fonts with Chinese, Japanese and Korean letters: on Linux, Windows, macOS.
_EAST_ASIAN = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Arial Unicode MS",
)
_FIRST = "DejaVu Sans"  # comes with matplotlib


def fonts(texts: Iterable[str]) -> tuple[list[str], str]:
    """The installed fonts that ``texts`` need, in the order in which they are asked, and the letters that none of them has.

    >>> fonts(["x_1", "größe"])
    (['DejaVu Sans'], '')
    """
    left = {c for text in texts for c in text if c.isprintable() and not c.isspace()}
    chosen: list[str] = []
    for name, path in _candidates():
        if has := {c for c in left if get_font(path).get_char_index(ord(c))}:
            chosen.append(name)
            left -= has
        if not left:
            break
    return chosen or [_FIRST], "".join(sorted(left))


def _candidates() -> Iterator[tuple[str, str]]:
    """Fonts by name, with their files: matplotlib's own, known ones, then whatever is on the machine.

    matplotlib remembers a list of fonts from the day on which it was first loaded; what was installed since is added here.
    """
    known = {f.name: f.fname for f in fontManager.ttflist}
    for name in (_FIRST, *_EAST_ASIAN):
        if name in known:
            yield name, known[name]
    seen = {f.fname for f in fontManager.ttflist}
    for path in sorted(findSystemFonts(), key=lambda p: ("Sans" not in p, "Regular" not in p, p)):
        if path not in seen:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # a font that matplotlib cannot read
                continue
            yield fontManager.ttflist[-1].name, path


def fit_png(
    x: torch.Tensor, y: torch.Tensor, fits: Mapping[str, Line], features: Sequence[str], targets: Sequence[str]
) -> bytes:
    """The data and the fits: lines over the one feature, or predicted against actual for each target.

    Args:
        x: shape (N, in); y: shape (N, out).
        fits: label → (weight of shape (out, in), bias of shape (out,)).

    Returns:
        A PNG, 6.4 inches wide.
    """
    rows = len(x)
    if rows > POINTS:  # a picture of more is a blot, and slow
        some = torch.linspace(0, rows - 1, POINTS, dtype=torch.float64).long()
        x, y = x[some.to(x.device)], y[some.to(y.device)]
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    lines = {label: (w.detach().cpu().double(), b.detach().cpu().double()) for label, (w, b) in fits.items()}
    with _style([*features, *targets]):
        if x.shape[1] == 1 and y.shape[1] == 1:
            figure = Figure(figsize=(6.4, 4.0), layout="constrained")
            shown = f"{len(x)} of {rows:,}" if rows > len(x) else str(rows)
            _lines_over_data(figure.subplots(), x, y, lines, (features[0], targets[0], f"data ({shown} points)"))
        else:
            figure = _predicted_against_actual(x, y, lines, targets)
        return _png(figure)


def loss_png(losses: Mapping[str, Sequence[float]], floor: float | None = None, loss: str = "MSE loss") -> bytes:
    """The loss of each run over its epochs, on a logarithmic scale.

    Args:
        losses: label → the loss of each epoch.
        floor: the least loss that there is (least squares), as a line to be reached.

    Returns:
        A PNG, 6.4 inches wide.
    """
    with _style(losses), np.errstate(over="ignore"):  # a run that diverged has losses at the edge of the type
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        for style, (label, values) in zip(_LINES * len(losses), losses.items()):
            marker = "o" if len(values) == 1 else None
            shown = [v if v < HIGH else np.nan for v in values]  # an axis of larger ones overflows
            axes.plot(range(1, len(values) + 1), shown, label=label, marker=marker, **style)
        if floor is not None and floor > 0:
            axes.axhline(floor, color="#555555", linewidth=0.9, label="least squares")
        if any(v > 0 for values in losses.values() for v in values):
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(loss)
        axes.legend()
        return _png(figure)


def _lines_over_data(
    axes: Axes, x: torch.Tensor, y: torch.Tensor, fits: Mapping[str, Line], names: tuple[str, str, str]
) -> None:
    """Points and lines; ``names`` are the feature's, the target's and the points'."""
    feature, target, points = names
    axes.scatter(x[:, 0], y[:, 0], s=14, color="#999999", label=points)
    ends = torch.stack([x.min(), x.max()])
    for style, (label, (w, b)) in zip(_LINES * len(fits), fits.items()):
        axes.plot(ends, w[0, 0] * ends + b[0], label=label, **style)
    axes.set_xlabel(feature, parse_math=False)  # dollars in a column's name are dollars
    axes.set_ylabel(target, parse_math=False)
    axes.legend()


def _predicted_against_actual(x: torch.Tensor, y: torch.Tensor, fits: Mapping[str, Line], targets: Sequence[str]) -> Figure:
    """A panel per target: the points of each fit about the line on which it would be perfect."""
    columns = min(len(targets), 3)
    rows = -(-len(targets) // columns)
    figure = Figure(figsize=(6.4, 4.4 if columns == 1 else 0.9 + 6.4 / columns * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for k, axes in enumerate(grid.flat):
        if k >= len(targets):
            axes.set_axis_off()
            continue
        for dot, style, (label, (w, b)) in zip(_DOTS * len(fits), _LINES * len(fits), fits.items()):
            filled = {"facecolors": "none", "edgecolors": style["color"]} if dot in "o^s" else {"color": style["color"]}
            axes.scatter(y[:, k], x @ w[k] + b[k], s=20, linewidths=0.9, marker=dot, label=label, **filled)
        low, high = float(y[:, k].min()), float(y[:, k].max())
        axes.plot([low, high], [low, high], color="#555555", linewidth=0.9, label="predicted = actual")
        axes.set_xlabel(f"{targets[k]}, actual", parse_math=False)
        axes.set_ylabel(f"{targets[k]}, predicted", parse_math=False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return figure


@contextmanager
def _style(texts: Iterable[str]) -> Iterator[None]:
    """The pictures' own style, with fonts for ``texts``; what no font has is drawn as boxes, and :func:`fonts` says so."""
    with rc_context({**_STYLE, "font.family": fonts(texts)[0]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+")
        yield


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
