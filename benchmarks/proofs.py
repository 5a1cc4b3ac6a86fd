"""How long each proof takes, and each refutation: ``python -m benchmarks.proofs`` prints a table.

Times are of Programs: deriving and reading the index text are not counted, nor is tracing.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

from derivcheck.derive import derive
from derivcheck.proof.prove import prove_programs
from derivcheck.prove import parse_claim
from tests.proof.gallery import GALLERY


def main() -> None:
    """Prove the gallery, refute its mistakes, print the times."""
    import sympy  # noqa: F401  (loaded before the first proof is timed)

    table = Table("backward", "verdict", "ms", "mistakes", "verdicts", "worst ms", title="proofs for every size")
    proved: list[float] = []
    refuted: list[float] = []
    for entry in GALLERY:
        d = derive(entry.forward, dims=entry.inputs)
        claim = parse_claim(entry.backward, d)
        times = []
        for _ in range(3):
            start = perf_counter()
            proof = prove_programs(d.program, d.adjoint, claim)
            times.append((perf_counter() - start) * 1e3)
        proved.append(min(times))
        found = []
        for k in range(len(entry.wrong)):
            wrong = parse_claim(entry.mistaken(k), d)
            start = perf_counter()
            status = prove_programs(d.program, d.adjoint, wrong).status
            found.append((status, (perf_counter() - start) * 1e3))
        refuted += [t for _, t in found]
        verdicts = ", ".join(sorted({s for s, _ in found}))
        worst = f"{max(t for _, t in found):.0f}" if found else ""
        table.add_row(entry.name, proof.status, f"{proved[-1]:.1f}", str(len(found)), verdicts, worst)
    Console(width=110).print(table)
    print(f"proofs: {len(proved)}, median {median(proved):.1f} ms, slowest {max(proved):.0f} ms")
    print(f"refutations: {len(refuted)}, median {median(refuted):.0f} ms, slowest {max(refuted):.0f} ms")


if __name__ == "__main__":
    main()
