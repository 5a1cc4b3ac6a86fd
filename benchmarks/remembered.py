"""How long a second run of an unchanged suite takes: 100 gradient checks in files of ten, with pytest, in new processes.

python -m benchmarks.remembered
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKS = 10  # a file
GATES = ("x * torch.sigmoid(x)", "torch.tanh(x)", "F.gelu(x)", "F.softplus(x)", "x / (1 + x.abs())", "torch.exp(-x * x)",
         "F.mish(x)", "torch.atan(x)", "F.elu(x)", "x * torch.tanh(F.softplus(x))")  # fmt: skip
HELPERS = "import torch\nimport torch.nn.functional as F\n\ndef gate(x):\n    return {gate}\n"
TESTS = """
import pytest
import torch
from helpers_{file} import gate

def layer(x, w, b, scale):
    h = gate(x @ w.T + b)
    return (h - h.mean(-1, keepdim=True)) * torch.rsqrt(h.var(-1, unbiased=False, keepdim=True) + 1e-5) * scale

@pytest.mark.parametrize("n", range({checks}))
def test_layer(check_gradients, n):
    torch.manual_seed({first} + n)
    data = {{"x": torch.randn(4, 3 + n), "w": torch.randn(5, 3 + n), "b": torch.randn(5), "scale": torch.randn(5)}}
    check_gradients(layer, data)
"""


def timed(folder: Path) -> tuple[float, str]:
    """The seconds of one run of the suite, and what it says of verdicts that were remembered."""
    start = time.perf_counter()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # pytest would rewrite all anew
    command = [sys.executable, "-m", "pytest", "-q"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stdout
    found = re.search(r"derivcheck: (\d+ of \d+) verdicts", done.stdout)
    return seconds, found[1] if found else "none"


def main() -> None:
    """Two runs of the same suite, and the ratio."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k, gate in enumerate(GATES):
            (folder / f"helpers_{k}.py").write_text(HELPERS.format(gate=gate))
            (folder / f"test_{k}.py").write_text(TESTS.format(checks=CHECKS, first=100 * k, file=k))
        first, said = timed(folder)
        print(f"first run:  {first:6.1f} s, {said} verdicts remembered", flush=True)
        second, said = timed(folder)
        print(f"second run: {second:6.1f} s, {said} verdicts remembered")
        print(f"the second takes {second / first:.3f} of the first")


if __name__ == "__main__":
    main()
