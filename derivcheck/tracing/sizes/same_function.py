"""Whether other operators, called at sizes of 1 and 2, are the same function all the same: value and gradient on numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from derivcheck.derivation.sweep import adjoint
from derivcheck.errors import DerivcheckError
from derivcheck.notation.integers.polynomials import as_poly
from derivcheck.notation.program.definitions import Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.evaluator import evaluate
from derivcheck.tracing.recording.data import Recording
from derivcheck.tracing.sizes.expressions import SizeExpressions
from derivcheck.tracing.sizes.gather import Gathering
from derivcheck.tracing.sizes.unify import Differs, Unified, Unknown, unify

Apply = Callable[[Gathering, Unified], Program]  # rows applied to unified recordings


def same_function(
    traces: Gathering, recording: Recording, sizes: Mapping[str, int], titled: Mapping[str, int], program: Program, apply: Apply
) -> bool:
    """Whether the Program at these sizes has the value and the gradients of what was recorded there.

    torch's setitem drops leading dimensions of 1 from what is written, say: another operator, and no other function.

    Args:
        titled: the same sizes by their names in the Program.
    """
    fixed = copy.copy(traces)
    fixed.meaning = {**traces.meaning, **{n: as_poly(v) for n, v in sizes.items()}}
    fixed.assignments, fixed.recordings = [{}], [recording]
    fixed.expressions = SizeExpressions([{}], [recording.reads])
    known = {recording.inputs[s.name]: tuple(fixed.resolve(p) for p in s.dims) for s in traces.subject.specs}
    try:
        small = apply(fixed, unify([recording], fixed.expressions, known))
        if {a.name for a in small.arguments} != {a.name for a in program.arguments}:
            return False
        data = {a.name: _drawn(a, titled, k) for k, a in enumerate(program.arguments)}
        return _alike(program, small, data, titled) and _alike(adjoint(program), adjoint(small), data, titled)
    except (DerivcheckError, Differs, Unknown, KeyError, IndexError, ValueError, ZeroDivisionError):
        return False


def _drawn(a: Input, sizes: Mapping[str, int], seed: int) -> Any:
    rng, shape = np.random.default_rng(seed), tuple(p.at(sizes) for p in a.dims)
    if a.kind == "float":
        return rng.uniform(0.5, 1.5, shape)  # where quotients, roots and logarithms are numbers
    below = 2 if a.kind == "bool" or a.below is None else max(1, a.below.at(sizes))
    return rng.integers(0, below if a.kind == "bool" or a.below is not None else 1, shape)


def _alike(one: Program, other: Program, data: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Whether two Programs give the same numbers on these data."""
    given = {a.name: data[a.name] if a.name in data else _drawn(a, sizes, 99 + k) for k, a in enumerate(one.arguments)}
    mine = evaluate(one, {n: v for n, v in given.items() if n in one.inputs}, dict(sizes))
    yours = evaluate(other, {n: v for n, v in given.items() if n in other.inputs})
    return len(one.outputs) == len(other.outputs) and all(
        # far above what rounding does, far below what another function does
        np.shape(mine[a]) == np.shape(yours[b]) and np.allclose(mine[a], yours[b], rtol=1e-9, atol=1e-12, equal_nan=True)
        for a, b in zip(one.outputs, other.outputs)
    )
