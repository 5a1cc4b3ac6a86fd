"""Wrong kernels, one change each: every one has to be refuted, or found faulty: ``python -m benchmarks.kernel_mutants``.

Signs, indices, masks, strides, missing terms, wrong rows and forgotten clamps in the backwards of ``examples/splatting`` and
``examples/layers``.  A mutant that no proof refutes within the limit is checked on numbers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

import derivcheck as dc
from derivcheck.errors import UnsupportedOperation
from derivcheck.kernels.lanes.refused import MemoryFault

ROOT = Path(__file__).parents[1] / "examples"
SPLATTING, LAYERS = ROOT / "splatting" / "splatting.cu", ROOT / "layers" / "layers.c"
ENDING = {SPLATTING: "_bw", LAYERS: "_backward"}
LIMIT = 20.0

# file, forward, what is right, what is wrong, of what kind
MUTANTS: tuple[tuple[Path, str, str, str, str], ...] = (
    (SPLATTING, "rotation", "z * (g[0][1] - g[1][0])", "z * (g[0][1] + g[1][0])", "sign"),
    (SPLATTING, "rotation", "- 4.f * x * (g[1][1] + g[2][2])", "- 4.f * x * (g[1][1] + g[0][0])", "index"),
    (SPLATTING, "rotation", "- glm::dot(d_unit, unit) * unit", "", "missing term"),
    (SPLATTING, "rotation", "y * (g[1][2] + g[2][1])", "y * (g[1][2] + g[1][2])", "index"),
    (SPLATTING, "rotation", "return s * (d_unit", "return (d_unit", "missing term"),
    (SPLATTING, "axes", "scale[i] * dL_dM[i]", "scale[0] * dL_dM[i]", "index"),
    (SPLATTING, "axes", "glm::dot(R[i], dL_dM[i])", "glm::dot(R[i], dL_dM[0])", "wrong row"),
    (SPLATTING, "covariance", "0.5f * dL_dcov[1], 0.5f", "dL_dcov[1], 0.5f", "missing term"),
    (SPLATTING, "covariance", "2.f * G * M", "2.f * M * G", "index"),
    (SPLATTING, "covariance", "2.f * G * M", "G * M", "missing term"),
    (SPLATTING, "screen", "-(fx * t.x", "(fx * t.x", "sign"),
    (SPLATTING, "screen", "fy * iz * dL_dresult.y", "fx * iz * dL_dresult.y", "index"),
    (SPLATTING, "screen", "* iz * iz;", "* iz;", "missing term"),
    (SPLATTING, "near_image", "u < -limit_x || u > limit_x", "false", "clamp forgotten"),
    (SPLATTING, "near_image", "v < -limit_y || v > limit_y", "v > limit_y", "mask"),
    (SPLATTING, "near_image", "fmaxf(-limit_y, v)) * dL_dresult.y", "fmaxf(-limit_y, v)) * dL_dresult.x", "index"),
    (SPLATTING, "near_image", "fminf(limit_x, fmaxf(-limit_x, u)) * dL", "u * dL", "clamp forgotten"),
    (SPLATTING, "jacobian", "+ 2.f * iz2 * iz", "- 2.f * iz2 * iz", "sign"),
    (SPLATTING, "jacobian", "-fy * iz2 * dL_dJ[3]", "-fy * iz2 * dL_dJ[2]", "index"),
    (SPLATTING, "jacobian", "+ fy * dL_dJ[2])", ")", "missing term"),
    (SPLATTING, "conic", "2.f * b * c * dL_dresult.x", "b * c * dL_dresult.x", "missing term"),
    (SPLATTING, "conic", "(a * c + b * b)", "(a * c - b * b)", "sign"),
    (SPLATTING, "conic", "- a * a * dL_dresult.z", "- c * c * dL_dresult.z", "index"),
    (SPLATTING, "colour", "- glm::dot(d_unit, d) * d", "", "missing term"),
    (SPLATTING, "colour", "dL_dsh[3] = -SH_1", "dL_dsh[3] = SH_1", "sign"),
    (SPLATTING, "colour", "(-sh[3], -sh[1], sh[2])", "(-sh[1], -sh[3], sh[2])", "index"),
    (SPLATTING, "alpha", "-result * dL_dalpha", "result * dL_dalpha", "sign"),
    (SPLATTING, "alpha", "delta.x * delta.y, 0.5f", "2.f * delta.x * delta.y, 0.5f", "missing term"),
    (SPLATTING, "alpha", "conic.z * delta.y + conic.y * delta.x", "conic.z * delta.y + conic.y * delta.y", "index"),
    (SPLATTING, "composite", "(c[k] - behind)", "(c[k] + behind)", "sign"),
    (SPLATTING, "composite", "+ (1.f - a[k]) * behind", "+ behind", "missing term"),
    (SPLATTING, "composite", "k = K - 1; k >= 0", "k = K - 1; k > 0", "mask"),
    (LAYERS, "embed", "dplace[t * C + c] += g[c]", "dplace[t * C + c] = g[c]", "missing term"),
    (LAYERS, "embed", "dtable + token[b * T + t] * C", "dtable + token[t] * C", "index"),
    (LAYERS, "embed", "dout + (b * T + t) * C", "dout + (t * B + b) * C", "stride"),
    (LAYERS, "embed", "row[c] += g[c]", "row[c] -= g[c]", "sign"),
    (LAYERS, "norm", "- of_g / C", "- of_g", "missing term"),
    (LAYERS, "norm", "- unit * of_gx / C", "+ unit * of_gx / C", "sign"),
    (LAYERS, "norm", "- unit * of_gx / C", "", "missing term"),
    (LAYERS, "norm", "dweight[c] += g[c] * unit", "dweight[c] += g[c] * row[c]", "missing term"),
    (LAYERS, "norm", "of_g += g[c] * weight[c]", "of_g += g[c]", "missing term"),
    (LAYERS, "norm", "float unit = (row[c] - mean[n]) * rstd[n]", "float unit = (row[c] - mean[n]) * rstd[0]", "wrong row"),
    (LAYERS, "linear", "dx[n * C + c] += g * weight[o * C + c]", "dx[n * C + c] += g * weight[c]", "wrong row"),
    (LAYERS, "linear", "dx[n * C + c] += g * weight[o * C + c]", "dx[n * C + c] = g * weight[o * C + c]", "missing term"),
    (LAYERS, "linear", "dweight[o * C + c] += g * x[n * C + c]", "dweight[o * C + c] += g * x[n * C]", "index"),
    (LAYERS, "linear", "dbias[o] += g", "dbias[o] -= g", "sign"),
    (LAYERS, "linear", "g * weight[o * C + c];", "g * weight[c * O + o];", "stride"),
    (LAYERS, "gelu", "3.0f * 0.044715f", "2.0f * 0.044715f", "missing term"),
    (LAYERS, "gelu", "1.0f - t * t", "1.0f + t * t", "sign"),
    (LAYERS, "gelu", "dx[i] += local * dout[i]", "dx[i] += local * dout[0]", "index"),
    (LAYERS, "residual", "db[i] += dout[i]", "db[i] -= dout[i]", "sign"),
    (LAYERS, "residual", "i < N; i++) {\n        da", "i < N - 1; i++) {\n        da", "mask"),
    (LAYERS, "residual", "i < N; i++) {\n        da", "i <= N; i++) {\n        da", "mask"),
    (LAYERS, "attention", "u <= t", "u < t", "mask"),
    (LAYERS, "attention", "(same - a[u])", "(same + a[u])", "sign"),
    (LAYERS, "attention", "(same - a[u])", "same", "missing term"),
    (LAYERS, "attention", "dk[i] += q[i] * ds[s] * scale", "dk[i] += q[i] * ds[s]", "missing term"),
    (LAYERS, "attention", "dv[i] += a[s] * g[i]", "dv[i] += a[t] * g[i]", "wrong row"),
    (LAYERS, "attention", "*dq = dx + b * T * 3 * C + t * 3 * C", "*dq = dx + b * T * 3 * C + C + t * 3 * C", "stride"),
    (LAYERS, "attention", "da[s] += v[i] * g[i]", "da[s] += v[i] * dout[b * T * C + t * C + i]", "stride"),
    (LAYERS, "attention", "*v = x + b * T * 3 * C + s * 3", "*v = x + b * T * 3 * C + t * 3", "wrong row"),
    (LAYERS, "cross_entropy", "(p[n * V + v] - hit)", "p[n * V + v]", "missing term"),
    (LAYERS, "cross_entropy", "v == target[n]", "v == target[0]", "wrong row"),
    (LAYERS, "cross_entropy", "* dloss[n]", "* dloss[0]", "index"),
    (LAYERS, "cross_entropy", "v == target[n] ? 1.0f : 0.0f", "v == target[n] ? 0.0f : 1.0f", "mask"),
)  # fmt: skip


def mutated(file: Path, name: str, right: str, wrong: str) -> str:
    """The text of a file with one change in the backward of a function."""
    text = file.read_text()
    start = text.index(f" {name}{ENDING[file]}(")
    at = text.index(right, start)
    return text[:at] + wrong + text[at + len(right) :]


def verdict(file: Path, name: str, right: str, wrong: str, limit: float = LIMIT) -> str:
    """What becomes of a mutant: refuted, a fault of memory, failed on numbers; or refused, or passed."""
    fixed: dict[str, Any] = {"K": 3} if name == "composite" else {}
    forward = dc.cuda(file, name, **fixed)
    try:
        backward = dc.cuda(mutated(file, name, right, wrong), f"{name}{ENDING[file]}", **fixed)
        proof = dc.prove(forward, backward, time_limit=limit)
    except MemoryFault:
        return "fault of memory"
    except UnsupportedOperation as e:
        return f"refused: {e}"
    if proof.status != "undecided":
        return proof.status
    torch.manual_seed(0)
    inputs = {n: torch.rand(*[3] * 1, *s, dtype=torch.float64) + 0.1 for n, s in forward.shapes.inputs.items()}
    return "passed" if dc.check(forward, inputs, backward).passed else "failed on numbers"


def main() -> None:
    """A line for each mutant, and the counts."""
    count: dict[str, int] = {}
    for file, name, right, wrong, kind in MUTANTS:
        start = time.perf_counter()
        found = verdict(file, name, right, wrong)
        count[found.partition(":")[0]] = count.get(found.partition(":")[0], 0) + 1
        change = f"{' '.join(right.split())} -> {' '.join(wrong.split())}"
        print(f"{name}, {kind}: {change}: {found} ({time.perf_counter() - start:.1f} s)", flush=True)
    print(f"{len(MUTANTS)} mutants: " + ", ".join(f"{n} {what}" for what, n in count.items()))


if __name__ == "__main__":
    main()
