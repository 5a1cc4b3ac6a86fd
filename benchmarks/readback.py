"""Printed formulas that read back as the derivation's value, counted by style.

``python -m benchmarks.readback``: the layers of the gallery and of the notes' tests, published forwards, random Programs, and
every row of the operator catalogue; ``--rows 8`` takes every eighth row, ``--lines 6`` six lines of each page at most.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from derivcheck.errors import NotationError
from tests.readback import corpus
from tests.readback.legend import Misprint
from tests.readback.line import Line
from tests.readback.pages import PAGES


def sources(rows: int, seeds: int) -> Iterator[corpus.Source]:
    """The derivations that are read."""
    return chain(
        corpus.noted(),
        corpus.published(),
        corpus.layers(),
        corpus.textbook(),
        corpus.random(seeds),
        islice(corpus.catalogue(), 0, None, rows),
    )


def faults(line: Line) -> list[str]:
    """What is wrong with a line."""
    try:
        return line.wrong()
    except (NotationError, Misprint) as e:
        return [f"{e}\n    of {line.text}"]
    except Exception as e:  # a reader that breaks has not read the line
        return [f"{type(e).__name__}: {e}\n    of {line.text}"]


def main() -> int:
    """Read all and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1, help="every how manieth sample of the catalogue")
    parser.add_argument("--seeds", type=int, default=40, help="random Programs of each kind")
    parser.add_argument("--lines", type=int, default=12, help="lines of a page at most")
    parser.add_argument("--styles", nargs="*", default=list(PAGES), help="the styles that are read")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop after so long")
    asked = parser.parse_args()
    read: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    start = time.perf_counter()
    for source in sources(asked.rows, asked.seeds):
        if time.perf_counter() - start > asked.seconds:
            print(f"stopped before {source.name}")
            break
        for name in asked.styles:
            found = PAGES[name](source).lines
            few = found if len(found) <= asked.lines else random.Random(0).sample(found, asked.lines)
            for line in few:
                read[name] += 1
                if said := faults(line):
                    wrong[name] += 1
                    print(f"{source.name}, {name}: {said[0]}")
    for name in asked.styles:
        print(f"{name:15} {read[name]:6} formulas, {read[name] - wrong[name]:6} read back ({1 - wrong[name] / read[name]:.2%})")
    print(f"{time.perf_counter() - start:.0f} s")
    return int(any(wrong.values()))


if __name__ == "__main__":
    raise SystemExit(main())
