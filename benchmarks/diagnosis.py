"""How many wrong backwards are named: ``python -m benchmarks.diagnosis [--verbose]``.

Each wrong backward of ``benchmarks/wrong_backwards`` is diagnosed at three sets of sizes (primes, one square, powers
of two), as a user would meet it.  ``--fixes`` asks for the line and for the fix instead, at the first of them; ``--marked``
does that for the set whose wrong lines and words were written down before it was run, through ``dc.check``.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

import derivcheck as dc
from benchmarks.wrong_backwards.blind import BLIND
from benchmarks.wrong_backwards.common import SET as COMMON
from benchmarks.wrong_backwards.fresh import SET as FRESH
from benchmarks.wrong_backwards.later import SET as LATER
from benchmarks.wrong_backwards.layers import SET as LAYERS
from benchmarks.wrong_backwards.lines import SET as MARKED
from benchmarks.wrong_backwards.lines import Marked
from benchmarks.wrong_backwards.third import SET as THIRD
from benchmarks.wrong_backwards.tuned import TUNED
from benchmarks.wrong_backwards.unseen import SET as UNSEEN
from benchmarks.wrong_backwards.wrong import Wrong, programs
from derivcheck.derived import Derivation
from derivcheck.diagnosis.diagnose import Diagnosis, diagnose
from derivcheck.diagnosis.repair.fix import Fix
from derivcheck.diagnosis.repair.repair import Line, Repair
from derivcheck.diagnosis.repair.subject import Backward

STRANGE = re.compile(r"(?<![\w.])(?:[a-z]+_\d+(?:_bar|_detached)?|z(?:_bar|_detached)?)(?![\w(.])")
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


@dataclass(frozen=True)
class Mended:
    """What was found for one wrong backward, with the seconds that it took."""

    title: str
    lines: tuple[Line, ...]
    fix: Fix | None
    looked: float
    mended: float
    line: bool | None = None
    cause: bool | None = None
    said: str = ""


def mended(wrong: Wrong) -> Mended | None:
    """The line and the fix of a wrong backward; None where no number of it is wrong (it writes, or returns nothing)."""
    forward, adjoint = programs(wrong.forward, tuple(wrong.dims.items()))
    d = Derivation(forward, tuple(o.removesuffix("_bar") for o in adjoint.outputs))
    backward = Backward(d, lambda **given: wrong.backward(**given), wrong.backward, wrong.case(0))
    if not backward.benches or not backward.names:
        return None
    repair = Repair(backward)
    start = time.perf_counter()
    lines = repair.lines
    looked = time.perf_counter()
    fix = repair.fix
    return Mended(f"{wrong.layer}: {wrong.title}", lines, fix, looked - start, time.perf_counter() - looked)


def marked(m: Marked) -> Mended:
    """The same of a marked one, and whether line and words are those that were written down."""
    report = dc.check(m.forward, m.tensors(), m.backward, wrt=m.wrt)
    row = next(r for r in report if not r.passed)
    start = time.perf_counter()
    lines = row.lines
    looked = time.perf_counter()
    fix = row.fix
    ended = time.perf_counter()
    said = str(row.diagnosis)
    words = said + ("" if fix is None else f" {fix.words} {' '.join(e.new for e in fix.edits)}")
    right = any(m.line in x.code for x in lines)
    cause = re.search(m.says, words, re.IGNORECASE) is not None
    return Mended(m.backward.__name__, lines, fix, looked - start, ended - looked, right, cause, said)


def fixes(title: str, found: list[Mended], verbose: bool) -> None:
    """Print how many lines and fixes there are."""

    def share(count: int) -> str:
        return f"{count} of {len(found)} ({100 * count / len(found):.0f}%)"

    def quantiles(times: list[float]) -> str:
        ordered = sorted(times)
        most = ordered[int(0.9 * len(ordered))]
        return f"median {statistics.median(times):.2f} s, 90% {most:.2f} s, longest {ordered[-1]:.2f} s"

    fixed = [m.fix for m in found if m.fix is not None]
    proved = sum(f.status == "proved" for f in fixed)
    print(f"{title}: a line {share(sum(bool(m.lines) for m in found))}, a fix {share(len(fixed))}, proved {share(proved)}")
    if found[0].line is not None:
        print(f"  the right line {share(sum(bool(m.line) for m in found))}", end=", ")
        print(f"a right cause {share(sum(bool(m.cause) for m in found))}")
        strange = [m.title for m in found if STRANGE.search(re.sub(r"`[^`]*`", "", m.said))]
        print(f"  sentences with a name of the tracer's: {len(strange)} {' '.join(strange)}")
    print(f"  lines {quantiles([m.looked for m in found])}; fixes {quantiles([m.mended for m in found])}")
    for m in found:
        if verbose or m.fix is None or m.line is False or m.cause is False:
            judged = (("line", m.line), ("cause", m.cause))
            marks = "".join(f"{w} {'right' if ok else 'wrong'}, " for w, ok in judged if ok is not None)
            print(f"  {m.title} ({m.looked:.1f} s, {m.mended:.1f} s): {marks}{m.said}")
            print("".join(f"      {x}\n" for x in m.lines), end="")
            print("      no fix" if m.fix is None else f"      {m.fix}".replace("\n", "\n      "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="print every diagnosis")
    parser.add_argument("--only", default="", help="only mistakes whose layer or title holds this")
    parser.add_argument("--once", action="store_true", help="the backward cannot be run at other sizes")
    parser.add_argument(
        "--dtype", default="float64", choices=["float64", "float32", "bfloat16"], help="what the backward computes in"
    )
    parser.add_argument("--fixes", action="store_true", help="the line and the fix of each")
    parser.add_argument("--marked", action="store_true", help="those of the marked set alone, against what was written down")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.fixes:
        chosen = [w for s in SETS.values() for w in s if options.only in f"{w.layer} {w.title}"]
        fixes("all sets", [m for w in chosen if (m := mended(w)) is not None], options.verbose)
    if options.marked:
        fixes("marked", [marked(m) for m in MARKED if options.only in m.backward.__name__], options.verbose)
    if options.fixes or options.marked:
        return
    dtype = getattr(torch, options.dtype)
    for title, wrongs in SETS.items():
        chosen = [w for w in wrongs if options.only in f"{w.layer} {w.title}"]
        if chosen:
            table(title, results(chosen, not options.once, dtype), options.verbose)


if __name__ == "__main__":
    main()
