"""The forward as a picture: values in boxes, what is computed from what as arrows, the ways of the chain rule in colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line
from matplotlib.textpath import TextPath

from derivcheck.errors import InputError
from derivcheck.files import marked, marked_pdf, marked_png
from derivcheck.notes.explained.layout import Edge, Layout, layout

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # M. Okabe, K. Ito: told apart by all eyes
KINDS = ("png", "svg", "pdf")
GREY, INK, FONT = "#9a9a9a", "#222222", 14
STEP, GAP, TALL, MARGIN, ROW = 0.72, 0.85, 0.44, 0.25, 0.32  # inches


@dataclass(frozen=True)
class DrawnForward:
    """What is drawn.

    Attributes:
        labels: for each value its formula in TeX, in an order in which each stands after what it is computed from.
        edges: what is computed from what.
        ways: what is coloured: the formula of each way in TeX, and the arrows on it.
        start: the value that they begin at.
        unseen: values that come after what is shown (the loss beyond an output); their arrows are dashed.
    """

    labels: dict[str, str]
    edges: tuple[Edge, ...]
    ways: tuple[tuple[str, frozenset[Edge]], ...]
    start: str
    unseen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class OnPaper:
    """Inches from the lower left corner: the middle of each box, how wide it is, where long arrows bend."""

    at: dict[str, tuple[float, float]]
    widths: dict[str, float]
    bends: dict[Edge, list[tuple[float, float]]]

    @classmethod
    def of(cls, placed: Layout, widths: dict[str, float], middle: Sequence[float], lowest: float) -> OnPaper:
        """A layout on paper; ``middle`` is that of each column, ``lowest`` that of the lowest box."""
        at = {n: (middle[c], lowest + STEP * placed.height[n]) for n, c in placed.column.items()}
        bends = {
            (a, b): [(middle[placed.column[a] + 1 + k], lowest + STEP * h) for k, h in enumerate(heights)]
            for (a, b), heights in placed.bends.items()
        }
        return cls(at, widths, bends)


def draw(graph: DrawnForward) -> Figure:
    """The graph as a matplotlib Figure."""
    placed = layout(list(graph.labels), graph.edges)
    widths = {n: max(0.5, _width(t) + 0.28) for n, t in graph.labels.items()}
    columns = max(placed.column.values(), default=0) + 1
    wide = [max((widths[n] for n in graph.labels if placed.column[n] == c), default=0.5) for c in range(columns)]
    middle = [MARGIN + sum(wide[:c]) + GAP * c + wide[c] / 2 for c in range(columns)]
    legend = [text for text, _ in graph.ways]
    across = max(MARGIN * 2 + sum(wide) + GAP * (columns - 1), max(map(_width, legend), default=0) + 1.0)
    foot = MARGIN + ROW * len(legend)
    heights = [*placed.height.values(), *(h for b in placed.bends.values() for h in b)]
    high = foot + MARGIN * 2 + TALL + STEP * max(heights, default=0.0)
    with rc_context({"mathtext.fontset": "cm", "font.size": FONT}):
        figure = Figure(figsize=(across, high))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, across)
        axes.set_ylim(0, high)
        axes.axis("off")
        paper = OnPaper.of(placed, widths, middle, foot + MARGIN + TALL / 2)
        _arrows(axes, graph, paper)
        _boxes(axes, graph, paper)
        for k, text in enumerate(legend):
            y = foot - ROW * (k + 0.5)
            axes.plot([MARGIN, MARGIN + 0.4], [y, y], color=COLOURS[k % len(COLOURS)], linewidth=2.4)
            axes.text(MARGIN + 0.55, y, f"${text}$", va="center", fontsize=FONT - 2, color=INK)
    return figure


def _width(tex: str) -> float:
    """The width of a formula in inches."""
    with rc_context({"mathtext.fontset": "cm"}):
        return float(TextPath((0, 0), f"${tex}$", size=FONT).get_extents().width) / 72


def _boxes(axes: Axes, graph: DrawnForward, paper: OnPaper) -> None:
    """A box per value; what is on no way stays pale."""
    on = {n for _, edges in graph.ways for e in edges for n in e}
    widths = paper.widths
    for n, (x, y) in paper.at.items():
        face = "#dceaf6" if n == graph.start else "#f3f3f3" if n in graph.unseen else "white"
        box = FancyBboxPatch(
            (x - widths[n] / 2 + 0.06, y - TALL / 2 + 0.06),
            widths[n] - 0.12,
            TALL - 0.12,
            boxstyle="round,pad=0.06",
            facecolor=face,
            edgecolor=INK if n in on else GREY,
            linewidth=1.2 if n in on else 0.8,
            zorder=3,
        )
        axes.add_patch(box)
        axes.text(
            x, y, f"${graph.labels[n]}$", ha="center", va="center", zorder=4, color=INK if n in on else "#6b6b6b", fontsize=FONT
        )


def _arrows(axes: Axes, graph: DrawnForward, on: OnPaper) -> None:
    """An arrow per edge, in the colours of the ways that take it, side by side."""
    for a, b in graph.edges:
        ways = [k for k, (_, edges) in enumerate(graph.ways) if (a, b) in edges]
        start, end = (on.at[a][0] + on.widths[a] / 2, on.at[a][1]), (on.at[b][0] - on.widths[b] / 2 - 0.03, on.at[b][1])
        for place, k in enumerate(ways or [-1]):
            off = (place - (len(ways) - 1) / 2) * 0.075 if ways else 0.0
            arrow = FancyArrowPatch(
                path=_curve([(x, y + off) for x, y in (start, *on.bends[a, b], end)]),
                arrowstyle="-|>",
                mutation_scale=11,
                color=COLOURS[k % len(COLOURS)] if k >= 0 else GREY,
                linewidth=1.9 if k >= 0 else 0.9,
                linestyle=(0, (4, 2)) if b in graph.unseen else "solid",
                zorder=2 if k >= 0 else 1,
            )
            axes.add_patch(arrow)


def _curve(points: Sequence[tuple[float, float]]) -> Line:
    """A line through the points that leaves and arrives level."""
    vertices, codes = [points[0]], [Line.MOVETO]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        half = (x1 - x0) / 2
        vertices += [(x0 + half, y0), (x1 - half, y1), (x1, y1)]
        codes += [Line.CURVE4] * 3
    return Line(vertices, codes)


def file_content(figure: Figure, path: Path) -> str | bytes:
    """The figure in the format that the file's suffix says, with our mark where the format can bear one.

    Raises:
        InputError: a suffix that is no format of pictures.
    """
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind not in KINDS:
        raise InputError(f"a picture is written as {', '.join(KINDS)}; {path.name!r} ends in none of them")
    content = image(figure, kind)
    if kind == "png":
        return marked_png(content)
    return marked(content.decode(), "xml") if kind == "svg" else marked_pdf(content)


def image(figure: Figure, kind: str) -> bytes:
    """The figure's bytes."""
    memory = io.BytesIO()
    figure.savefig(memory, format=kind, dpi=160)
    return memory.getvalue()
