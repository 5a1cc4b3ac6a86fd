"""Which line and which fix a user is told: ``python -m benchmarks.lines_and_fixes [--only WORD] [--part 1/4] [--thirty]``.

Each wrong backward of ``benchmarks/wrong_backwards/hundred.py`` is checked once, as a user would: ``check(forward, tensors,
backward)``, then ``str(report)``, then the fix.  What is told is held against what was written down before any run: the
wrong line, the words of a right sentence; a fix is run, and its gradients are compared with those of torch.autograd.
"""

from __future__ import annotations

import argparse
import inspect
import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import derivcheck
from benchmarks.wrong_backwards import thirty
from benchmarks.wrong_backwards.hundred import SLIPS
from benchmarks.wrong_backwards.mistake import Backward, Slip

LINE = re.compile(r"line ([\w.]+\.py):(\d+): `")
# Words that a sentence may hold in backticks though no user wrote them: torch's common operators and Python's own.
COMMON = {
    "torch",
    "F",
    "None",
    "dim",
    "keepdim",
    "True",
    "False",
    "where",
    "mean",
    "sum",
    "exp",
    "log",
    "sqrt",
    "grad_output",
    "T",
}


@dataclass(frozen=True)
class Told:
    """What a report says of one wrong backward.

    Attributes:
        slip: the wrong backward.
        error: why there is no report, or "".
        lines: the numbers of the lines named, in their order, each once.
        at: the number of the line that is wrong.
        sentences: the diagnoses of the wrong gradients.
        words: what the fix says was wrong, or "".
        fix: "right", "wrong" (its gradients differ from autograd's) or "none".
        fixed: the lines that the fix changes.
        status: of the fix.
        report: the report's text.
        check, text, repair: the seconds of the check, of the report's text (sentences and lines), of the fix after it.
    """

    slip: Slip
    error: str = ""
    lines: tuple[int, ...] = ()
    at: int = 0
    sentences: tuple[str, ...] = ()
    words: str = ""
    fix: str = "none"
    fixed: tuple[int, ...] = ()
    status: str = ""
    report: str = ""
    check: float = 0.0
    text: float = 0.0
    repair: float = 0.0

    @property
    def line_named(self) -> bool:
        return self.at in self.lines

    @property
    def true_sentence(self) -> bool:
        return any(re.search(self.slip.mistake.says, s, re.IGNORECASE) for s in (*self.sentences, self.words))

    @property
    def true_cause(self) -> bool:
        return self.true_sentence or self.fix == "right"

    @property
    def misleads(self) -> str:
        """What of it sends a user astray, or ""."""
        astray = []
        if self.fix == "wrong":
            astray.append("a wrong fix")
        if self.lines and not self.line_named:
            astray.append("another line" + (", with a fix that holds" if self.fix == "right" else ""))
        if self.sentences and not any(re.search(self.slip.mistake.says, s, re.IGNORECASE) for s in self.sentences):
            astray.append("another cause in the sentence" + (", with a fix that holds" if self.fix == "right" else ""))
        return "; ".join(astray)

    @property
    def strange(self) -> tuple[str, ...]:
        """Names in backticks, capital letters and names with an underscore in the sentences that stand neither in the user's
        code nor among the sizes at the report's head."""
        code = inspect.getsource(self.slip.forward) + inspect.getsource(self.slip.mistake.backward)
        head = self.report.split("\n")[0]
        written = set(re.findall(r"[A-Za-z_]\w*", code + head)) | COMMON
        found = []
        for sentence in (*self.sentences, self.words):
            quoted = " ".join(re.findall(r"`([^`]*)`", sentence))
            loose = " ".join(re.findall(r"\b(?:\w*_\w*|[B-HJ-Z])\b", re.sub(r"(hundred_\w+|thirty)\.py", "", sentence)))
            found += [n for n in re.findall(r"[A-Za-z_]\w*", f"{quoted} {loose}") if n not in written]
        return tuple(dict.fromkeys(found))


def source_of(function: Backward) -> str:
    return Path(inspect.getsourcefile(function) or "").read_text()


def wrong_line(slip: Slip) -> int:
    lines, first = inspect.getsourcelines(slip.mistake.backward)
    return first + next(i for i, line in enumerate(lines) if slip.mistake.wrong in line)


def edited(slip: Slip, edits: Sequence[Any]) -> Backward:
    """The backward of its file with the edits made: nothing is written."""
    function = slip.mistake.backward
    lines = source_of(function).split("\n")
    for e in sorted(edits, key=lambda e: -e.line):
        old = e.old.split("\n")
        if lines[e.line - 1 : e.line - 1 + len(old)] != old:
            raise ValueError(f"line {e.line} is not what the edit replaces")
        lines[e.line - 1 : e.line - 1 + len(old)] = e.new.split("\n")
    module = ModuleType("edited")
    sys.modules["edited"] = module  # dataclasses and inspect look their module up
    exec(compile("\n".join(lines), "edited", "exec"), vars(module))
    found: Backward = getattr(module, function.__name__)
    return found


def tell(slip: Slip) -> Told:
    """The report on one wrong backward, at the first set of sizes."""
    inputs = slip.inputs(0)
    backward = slip.mistake.backward
    at = wrong_line(slip)
    start = time.perf_counter()
    try:
        wrt = list(backward(grad_output=torch.ones_like(slip.forward(**inputs)), **inputs))
        report = derivcheck.check(slip.forward, inputs, backward, wrt=wrt)
        checked = time.perf_counter()
        text = str(report)
        printed = time.perf_counter()
        rows = [row for row in report if not row.passed]
        fix = next((row.fix for row in rows if row.fix is not None), None)
        repaired = time.perf_counter()
    except derivcheck.DerivcheckError as e:
        return Told(slip, f"{type(e).__name__}: {e}", at=at, check=time.perf_counter() - start)
    held = "none"
    if fix is not None:
        new = edited(slip, fix.edits)
        held = "wrong" if any(slip.wrong_names(new, k) for k in (0, 1)) else "right"
    return Told(
        slip,
        "" if rows else "all passed",
        tuple(dict.fromkeys(int(n) for _, n in LINE.findall(text))),
        at,
        tuple(str(row.diagnosis) for row in rows if row.diagnosis is not None),
        "" if fix is None else str(fix.words),
        held,
        () if fix is None else tuple(e.line for e in fix.edits),
        "" if fix is None else fix.status,
        text,
        checked - start,
        printed - checked,
        repaired - printed,
    )


def summary(found: Sequence[Told]) -> str:
    def share(n: int) -> str:
        return f"{n} of {len(found)} ({100 * n / len(found):.1f}%)"

    def seconds(values: list[float]) -> str:
        return f"median {statistics.median(values):.1f} s, longest {max(values):.1f} s"

    fixes = [t for t in found if t.fix != "none"]
    told = {
        "wrong backwards, layers": f"{len(found)}, {len({t.slip.layer for t in found})}",
        "no report": share(sum(bool(t.error) for t in found)),
        "the wrong line is named": share(sum(t.line_named for t in found)),
        "... as the first": share(sum(t.lines[:1] == (t.at,) for t in found)),
        "a line, but not the wrong one": share(sum(bool(t.lines) and not t.line_named for t in found)),
        "a sentence": share(sum(bool(t.sentences) for t in found)),
        "a sentence with the accepted words": share(sum(t.true_sentence for t in found)),
        "a fix": share(len(fixes)),
        "a fix that holds": share(sum(t.fix == "right" for t in found)),
        "... on the wrong line": share(sum(t.fix == "right" and t.fixed == (t.at,) for t in found)),
        "a fix that does not hold": share(sum(t.fix == "wrong" for t in found)),
        "proved": share(sum(t.status == "proved" for t in fixes)),
        "accepted words or a fix that holds": share(sum(t.true_cause for t in found)),
        "line named, and words or fix": share(sum(t.true_cause and t.line_named for t in found)),
        "misleading without a fix that holds": share(sum(bool(t.misleads) and t.fix != "right" for t in found)),
        "names that nobody wrote": share(sum(bool(t.strange) for t in found)),
        "check": seconds([t.check for t in found]),
        "sentences and lines": seconds([t.text for t in found]),
        "fix after them": seconds([t.repair for t in found]),
    }
    return "\n".join(f"{name}: {value}" for name, value in told.items())


def line_of(t: Told) -> str:
    """One case, in a line."""
    parts = [f"line {'named' if t.line_named else 'not named' if t.lines else 'none'}", f"fix {t.fix} {t.status}".strip()]
    parts += [f"sentence {'true' if t.true_sentence else 'other' if t.sentences else 'none'}"]
    parts += [p for p in (t.error.split("\n")[0], t.misleads, " ".join(("strange:", *t.strange)) if t.strange else "") if p]
    return f"{t.slip.layer}: {t.slip.title}: {'; '.join(parts)}; {t.check:.1f} + {t.text:.1f} + {t.repair:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only mistakes whose layer or title holds this")
    parser.add_argument("--part", default="1/1", help="which part of how many")
    parser.add_argument("--thirty", action="store_true", help="the thirty of wrong_backwards/thirty.py in place of the hundred")
    parser.add_argument("--verbose", action="store_true", help="print each report")
    options = parser.parse_args()
    torch.set_num_threads(1)
    k, n = (int(p) for p in options.part.split("/"))
    chosen = [s for s in (thirty.CASES if options.thirty else SLIPS) if options.only in f"{s.layer} {s.title}"]
    found = []
    for slip in chosen[k - 1 :: n]:
        found.append(tell(slip))
        print(line_of(found[-1]), flush=True)
        if options.verbose:
            print(found[-1].report, flush=True)
    if found:
        print("\n" + summary(found))


if __name__ == "__main__":
    main()
