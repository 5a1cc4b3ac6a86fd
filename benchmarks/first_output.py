"""How soon a command says something, and how long it takes: ``python -m benchmarks.first_output``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from statistics import median

TIMES = 5


def timed(*words: str) -> tuple[float, float]:
    """Seconds to the first line of a command's output, and to its end."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "derivcheck", *words, "--out", f"{folder}/out"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None and process.stdout.readline()
            first = time.perf_counter() - start
            process.stdout.read()
        assert process.returncode == 0
        return first, time.perf_counter() - start


def main() -> None:
    """The median of several runs in new processes."""
    found = [timed("run") for _ in range(TIMES)]
    first, last = (median(f[k] for f in found) for k in (0, 1))
    print(f"derivcheck run: first output after {first:.2f} s, the end after {last:.1f} s (median of {TIMES})")


if __name__ == "__main__":
    main()
