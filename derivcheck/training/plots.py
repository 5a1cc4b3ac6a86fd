"""The pictures of a run; the one file that meets matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
_DOTS = ("o", "x", "^", "s", "+")


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
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    lines = {label: (w.detach().cpu().double(), b.detach().cpu().double()) for label, (w, b) in fits.items()}
    with rc_context(_STYLE):
        if x.shape[1] == 1 and y.shape[1] == 1:
            figure = Figure(figsize=(6.4, 4.0), layout="constrained")
            _lines_over_data(figure.subplots(), x, y, lines, features[0], targets[0])
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
    with rc_context(_STYLE), np.errstate(over="ignore"):  # a run that diverged has losses at the edge of the type
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        for style, (label, values) in zip(_LINES * len(losses), losses.items()):
            marker = "o" if len(values) == 1 else None
            axes.plot(range(1, len(values) + 1), values, label=label, marker=marker, **style)
        if floor is not None and floor > 0:
            axes.axhline(floor, color="#555555", linewidth=0.9, label="least squares")
        if any(v > 0 for values in losses.values() for v in values):
            axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(loss)
        axes.legend()
        return _png(figure)


def _lines_over_data(axes: Axes, x: torch.Tensor, y: torch.Tensor, fits: Mapping[str, Line], feature: str, target: str) -> None:
    axes.scatter(x[:, 0], y[:, 0], s=14, color="#999999", label=f"data ({len(x)} points)")
    ends = torch.stack([x.min(), x.max()])
    for style, (label, (w, b)) in zip(_LINES * len(fits), fits.items()):
        axes.plot(ends, w[0, 0] * ends + b[0], label=label, **style)
    axes.set_xlabel(feature)
    axes.set_ylabel(target)
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
        axes.set_xlabel(f"{targets[k]}, actual")
        axes.set_ylabel(f"{targets[k]}, predicted")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return figure


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
