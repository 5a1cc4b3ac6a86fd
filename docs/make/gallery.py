"""All pages of the gallery, and their table of contents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from derivcheck.diagnosis.repair.clock import clock
from docs.make.page import Page, page
from examples.gallery import FAMILIES, LAYERS, Layer

STEP = 0.001  # seconds that a step of a search counts as
FOLDER = Path(__file__).parents[1] / "gallery"
HEAD = """# The gallery

Layers and losses from papers: what each computes, its gradient derived for every size, the code that is generated, a
backward as people write it with its proof, and the mistakes that people make in it with what derivcheck says of them. The
layers stand in `examples/gallery/`, where tests and benchmarks take them, too; `make docs` writes
these pages.

Proof: of the hand-written backward, for every size. Mistakes: how many were found; of how many the line was named; for how
many an edit was offered that makes every gradient right."""


def pages(layers: Sequence[Layer]) -> Iterator[Page]:
    """The pages of layers as they are made, by as many processes as there are processors; those first that take longest."""
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, len(layers))
    with ProcessPoolExecutor(workers, get_context("spawn"), _alone) as pool:
        by_length = sorted(
            layers, key=lambda layer: layer.language == "python"
        )  # kernels and texts are read anew for each edit
        yield from (made.result() for made in as_completed([pool.submit(_page, layer.name) for layer in by_length]))


def _alone() -> None:
    """What a page says hangs neither on the machine nor on what else it does: one thread, and searches that count steps."""
    torch.set_num_threads(1)
    clock.step = STEP


def _page(name: str) -> Page:
    return page(LAYERS[name])


def stored() -> list[Page]:
    """The pages that are there."""
    files = {layer.name: FOLDER / f"{layer.slug}.md" for layer in LAYERS.values()}
    return [Page(name, file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()]


def table(made: Iterable[Page]) -> str:
    """The table of contents, by family."""
    by_name = {p.layer: p for p in made}
    lines = [HEAD]
    for family, layers in FAMILIES.items():
        lines += ["", f"## {family}", "", "| Layer | | Proof | Mistakes | Lines | Edits |", "|---|---|---|---|---|---|"]
        for layer in layers:
            p, n = by_name[layer.name], len(layer.mistakes)
            link = f"[{layer.title}]({layer.slug}.md)"
            lines.append(
                f"| {link} | {layer.about} | {p.status} | {p.found} of {n} | {p.located} of {n} | {p.repaired} of {n} |"
            )
    proved = sum(p.status == "proved" for p in by_name.values())
    mistakes = sum(len(layer.mistakes) for layers in FAMILIES.values() for layer in layers)
    sums = [sum(getattr(p, a) for p in by_name.values()) for a in ("found", "located", "repaired")]
    lines += [
        "",
        f"In all: {len(by_name)} layers, {proved} backwards proved; {mistakes} mistakes, {sums[0]} found, "
        f"the line of {sums[1]} named, for {sums[2]} an edit offered.",
    ]
    return "\n".join(lines) + "\n"


def write(text: str, file: Path) -> bool:
    """Write a file; whether it changed."""
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return True
