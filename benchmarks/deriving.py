"""How long deriving takes: from a Program, through tracing, at several sizes; and what importing costs.

    python benchmarks/deriving.py

The first derivation of a process is measured in a fresh process, after SymPy (with the parts of it that it loads on its
first sum) and torch are imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table


def median_ms(f: Callable[[], object], times: int = 15) -> float:
    """The median of several calls, in milliseconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        f()
        found.append((time.perf_counter() - start) * 1e3)
    return statistics.median(found)


def fresh_process(code: str) -> float:
    """The number that a fresh process prints: the median of three."""
    runs = [
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return statistics.median(float(r.stdout) for r in runs)


FIRST_FROM_PROGRAM = """
    import time, sympy
    x, y = sympy.symbols("x y"); ((x + y) ** 2).diff(x) * 2
    from derivcheck.derivation.sweep import adjoint
    from derivcheck.notation.text.parse import parse_program
    program = parse_program("y[n,o] := sum(i: x[n,i]*w[o,i]) + b[o]; L := sum(n,o: (y[n,o] - t[n,o])^2)/(N*out)",
                            {"x": "N in", "w": "out in", "b": "out", "t": "N out"})
    start = time.perf_counter(); adjoint(program); print((time.perf_counter() - start) * 1e3)
"""
FIRST_THROUGH_TRACING = """
    import time, torch
    from torch import nn
    import derivcheck as dc
    start = time.perf_counter()
    dc.derive(nn.Linear(3, 2), loss=nn.MSELoss()).adjoint
    print((time.perf_counter() - start) * 1e3)
"""
IMPORT = """
    import time
    start = time.perf_counter(); import derivcheck; print((time.perf_counter() - start) * 1e3)
"""


def main() -> None:
    import torch
    from torch import nn

    import derivcheck as dc
    from derivcheck.derivation.sweep import adjoint

    torch.set_num_threads(1)
    table = Table("what", "median", "figure to reach")

    def add(what: str, ms: float, wanted: str) -> None:
        table.add_row(what, f"{ms:.2f} ms", wanted)

    def fresh_cache(f: Callable[[], object]) -> Callable[[], object]:
        """The derivation itself, not the memory of one."""
        import derivcheck.derived as derived

        def run() -> object:
            derived._adjoint.cache_clear()
            return f()

        return run

    modules: dict[str, Callable[[], dc.Derivation]] = {
        "Linear(3, 2) + MSE": lambda: dc.derive(nn.Linear(3, 2), loss=nn.MSELoss()),
        "Linear(1024, 2048) + MSE": lambda: dc.derive(nn.Linear(1024, 2048), loss=nn.MSELoss()),
        "LayerNorm": lambda: dc.derive(nn.LayerNorm(8), torch.randn(4, 8)),
        "MultiheadAttention": lambda: dc.derive(nn.MultiheadAttention(8, 2, batch_first=True), *[torch.randn(2, 5, 8)] * 3),
        "TransformerEncoderLayer": lambda: dc.derive(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), torch.randn(2, 5, 8)
        ),
    }
    goals = {
        "Linear(3, 2) + MSE": "60 ms",
        "Linear(1024, 2048) + MSE": "60 ms",
        "LayerNorm": "60 ms",
        "MultiheadAttention": "400 ms",
        "TransformerEncoderLayer": "1000 ms",
    }
    add("import derivcheck, fresh process", fresh_process(IMPORT), "100 ms")
    add("Linear + MSE from a Program, first of a process", fresh_process(FIRST_FROM_PROGRAM), "20 ms")
    add("Linear + MSE through tracing, first of a process", fresh_process(FIRST_THROUGH_TRACING), "2000 ms")
    for name, make in modules.items():
        try:
            d = make()
            program, wrt = d.program, d.wrt
            adjoint(program, wrt)
        except dc.UnsupportedOperation as e:
            table.add_row(name, "unsupported", str(e))
            continue
        add(f"{name} from a Program", median_ms(lambda p=program, w=wrt: adjoint(p, w)), "2 ms" if "MSE" in name else "20 ms")
        add(f"{name} through tracing", median_ms(fresh_cache(lambda m=make: m().adjoint), 7), goals[name])
    Console().print(table)


if __name__ == "__main__":
    main()
