"""How many wrong backwards are named: ``python -m benchmarks.diagnosis [--verbose]``.

Each wrong backward of ``benchmarks/wrong_backwards`` is diagnosed at three sets of sizes (primes, one square, powers
of two), as a user would meet it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from benchmarks.wrong_backwards.blind import BLIND
from benchmarks.wrong_backwards.common import SET as COMMON
from benchmarks.wrong_backwards.fresh import SET as FRESH
from benchmarks.wrong_backwards.later import SET as LATER
from benchmarks.wrong_backwards.layers import SET as LAYERS
from benchmarks.wrong_backwards.third import SET as THIRD
from benchmarks.wrong_backwards.tuned import TUNED
from benchmarks.wrong_backwards.unseen import SET as UNSEEN
from benchmarks.wrong_backwards.wrong import Wrong
from derivcheck.diagnosis.diagnose import Diagnosis, diagnose

SETS: dict[str, Iterable[Wrong]] = {
    "blind, written before the hypotheses": BLIND,
    "beside the hypotheses": TUNED,
    "later, after them": LATER,
    "layers of no other set": LAYERS,
    "unseen, written without a look at the hypotheses": UNSEEN,
    "fresh, written without a look at the hypotheses or at another set": FRESH,
    "common": COMMON,
    "third, as fresh; nothing was changed for it": THIRD,
}


@dataclass(frozen=True)
class Result:
    wrong: Wrong
    shape: int
    found: Diagnosis | None
    seconds: float

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "none"
        return "right" if self.wrong.named(self.found.kind, str(self.found)) else "wrong"


def results(cases: Iterable[Wrong], again: bool = True, dtype: torch.dtype = torch.float64) -> list[Result]:
    """Each wrong backward at each of its sets of sizes."""
    found = []
    for wrong in cases:
        for k in range(len(wrong.sizes)):
            case = wrong.case(k, again, dtype)
            start = time.perf_counter()
            diagnosis = diagnose(case)
            found.append(Result(wrong, k, diagnosis, time.perf_counter() - start))
    return found


def table(title: str, found: list[Result], verbose: bool) -> None:
    """Print what was named, per layer and in all."""
    counts = {v: sum(r.verdict == v for r in found) for v in ("right", "none", "wrong")}
    layers = len({r.wrong.layer for r in found})
    mistakes = len({r.wrong.title for r in found})
    print(
        f"{title}: {mistakes} wrong backwards of {layers} layers at three shapes = {len(found)}: named right {counts['right']} "
        f"({100 * counts['right'] / len(found):.1f}%), none {counts['none']}, named wrong {counts['wrong']}; "
        f"median {statistics.median(r.seconds for r in found):.3f} s, longest {max(r.seconds for r in found):.2f} s"
    )
    for r in found:
        if verbose or r.verdict != "right":
            print(
                f"  {r.verdict:5} {r.seconds:5.2f} s  {r.wrong.layer}: {r.wrong.title} (shape {r.shape + 1})\n"
                f"        {r.found.kind + ': ' + str(r.found) if r.found else '-'}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="print every diagnosis")
    parser.add_argument("--only", default="", help="only mistakes whose layer or title holds this")
    parser.add_argument("--once", action="store_true", help="the backward cannot be run at other sizes")
    parser.add_argument(
        "--dtype", default="float64", choices=["float64", "float32", "bfloat16"], help="what the backward computes in"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    for title, wrongs in SETS.items():
        chosen = [w for w in wrongs if options.only in f"{w.layer} {w.title}"]
        if chosen:
            table(title, results(chosen, not options.once, dtype), options.verbose)


if __name__ == "__main__":
    main()
