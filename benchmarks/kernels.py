"""What of a released tree of CUDA (or C) source is read and proved: ``python -m benchmarks.kernels FOLDER [LIMIT]``.

For gsplat, say: ``pip download --no-deps gsplat==1.5.3``, unpack the wheel, and name its folder ``gsplat/cuda``; for llm.c, a
folder with its ``train_gpt2.c``.  Nothing of them is part of this repository.  Each function is read, or refused with why;
what is read is run against g++ (see :mod:`benchmarks.kernel_numbers`);
each with a partner (``…_vjp``, ``…_bw``, ``…_backward``, ``…_bwd_kernel``) is proved, refuted or undecided, within LIMIT
seconds (5).  What templates leave open is 3, and so on (GIVEN).  Device functions that are warp operations are counted apart.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import derivcheck as dc
from benchmarks.kernel_numbers import differences
from derivcheck.errors import DerivcheckError
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.kernels.cuda.kernel import Kernel
from derivcheck.kernels.cuda.source.syntax import Function, read_sources, text

BACKWARD = re.compile(r"(_vjp|_VJP|_bwd?|_backward)(_kernel\d*)?$")
FORWARD = re.compile(r"(_fwd|_forward)?(_naive)?(_kernel\d*)?$")
GIVEN: dict[str, Any] = {
    "degree": 3, "degrees_to_use": 3, "c": 1, "K": 16, "triu": False, "camera_model": 0, "opacity_aware": False, "Vp": "V",
}  # fmt: skip
# what a name of a backward is the upstream gradient of, where it does not tell
GRADS = {"quat_scale_to_preci_half_vjp": {"v_M": "preci_half"}}
# forwards that stand inside of a library, or of a kernel
WRITTEN = {
    "inverse": "__device__ void inverse(const glm::mat2 M, glm::mat2& Minv) { Minv = glm::inverse(M); }",
    "add_blur": """__device__ void add_blur(const float eps2d, const glm::mat2 covar, float& compensation) {
    glm::mat2 blurred = covar + glm::mat2(eps2d);
    glm::mat2 conic_blur = glm::inverse(blurred);
    compensation = sqrtf(max(0.f, glm::determinant(covar) / glm::determinant(blurred)));
}""",
}
GROUP = ("warpSum", "warpMax")


def functions(folder: Path) -> list[Function]:
    """The device functions and kernels of a tree, and its functions of loops; methods left out, each once."""
    found: dict[tuple[str, int, str], Function] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".cu", ".cuh", ".c") and "third_party" not in p.parts):
        for fs in read_sources(path).functions.values():
            for f in fs:
                layer = path.suffix == ".c" and re.search(r"_(forward|backward)", f.name) and "float" in text(f.declarator)
                if ("__device__" in f.words or f.kernel or layer) and f.owner is None and Path(f.file) == path:
                    found[f.file, f.line, f.name] = f
    return list(found.values())


def read(f: Function) -> DeviceFunction:
    """The function, its whole numbers given."""
    numbers: dict[str, Any] = {n: 3 for n, is_type, default in f.template if not is_type and default is None}
    g = dc.cuda(f.file, f.name, line=f.line, **numbers)
    return g.given(
        **{n: v for n, v in GIVEN.items() if n in g.parameters and (isinstance(g, Kernel) or not isinstance(v, str))}
    )


def forward_of(f: Function, all_: list[Function]) -> DeviceFunction | None:
    """The forward that a backward is called after."""
    stem = BACKWARD.sub("", f.name)
    if stem in WRITTEN and not f.kernel:
        return dc.cuda(WRITTEN[stem], stem)
    same = [g for g in all_ if g.kernel == f.kernel and not BACKWARD.search(g.name)]
    near = [g for g in same if FORWARD.sub("", g.name) == stem] or [g for g in same if _within(stem, g.name)]
    near.sort(key=lambda g: (g.file != f.file, "naive" not in g.name, len(g.name)))
    return read(near[0]) if near else None


def _within(stem: str, name: str) -> bool:
    """Whether the words of a backward's name stand in a forward's in their order: ``to_preci`` in ``to_covar_preci``."""
    words = iter(name.split("_"))
    return all(word in words for word in stem.split("_"))


def verdict(f: Function, all_: list[Function], limit: float) -> str:
    """What comes of a backward and the forward that it is called after; empty where it is none."""
    if not BACKWARD.search(f.name):
        return ""
    try:
        forward = forward_of(f, all_)
        if forward is None:
            return "no forward of this name"
        proof = dc.prove(forward, read(f), time_limit=limit, grads=GRADS.get(f.name))
    except DerivcheckError as e:
        return f"not brought together: {e}"
    parts = ", ".join(f"{p.name} {p.status}" for p in proof.parts)
    return f"{proof.status} against {forward.name} ({parts})"


def readings(found: list[Function]) -> dict[int, DeviceFunction | str]:
    """Each function as it is read, or why it is not, by its place in the list."""
    result: dict[int, DeviceFunction | str] = {}
    for k, f in enumerate(found):
        try:
            g = read(f)
            _ = g.outputs
            result[k] = g
        except DerivcheckError as e:
            result[k] = str(e)
    return result


def equalities(found: list[Function], read_: dict[int, DeviceFunction | str], tree: Path) -> dict[int, str]:
    """What g++ says of each function that is read."""
    said: dict[int, str] = {}
    for file in dict.fromkeys(f.file for f in found):
        here = {k: g for k, g in read_.items() if found[k].file == file and not isinstance(g, str)}
        by_line = differences(list(here.values()), tree) if here else {}
        said |= {k: by_line[found[k].line] for k in here}
    return said


def main() -> None:
    """A line for each function, and the counts."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    if not Path(sys.argv[1]).is_dir():
        sys.exit(f"there is no folder {sys.argv[1]}")
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    found = functions(Path(sys.argv[1]))
    read_ = readings(found)
    equal = equalities(found, read_, Path(sys.argv[1]))
    count: dict[str, Counter[str]] = {}
    times: list[float] = []
    for k, f in enumerate(found):
        kind = "kernels" if f.kernel else "warp operations" if f.name in GROUP else "functions"
        which, g = count.setdefault(kind, Counter({"read": 0, "equal g++": 0, "refused": 0})), read_[k]
        start = time.process_time()
        if isinstance(g, str):
            which["refused"] += 1
            said, more = f"refused: {g}", ""
        else:
            which["read"] += 1
            which["equal g++"] += equal[k] == "equals g++"
            said, more = f"read, {equal[k]}", verdict(f, found, limit)
        took = time.process_time() - start
        decided = more.partition(" ")[0]
        if decided in ("proved", "refuted", "undecided"):
            which[decided] += 1
            times.append(took)
        print(f"{Path(f.file).name}:{f.line} {f.name}: {said}{'; ' if more else ''}{more} ({took:.1f} s)", flush=True)
    for kind, which in count.items():
        print(f"{kind}: " + ", ".join(f"{n} {what}" for what, n in which.items()))
    if times:
        print(f"proofs, processor time: median {statistics.median(times):.1f} s, longest {max(times):.1f} s")


if __name__ == "__main__":
    main()
