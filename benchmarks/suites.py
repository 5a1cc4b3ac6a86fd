"""A project's own test suite with derivcheck beside every gradcheck call.

    python -m benchmarks.suites CHECKOUT [--python PYTHON] [--limit SECONDS] [--json FILE] [-- PYTEST ARGUMENTS]

Runs pytest in CHECKOUT (with ``-k gradcheck`` unless pytest arguments are given) and lets ``derivcheck.gradcheck`` judge
each call of ``torch.autograd.gradcheck`` after torch has, twice: with the options of the call, and in full
(``fast_mode=False``).  The same function, the same inputs, one thread, processor time of all.  PYTHON is the interpreter of an
environment that has the project, its test requirements, and this package; by default the one that runs this.

A call that torch passes: *pass*; *numbers* (a pass of what cannot be derived, by differences alone, which is said); *alarm*
(called wrong, to be looked at); *no verdict* (undecided, vacuous, ill-conditioned); *unsupported*; *crash* (any other
exception); *late* (longer than the limit).  What torch does not pass stands apart.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

OUTPUT, LIMIT = "DERIVCHECK_SUITES_OUTPUT", "DERIVCHECK_SUITES_LIMIT"
VERDICTS = ("pass", "numbers", "alarm", "no verdict", "unsupported", "crash", "late")


@dataclass(frozen=True)
class Said:
    """What derivcheck said of a call, the first line of its reason, and seconds of processor time."""

    verdict: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Call:
    """One call of gradcheck: the test that made it, what torch said and in how many seconds, and what derivcheck said."""

    test: str
    torch: str
    seconds: float
    asked: Said  # with the options of the call
    full: Said  # with ``fast_mode=False``


class Late(BaseException):
    """The limit was reached; no ``except Exception`` of anybody stops it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Late after so many seconds of processor time."""

    def stop(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)  # again a second later, where the first was swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judged(func: Callable[..., Any], inputs: Any, options: dict[str, Any], limit: float) -> Said:
    """What ``derivcheck.gradcheck`` says of a call."""
    start = process_time()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        verdict, reason = _judged(func, inputs, options | {"raise_exception": True}, limit)
    derived = next((str(w.message) for w in heard if "no gradient was derived" in str(w.message)), "")
    if verdict == "pass" and derived:
        verdict, reason = "numbers", derived
    return Said(verdict, reason, process_time() - start)


def _judged(func: Callable[..., Any], inputs: Any, options: dict[str, Any], limit: float) -> tuple[str, str]:
    import derivcheck as dc

    try:
        with limited(limit):
            dc.gradcheck(func, inputs, **options)
    except Late:
        return "late", f"after {limit:g} s"
    except dc.GradientMismatch as e:
        wrong = any(r.verdict in ("wrong", "missing") for r in e.report.rows)
        return "alarm" if wrong else "no verdict", " | ".join(line.strip() for line in str(e).splitlines()[:3])
    except dc.UnsupportedOperation as e:
        return "unsupported", str(e).splitlines()[0]
    except Exception as e:  # whatever else a user would meet
        return "crash", f"{type(e).__name__}: {e}".splitlines()[0]
    return "pass", ""


def pytest_configure(config: Any) -> None:
    """As a plugin (``-p benchmarks.suites``): stand beside gradcheck before the tests import it."""
    import torch

    import derivcheck as dc

    torch.set_num_threads(1)
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    torchs = torch.autograd.gradcheck
    torchs(torch.sin, (x,))
    dc.gradcheck(torch.sin, (x,))  # the imports of both are no part of a call
    limit = float(os.environ[LIMIT])

    def gradcheck(func: Callable[..., Any], inputs: Any, **options: Any) -> bool:
        start = process_time()
        failure: Exception | None = None
        answer = False
        try:
            answer = torchs(func, inputs, **options)
        except Exception as e:  # the suite's own affair, raised again
            failure = e
        seconds = process_time() - start
        said = "pass" if answer else "fail" if failure is None else f"{type(failure).__name__}: {failure}".splitlines()[0]
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
        asked = judged(func, inputs, options, limit)
        full = judged(func, inputs, options | {"fast_mode": False}, limit) if options.get("fast_mode") else asked
        with open(os.environ[OUTPUT], "a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(Call(test, said, seconds, asked, full))) + "\n")
        if failure is not None:
            raise failure
        return answer

    torch.autograd.gradcheck = gradcheck  # type: ignore[assignment]


def table(calls: list[Call]) -> str:
    """The counts, the times, and each call that did not pass with its reason."""
    fine = [c for c in calls if c.torch == "pass"]
    lines = [f"{len(fine)} calls that torch's gradcheck passes, {len(calls) - len(fine)} others"]
    for name, said in (("as called", lambda c: c.asked), ("in full", lambda c: c.full)):
        counts = Counter(said(c).verdict for c in fine)
        lines.append(f"{name}: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS))
        passed = [c for c in fine if said(c).verdict in ("pass", "numbers")]
        if passed:
            torchs, own = sum(c.seconds for c in passed), sum(said(c).seconds for c in passed)
            middle = statistics.median(said(c).seconds / max(c.seconds, 1e-9) for c in passed)
            lines.append(
                f"  passed: torch {torchs:.2f} s, derivcheck {own:.2f} s, {own / torchs:.1f} times; median {middle:.1f}"
            )
        for c in calls:
            if said(c).verdict != "pass":
                beside = "" if c.torch == "pass" else f" (torch: {c.torch[:120]})"
                lines.append(f"  {said(c).verdict}: {c.test}{beside}: {said(c).reason[:300]}")
    return "\n".join(lines)


def run(checkout: Path, python: str, limit: float, arguments: list[str]) -> list[Call]:
    """The calls of a run of pytest in a checkout."""
    root = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "calls.jsonl"
        output.touch()
        environment = os.environ | {
            OUTPUT: str(output),
            LIMIT: str(limit),
            "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            "OMP_NUM_THREADS": "1",
        }
        command = [python, "-m", "pytest", "-p", "benchmarks.suites", "-q", "-p", "no:cacheprovider", *arguments]
        subprocess.run(command, cwd=checkout, env=environment, stdout=sys.stderr, check=False)
        return [read(json.loads(line)) for line in output.read_text(encoding="utf-8").splitlines()]


def read(found: dict[str, Any]) -> Call:
    """A call as it was written."""
    return Call(**found | {"asked": Said(**found["asked"]), "full": Said(**found["full"])})


def main(argv: list[str]) -> int:
    end = argv.index("--") if "--" in argv else len(argv)
    own, rest = argv[:end], argv[end + 1 :]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites", description=str(__doc__).splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(own)
    calls = run(chosen.checkout, chosen.python, chosen.limit, rest or ["-k", "gradcheck"])
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(c) for c in calls], indent=1), encoding="utf-8")
    print(table(calls))
    return 0 if calls else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
