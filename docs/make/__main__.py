"""Write the gallery, or some pages of it: ``python -m docs.make [layer norm] [...]``."""

from __future__ import annotations

import argparse
import sys
import time

from docs.make.gallery import FOLDER, pages, stored, table, write
from docs.make.page import Page
from examples.gallery import LAYERS


def main() -> int:
    """Write the pages, and the table of contents where all of them are there."""
    parser = argparse.ArgumentParser(prog="python -m docs.make", description="Write docs/gallery/ from examples/gallery/.")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="names, as in examples/gallery/; default all")
    names = parser.parse_args().layers
    if unknown := [n for n in names if n not in LAYERS]:
        print(f"no layer is called {unknown[0]!r}; there are: {', '.join(LAYERS)}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    made: list[Page] = []
    changed = 0
    for p in pages([LAYERS[n] for n in names] or list(LAYERS.values())):
        new = write(p.text, FOLDER / f"{LAYERS[p.layer].slug}.md")
        made, changed = [*made, p], changed + new
        print(f"{p.layer}: {p.status}" + (", changed" if new else ""), flush=True)
    if len(there := stored()) == len(LAYERS):
        changed += write(table(there), FOLDER / "README.md")
    print(f"{len(made)} pages in {time.perf_counter() - start:.0f} s, {changed} files changed, in {FOLDER}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
