"""Warps and blocks that work on a row together: against threads with barriers, proved, and refused unless exact."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import derivcheck as dc
from derivcheck.errors import UnsupportedOperation
from derivcheck.kernels.lanes.refused import MemoryFault
from tests.kernels.kernel_witness import apart, compiled, sized
from tests.kernels.witness import needs_gxx

FILE = Path(__file__).parent / "groups.cu"


def kernels() -> list[Any]:
    """The kernels of the file."""
    return [dc.cuda(FILE, n) for n in re.findall(r"^__global__ void (\w+)\(", FILE.read_text(), re.MULTILINE)]


@needs_gxx
@pytest.mark.parametrize("real", ["double", "float"])
def test_groups_compute_what_threads_with_barriers_do(real: str, tmp_path: Path) -> None:
    found = kernels()
    assert len(found) == 6
    library = compiled(found, FILE.read_text(), tmp_path, real)
    numbers = (37, 2) if real == "double" else (3, 2)
    assert {f.name: apart(f, library, sized(f, numbers), real) for f in found} == {f.name: [] for f in found}


@needs_gxx
def test_the_witness_of_groups_can_fail(tmp_path: Path) -> None:
    found = [f for f in kernels() if f.name in ("normed_bw", "column_sums")]
    wrong = FILE.read_text().replace("offset = 16; offset > 0", "offset = 8; offset > 0").replace("part[t] += part[t + s]", "")
    library = compiled(found, wrong, tmp_path)
    bad = {f.name: apart(f, library, sized(f, (20, 2))) for f in found}
    assert bad == {"normed_bw": ["dx"], "column_sums": ["total"]}


def test_a_backward_of_warps_is_proved_and_a_wrong_one_is_not() -> None:
    forward, text = dc.cuda(FILE, "normed"), FILE.read_text()
    assert dc.prove(forward, dc.cuda(text, "normed_bw")).status == "proved"
    for right, wrong in (("atomicAdd(&dw[i], dout[n * C + i] * unit)", "atomicAdd(&dw[i], dout[n * C] * unit)"),):
        assert right in text
        assert dc.prove(forward, dc.cuda(text.replace(right, wrong, 1), "normed_bw")).status == "refuted"


def test_what_groups_take_for_granted_is_said() -> None:
    assert dc.cuda(FILE, "column_sums").assumed == ("the grid has C blocks (blockIdx.x)", "blockDim.x is a power of 2")
    assert dc.cuda(FILE, "normed").assumed == ("blockDim.x is a multiple of 32", "the grid has at least N warps, one for each")


def test_a_backward_of_two_levels_is_proved_and_a_wrong_one_is_not() -> None:
    backward = """__global__ void b(float* dx, float* dw, const float* dout, const float* x, const float* w, int N, int C) {
        int n = blockIdx.x;
        __shared__ float part[32];
        int own = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
        if (n >= N) return;
        float s = 0.f;
        for (int i = threadIdx.x; i < C; i += blockDim.x) s += x[n * C + i] * w[i];
        for (int o = 16; o > 0; o /= 2) s += __shfl_xor_sync(0xffffffff, s, o);
        if (lane == 0) part[own] = s;
        __syncthreads();
        s = lane < warps ? part[lane] : 0.f;
        for (int o = 16; o > 0; o /= 2) s += __shfl_xor_sync(0xffffffff, s, o);
        for (int i = threadIdx.x; i < C; i += blockDim.x) {
            dx[n * C + i] = 2.f * s * dout[n] * w[i];
            atomicAdd(&dw[i], 2.f * s * dout[n] * x[n * C + i]);
        }
    }"""
    forward = dc.cuda(
        "__global__ void f(float* out, const float* x, const float* w, int N, int C) {\n"
        "int n = blockIdx.x * blockDim.x + threadIdx.x;\nif (n >= N) return;\nfloat s = 0.f;\n"
        "for (int c = 0; c < C; c++) s += x[n * C + c] * w[c];\nout[n] = s * s;\n}",
        "f",
    )
    assert dc.prove(forward, dc.cuda(backward, "b")).status == "proved"
    assert dc.prove(forward, dc.cuda(backward.replace("2.f * s * dout[n] * w", "2.f * dout[n] * w"), "b")).status == "refuted"


def block(body: str) -> str:
    return (
        "__global__ void f(float* out, const float* x, int N, int C) {\n__shared__ float s[256];\n"
        "int n = blockIdx.x, t = threadIdx.x;\nif (n >= N) return;\nfloat v = 0.f;\n"
        f"for (int i = t; i < C; i += blockDim.x) v += x[n * C + i];\n{body}\n}}"
    )


def warp(body: str) -> str:
    return (
        "__global__ void f(float* out, const float* x, int N, int C) {\n"
        "int n = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;\nif (n >= N) return;\n"
        f"float v = 0.f;\nfor (int i = lane; i < C; i += 32) v += x[n * C + i];\n{body}\n}}"
    )


TREE = "for (int k = blockDim.x / 2; k > 0; k /= 2) {\nif (t < k) s[t] += s[t + k];\n__syncthreads();\n}\n"
PUT = "s[t] = v;\n__syncthreads();\n"
SUM = "for (int i = lane; i < C; i += %d) w += x[n * C + i];\natomicAdd(out, w);"


def wide(
    put: str, taken: str = "v = lane < warps ? s[lane] : 0.f;", last: str = "if (t == 0) out[n] = v;", way: str = "xor"
) -> str:
    shuffles = f"for (int o = 16; o > 0; o /= 2) v += __shfl_{way}_sync(0xffffffff, v, o);\n"
    more = shuffles.replace("down", "xor")
    return block(f"int lane = t % 32, own = t / 32, warps = blockDim.x / 32;\n{shuffles}{put}\n{taken}\n{more}{last}")


SYNC = "\n__syncthreads();"
WRONG: dict[str, tuple[str, str]] = {
    "a warp's part is used": (
        block("int own = t / 32;\nfor (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(0xffffffff, v, o);\nout[n] = v;"),
        "each warp of the block holds a part of it",
    ),
    "no barrier between two levels": (wide("s[own] = v;"), "s[…] is read where another thread writes: a barrier is missing"),
    "one thread puts for all warps": (wide(f"if (t == 0) s[own] = v;{SYNC}"), "each warp of the block holds a part of it"),
    "lanes put what the first has": (wide(f"s[own] = v;{SYNC}", way="down"), "each warp of the block holds a part of it"),
    "put at the place of the lane": (wide(f"s[lane] = v;{SYNC}"), "each warp of the block holds a part of it"),
    "another number where there is no warp": (
        wide(f"s[own] = v;{SYNC}", "v = lane < warps ? s[lane] : 1.f;"),
        "each lane adds its turns to what was there before",
    ),
    "each warp's first lane adds": (
        wide(f"s[own] = v;{SYNC}", last="if (lane == 0) atomicAdd(&out[n], v);"),
        "every lane of the group adds to out",
    ),
    "not all warps are taken": (wide(f"s[own] = v;{SYNC}", "v = lane < warps - 1 ? s[lane] : 0.f;"), "cannot be derived"),
    "the second level is missing": (
        block(f"int lane = t % 32, own = t / 32, warps = blockDim.x / 32;\nfor (int o = 16; o > 0; o /= 2) "
              f"v += __shfl_xor_sync(0xffffffff, v, o);\ns[own] = v;{SYNC}\nv = lane < warps ? s[lane] : 0.f;\nout[n] = v;"),
        "each lane of the group holds a part of it",
    ),
    "used again without a barrier": (
        wide(f"s[own] = v;{SYNC}", "float u = v;\nv = lane < warps ? s[lane] : 0.f;", "if (t == 0) out[n] = v;\ns[own] = u;"),
        "s[…] is written while other threads may still read it",
    ),
    "a part is written": (warp("out[n] = v;"), "'v' at <cuda>:6 cannot be derived: each lane of the group holds a part of it"),
    "a part is squared": (block("out[n] = v * v;"), "each lane of the group holds a part of it"),
    "steps in another order": (
        warp("for (int o = 1; o < 32; o *= 2) v += __shfl_down_sync(0xffffffff, v, o);\nif (lane == 0) out[n] = v;"),
        "a shuffle by 1 at <cuda>:6 cannot be derived: the lanes are not halved",
    ),
    "a step is missing": (
        warp("for (int o = 16; o > 1; o /= 2) v += __shfl_down_sync(0xffffffff, v, o);\nif (lane == 0) out[n] = v;"),
        "each lane of the group holds a part of it",
    ),
    "all lanes use what the first has": (
        warp("for (int o = 16; o > 0; o /= 2) v += __shfl_down_sync(0xffffffff, v, o);\nout[n] = v;"),
        "only the first lane holds the whole of it",
    ),
    "another operation": (
        warp("for (int o = 16; o > 0; o /= 2) v = fmaxf(v, __shfl_down_sync(0xffffffff, v, o));\nif (lane == 0) out[n] = v;"),
        "each lane of the group holds a part of it",
    ),
    "a mask of some lanes": (
        warp("for (int o = 16; o > 0; o /= 2) v += __shfl_down_sync(0xffff, v, o);\nif (lane == 0) out[n] = v;"),
        "not all lanes take part",
    ),
    "every lane adds": (
        warp("for (int o = 16; o > 0; o /= 2) v += __shfl_xor_sync(0xffffffff, v, o);\natomicAdd(&out[n], v);"),
        "every lane of the group adds to out (<cuda>:7)",
    ),
    "a barrier is missing before the tree": (block(f"s[t] = v;\n{TREE}if (t == 0) out[n] = s[0];"), "a barrier is missing"),
    "a barrier is missing after the tree": (
        block(
            "s[t] = v;\nfor (int k = blockDim.x / 2; k > 0; k /= 2) {\n__syncthreads();\nif (t < k) s[t] += s[t + k];\n}\n"
            "float w = s[0];\nif (t == 0) out[n] = w;"
        ),
        "s[0] is read where another thread writes: a barrier is missing",
    ),
    "a barrier is missing before it is used again": (
        block(f"{PUT}{TREE}float w = s[0];\n{PUT}{TREE}if (t == 0) out[n] = w * s[0];"),
        "s[…] is written while other threads may still read it: a barrier is missing",
    ),
    "what others wrote is read without a barrier": (
        block("for (int i = t; i < C; i += blockDim.x) out[n * C + i] = x[n * C + i];\n"
              "float w = 0.f;\nfor (int i = 0; i < C; i++) w += out[n * C + i];\n"
              "for (int i = t; i < C; i += blockDim.x) out[n * C + i] = w;"),
        "by other lanes of a group: a barrier is missing",
    ),
    "a tree that stops early": (
        block(f"{PUT}{TREE.replace('k > 0', 'k > 1')}if (t == 0) out[n] = s[0];"), "cannot be derived"
    ),
    "a tree of maxima over sums": (
        block(f"{PUT}{TREE.replace('+= s[t + k]', '= fmaxf(s[t], s[t + k])')}if (t == 0) out[n] = s[0];"),
        "it is not what the threads put there",
    ),
    "another place of shared memory": (block(f"{PUT}{TREE}if (t == 0) out[n] = s[1];"), "read at place 0"),
    "a place of another thread": (block("s[t + 1] = v;\n__syncthreads();\nif (t == 0) out[n] = s[0];"), "at its own place"),
    "a barrier under a condition": (block("if (t == 0) {\n__syncthreads();\nout[n] = 1.f;\n}"), "__syncthreads() at <cuda>:8"),
    "the place of a lane": (block("out[n] = x[n * C] * t;"), "the place of a lane is used otherwise"),
    "a start that is not 0": (warp("float w = 1.f;\n" + SUM % 32), "Start from 0"),
    "a stride that is not the group's": (
        warp("float w = 0.f;\n" + SUM % 16), "the place of a lane is used otherwise"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_exactly_a_pattern_is_refused(case: str) -> None:
    text, words = WRONG[case]
    with pytest.raises((UnsupportedOperation, MemoryFault), match=re.escape(words)):
        _ = dc.cuda(text, "f").outputs


def test_the_right_ones_beside_them_are_read() -> None:
    down = "for (int o = 16; o > 0; o /= 2) v += __shfl_down_sync(0xffffffff, v, o);\n"
    for text in (
        warp(f"{down}if (lane == 0) out[n] = v;"),
        warp(f"{down}if (lane == 0) atomicAdd(&out[n], sqrtf(v));"),
        warp("for (int o = 1; o < 32; o *= 2) v += __shfl_xor_sync(0xffffffff, v, o);\nout[n] = v;"),
        warp("atomicAdd(&out[n], v);"),
        block(f"{PUT}{TREE}if (t == 0) out[n] = s[0];"),
        block(f"{PUT}{TREE}float w = s[0];\n__syncthreads();\n{PUT}{TREE}out[n] = w + s[0];"),
    ):  # fmt: skip
        f = dc.cuda(text, "f")
        assert (f.dims, f.output_dims) == ({"x": "N C"}, {"out": "N"})
