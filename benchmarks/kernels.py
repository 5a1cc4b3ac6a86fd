"""What of a released tree of CUDA source is read and proved: ``python -m benchmarks.kernels FOLDER [LIMIT]``.

For gsplat, say: ``pip download --no-deps gsplat==1.5.3``, unpack the wheel, and name its folder ``gsplat/cuda``.  Nothing of it
is part of this repository.  Each ``__device__`` function is read, or refused with why; each with a partner called ``…_vjp``,
``…_bw`` or ``…_backward`` is proved, refuted or undecided, within LIMIT seconds (5).  Whole numbers called ``degree`` and ``c``
are 3 and 1.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import derivcheck as dc
from derivcheck.errors import DerivcheckError
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.syntax import Function, read_sources

ENDINGS = ("_vjp", "_VJP", "_bw", "_bwd", "_backward")
GIVEN = {"degree": 3, "c": 1}
# What a name of a backward is the upstream gradient of, where it does not tell.
GRADS = {"quat_scale_to_preci_half_vjp": {"v_M": "preci_half"}}


def functions(folder: Path) -> list[Function]:
    """The device functions of a tree, methods left out, each once."""
    found: dict[tuple[str, int, str], Function] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".cu", ".cuh") and "third_party" not in p.parts):
        for fs in read_sources(path).functions.values():
            for f in fs:
                if "__device__" in f.words and f.owner is None and Path(f.file) == path:
                    found[f.file, f.line, f.name] = f
    return list(found.values())


def read(f: Function) -> DeviceFunction:
    """The function, its whole numbers given."""
    g = dc.cuda(f.file, f.name, line=f.line)
    return g.given(**{n: v for n, v in GIVEN.items() if n in g.parameters})


def verdict(f: Function, partners: dict[str, list[Function]], limit: float) -> str:
    """What comes of a backward and the forward that it is called after; empty where it is none."""
    ending = next((e for e in ENDINGS if f.name.endswith(e)), None)
    if ending is None:
        return ""
    stem = f.name.removesuffix(ending)
    near = [g for n, gs in partners.items() for g in gs if not n.endswith(ENDINGS) and _within(stem, n)]
    near.sort(key=lambda g: len(g.name))
    if not near:
        return "no forward of this name"
    try:
        proof = dc.prove(read(near[0]), read(f), time_limit=limit, grads=GRADS.get(f.name))
    except DerivcheckError as e:
        return f"not brought together: {e}"
    parts = ", ".join(f"{p.name} {p.status}" for p in proof.parts)
    return f"{proof.status} against {near[0].name} ({parts})"


def _within(stem: str, name: str) -> bool:
    """Whether the words of a backward's name stand in a forward's in their order: ``to_preci`` in ``to_covar_preci``."""
    words = iter(name.split("_"))
    return all(word in words for word in stem.split("_"))


def main() -> None:
    """A line for each function, and the counts."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"there is no folder {sys.argv[1]}")
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    found = functions(Path(sys.argv[1]))
    partners: dict[str, list[Function]] = {}
    for f in found:
        partners.setdefault(f.name, []).append(f)
    count = {"read": 0, "refused": 0}
    for f in found:
        start = time.perf_counter()
        try:
            _ = read(f).outputs
            said = "read"
        except DerivcheckError as e:
            said = f"refused: {e}"
        count[said.partition(":")[0]] += 1
        more = verdict(f, partners, limit) if said == "read" else ""
        print(
            f"{Path(f.file).name}:{f.line} {f.name}: {said}{'; ' if more else ''}{more} ({time.perf_counter() - start:.1f} s)",
            flush=True,
        )
    print(f"{count['read']} read, {count['refused']} refused")


if __name__ == "__main__":
    main()
