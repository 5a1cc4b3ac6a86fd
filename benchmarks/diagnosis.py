"""How many wrong backwards are named: ``python -m benchmarks.diagnosis [--verbose]``.

Each wrong backward of ``benchmarks/wrong_backwards`` is diagnosed at three sets of sizes (primes, one square, powers
of two), as a user would meet it.  The blind set was written before the hypotheses and is reported apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from benchmarks.wrong_backwards.blind import BLIND
from benchmarks.wrong_backwards.later import SET as LATER
from benchmarks.wrong_backwards.layers import SET as LAYERS
from benchmarks.wrong_backwards.tuned import TUNED
from benchmarks.wrong_backwards.unseen import SET as UNSEEN
from benchmarks.wrong_backwards.wrong import Wrong
from derivcheck.diagnosis.diagnose import Diagnosis, diagnose


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
    parser.add_argument("--blind", action="store_true", help="the blind set too, in detail")
    parser.add_argument("--once", action="store_true", help="the backward cannot be run at other sizes")
    parser.add_argument(
        "--dtype", default="float64", choices=["float64", "float32", "bfloat16"], help="what the backward computes in"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    chosen = [w for w in TUNED if options.only in f"{w.layer} {w.title}"]
    if chosen:
        table("written beside the hypotheses", results(chosen, not options.once, dtype), options.verbose)
    chosen = [w for w in LATER if options.only in f"{w.layer} {w.title}"]
    if chosen:
        table("written after them", results(chosen, not options.once, dtype), options.verbose)
    chosen = [w for w in LAYERS if options.only in f"{w.layer} {w.title}"]
    if chosen:
        table("layers of no other set", results(chosen, not options.once, dtype), options.verbose)
    chosen = [w for w in UNSEEN if options.only in f"{w.layer} {w.title}"]
    if chosen:
        table("unseen, written without a look at the hypotheses", results(chosen, not options.once, dtype), options.verbose)
    if options.blind or not options.only:
        table("blind, written before them", results(BLIND, not options.once, dtype), options.verbose and options.blind)


if __name__ == "__main__":
    main()
