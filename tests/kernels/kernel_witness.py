"""The witness of kernels: the same text, compiled by g++; a launch is a loop over the grid, one thread after another."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from derivcheck.kernels.cuda.kernel import Kernel
from derivcheck.kernels.cuda.kernel_reading import KernelReading
from derivcheck.kernels.cuda.source.types import BOOL, Pointer, Scalar, Vector
from derivcheck.kernels.lanes.hints import Hints
from derivcheck.notation.integers.polynomials import Size, as_poly
from tests.kernels.witness import Results, built

LAUNCH = """
struct Dim3 { unsigned int x, y, z; };
static Dim3 threadIdx, blockIdx, blockDim, gridDim;
template <class T, class U> static T atomicAdd(T *p, U v) { T old = *p; *p += v; return old; }
template <class T, class U> static T gpuAtomicAdd(T *p, U v) { return atomicAdd(p, v); }
namespace cooperative_groups {
struct Grid { unsigned int thread_rank() const { return blockIdx.x * blockDim.x + threadIdx.x; } };
static Grid this_grid() { return {}; }
}
"""
GROUPS = """
#include <barrier>
#include <mutex>
#include <thread>
#include <vector>
struct Dim3 { unsigned int x, y, z; };
static thread_local Dim3 threadIdx, blockIdx;
static Dim3 blockDim, gridDim;
static std::mutex adding;
template <class T, class U> static T atomicAdd(T *p, U v) {
    std::lock_guard<std::mutex> own(adding);
    T old = *p;
    *p += v;
    return old;
}
static std::barrier<> *block_barrier, *warp_barrier[8];
static real held[256];
static void __syncthreads() { block_barrier->arrive_and_wait(); }
static real from(int lane, real v) {
    int first = threadIdx.x / 32 * 32;
    held[threadIdx.x] = v;
    warp_barrier[threadIdx.x / 32]->arrive_and_wait();
    real found = held[first + (lane < 32 ? lane : threadIdx.x % 32)];
    warp_barrier[threadIdx.x / 32]->arrive_and_wait();
    return found;
}
static real __shfl_down_sync(unsigned, real v, int by) { return from(threadIdx.x % 32 + by, v); }
static real __shfl_xor_sync(unsigned, real v, int by) { return from((threadIdx.x % 32) ^ by, v); }
static real __shfl_sync(unsigned, real v, int lane) { return from(lane, v); }
namespace cooperative_groups {
struct thread_block {};
static thread_block this_thread_block() { return {}; }
template <int N> struct thread_block_tile {
    int thread_rank() const { return threadIdx.x % N; }
    int size() const { return N; }
    int meta_group_size() const { return blockDim.x / N; }
    int meta_group_rank() const { return threadIdx.x / N; }
};
template <int N> static thread_block_tile<N> tiled_partition(thread_block) { return {}; }
template <class T> struct plus { real operator()(real a, real b) const { return a + b; } };
template <class T> struct greater { real operator()(real a, real b) const { return a > b ? a : b; } };
template <class F> static real reduce(thread_block_tile<32>, real v, F f) {
    for (int by = 1; by < 32; by *= 2) v = f(v, __shfl_xor_sync(0, v, by));
    return v;
}
}
template <class F> static void launch(F f) {
    for (unsigned b = 0; b < gridDim.x; b++) {
        std::barrier<> all(blockDim.x), w0(32), w1(32);
        block_barrier = &all, warp_barrier[0] = &w0, warp_barrier[1] = &w1;
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < blockDim.x; t++)
            threads.emplace_back([=] { threadIdx = {t, 0, 0}, blockIdx = {b, 0, 0}; f(); });
        for (auto &t : threads) t.join();
    }
}
"""
FOR = (
    "for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++) for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++) "
    "for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++) "
    "for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)"
)


def _parameters(f: Kernel) -> list[Any]:
    reading = KernelReading(f.subject, None, None, Hints(), {})
    numbers = {n: v for n, v in f.fixed.items() if n in {t[0] for t in f.function.template}}
    reading.machine.bind_template(f.function, (), numbers, reading.scope)
    return reading.parameters()


def _instance(f: Kernel) -> str:
    """What is called: with what its template is given, if it is one."""
    given = ", ".join(str(f.fixed.get(n, "real")) for n, _, _ in f.function.template)
    return f"{f.name}<{given}>" if given else f.name


def _c(kind: Any) -> str:
    if isinstance(kind, Scalar):
        return "bool" if kind == BOOL else "real" if kind.real else "int"
    return f"glm::vec<{kind.n}, real>" if isinstance(kind, Vector) else f"glm::mat<{kind.columns}, {kind.rows}, real>"


def _call(f: Kernel) -> str:
    kinds = {p.name: p.type for p in _parameters(f)}
    declared = [f"{_c(t.to)} *{n}" if isinstance(t, Pointer) else f"{_c(t)} {n}" for n, t in kinds.items()]
    given = ", ".join(p.name for p in _parameters(f))
    grouped = bool(f.memory.hints.groups)
    head = f'extern "C" void call_{f.name}(int *grid_, {", ".join(declared)}) {{'
    launch = "gridDim = {(unsigned)grid_[0], (unsigned)grid_[1], 1}; blockDim = {(unsigned)grid_[2], (unsigned)grid_[3], 1};"
    if grouped:
        return f"{head}\n  {launch}\n  launch([=] {{ {_instance(f)}({given}); }});\n}}\n"
    return f"{head}\n  {launch}\n  {FOR if f.function.kernel else ''} {_instance(f)}({given});\n}}\n"


def compiled(
    functions: Sequence[Kernel], text: str, folder: Path, real: str = "double", glm: Path | None = None
) -> ctypes.CDLL:
    """The kernels of a text, compiled by g++; groups of threads are threads of the system, with barriers."""
    spaces = "".join(f"using namespace {n};\n" for n in dict.fromkeys(re.findall(r"^namespace (\w+) \{", text, re.MULTILINE)))
    calls = spaces + "".join(map(_call, functions))
    if any(f.memory.hints.groups for f in functions):
        text = re.sub(r"extern __shared__ (\w+) (\w+)\[\]", r"static \1 \2[1024]", text).replace("__shared__", "static")
        return built(text, calls, folder, real, GROUPS, glm)
    return built(text, calls, folder, real, LAUNCH, glm)


def drawn(f: Kernel, sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Inputs on which nothing divides by 0."""
    torch.manual_seed(0)
    memory, found = f.memory, {}
    for n, shape in memory.inputs.items():
        counts = [memory.hints.product(as_poly(d)).at(sizes) for d in shape]
        kind = memory.kinds.get(n)
        if n in memory.numbers:
            found[n] = torch.tensor(7.0, dtype=torch.float64)
        elif kind == "int":
            below = memory.hints.below[n].at(sizes) if n in memory.hints.below else 3
            found[n] = torch.randint(0, below, counts)
        else:
            t = torch.rand(counts, dtype=torch.float64) * 0.8 + 0.1
            found[n] = t > 0.5 if kind == "bool" else t
    return found


def sized(f: Kernel, numbers: tuple[int, ...]) -> dict[str, int]:
    """A number for each size that a kernel has."""
    names = set(f.memory.sizes) | {n for top, _ in f.memory.hints.bounds.values() for n in top.sizes()}
    return {n: numbers[k % len(numbers)] for k, n in enumerate(sorted(names))}


def called(library: ctypes.CDLL, f: Kernel, inputs: Mapping[str, torch.Tensor], sizes: Mapping[str, int], real: str) -> Results:
    """The results of a compiled kernel by name; what is only written starts from 0."""
    number: Any = ctypes.c_double if real == "double" else ctypes.c_float
    memory, arguments, held = f.memory, list[Any](), dict[str, Any]()
    for p in _parameters(f):
        if isinstance(p.type, Pointer):
            shape = memory.inputs.get(p.name, memory.outputs.get(p.name))
            if shape is None:
                arguments.append((number * 1)())
                continue
            counts = [memory.hints.product(as_poly(d)).at(sizes) for d in shape]
            flat = inputs[p.name].reshape(-1).tolist() if p.name in inputs else [0] * int(torch.Size(counts).numel())
            kind: Any = p.type.to
            while not isinstance(kind, Scalar):
                kind = kind.of
            c: Any = number if kind.real else ctypes.c_bool if kind == BOOL else ctypes.c_int
            held[p.name] = (c * max(len(flat), 1))(*flat), counts
            arguments.append(held[p.name][0])
        elif p.name in f.fixed and not isinstance(f.fixed[p.name], str):
            arguments.append(number(f.fixed[p.name]) if p.type.real else ctypes.c_int(f.fixed[p.name]))
        elif p.type.real:
            arguments.append(number(float(inputs[p.name])))
        else:
            number_ = p.name in memory.numbers
            arguments.append(
                ctypes.c_int(int(inputs[p.name]) if number_ else memory.hints.product(as_poly(Size(p.name))).at(sizes))
            )
    getattr(library, f"call_{f.name}")((ctypes.c_int * 4)(*_grid(f, sizes)), *arguments)
    return {n: torch.tensor(list(held[n][0]), dtype=torch.float64).reshape(held[n][1]) for n in f.outputs}


def _grid(f: Kernel, sizes: Mapping[str, int]) -> tuple[int, int, int, int]:
    """Blocks and threads: more threads than there is work for."""
    hints, found = f.memory.hints, dict[str, int]()
    if hints.groups:
        (name, (top, _)) = next(iter(hints.bounds.items()))
        count = hints.product(top).at(sizes)
        return (-(-count // 2) if name == "warp" else count, 1, 64, 1)
    for name, (top, how) in hints.bounds.items():
        strides = (*hints.strides.get(name, ()), as_poly(1))
        count = hints.product(top * strides[0]).at(sizes)
        found[name] = count if how == "launch" else -(-count // 3)
    x, y = (found.get(f"idx.{d}", found.get(f"blockIdx.{d}", 1)) for d in "xy")
    across, down = (3 if f"idx.{d}" in hints.bounds else 1 for d in "xy")
    return x, y, across, down


def apart(f: Kernel, library: ctypes.CDLL, sizes: Mapping[str, int], real: str = "double") -> list[str]:
    """The results in which the reader and the compiler differ."""
    close = 1e-12 if real == "double" else 2e-4
    inputs = drawn(f, sizes)
    if real == "float":
        inputs = {n: t.float() if t.is_floating_point() else t for n, t in inputs.items()}
    shaped = {n: torch.zeros([f.memory.hints.product(as_poly(d)).at(sizes) for d in s]) for n, s in f.memory.outputs.items()}
    mine, theirs = f.like(inputs, shaped), called(library, f, inputs, sizes, real)
    return [n for n, t in theirs.items() if t.shape != mine[n].shape or not _near(mine[n].double(), t, close)]


def _near(a: torch.Tensor, b: torch.Tensor, close: float) -> bool:
    return torch.allclose(a, b, rtol=close, atol=close)
