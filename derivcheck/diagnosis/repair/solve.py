"""What a definition would have to be: downstream of it the gradients are mostly affine in its value.

With J = ∂(gradients)/∂A on numbers, J·A* = what is right is solved.  Where there is no solution, no other meaning of that
definition alone makes the gradients right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from derivcheck.diagnosis.scene import Array
from derivcheck.notation.integers.polynomials import Index, as_poly, i_poly, size
from derivcheck.notation.program.definitions import Definition, Input
from derivcheck.notation.program.program import Program
from derivcheck.notation.terms.nodes import Ref, Term
from derivcheck.notation.terms.substitute import transform
from derivcheck.notation.values.evaluator import evaluate

EXACT = 1e-8
STEPS = 9  # of Newton's method, where the gradients are not affine
LARGEST = 600  # unknowns of one system
PROBES = "probes of a value"  # no name that a user can have
_STEP = 1e-6


@dataclass(frozen=True)
class Solution:
    """The values that definitions would have to have.

    Attributes:
        names: the definitions.
        values: what each should be; where the gradients do not tell all of it, the nearest to what it is.
        jacobian: of the gradients in their values.
        residual: how far the gradients are from right, as they are.
        affine: whether the gradients are affine in the values.
    """

    names: tuple[str, ...]
    values: Mapping[str, Array]
    jacobian: Array
    residual: Array
    affine: bool


@dataclass(frozen=True)
class System:
    """A backward's Program on numbers, with what its outputs should be.

    Attributes:
        program: the backward.
        values: each of its inputs and definitions.
        sizes: the value of each size.
        targets: what each output should be; one that is left out may be anything.
    """

    program: Program
    values: Mapping[str, Array]
    sizes: Mapping[str, int]
    targets: Mapping[str, Array]

    def solve(self, names: Sequence[str]) -> Solution | None:
        """What these definitions should be for all targets to be met, or None."""
        arrays = [self.values[n] for n in names]
        count = sum(a.size for a in arrays)
        if not self.targets or not 0 < count <= LARGEST or not all(np.isfinite(a).all() for a in arrays):
            return None
        program = downstream(self.program, tuple(names), tuple(self.targets))
        at = np.concatenate([a.ravel() for a in arrays])
        jacobian = self._jacobian(program, names, at, 1.0)
        start = self._outputs(program, names, at[None])[0]
        target = self.scaled(self.targets)
        if not np.isfinite(jacobian).all() or not np.isfinite(start).all():
            return None
        residual = target - start
        delta = _least(jacobian, residual)
        solved = _far(jacobian @ delta, residual) <= EXACT
        affine = solved and self._left(program, names, at + delta, target) <= EXACT
        if affine:
            return Solution(tuple(names), _split(at + delta, names, arrays), jacobian, residual, True)
        if not solved and self._flat(program, names, at, jacobian, start):
            return None
        here = self._newton(program, names, at, target)
        return None if here is None else Solution(tuple(names), _split(here, names, arrays), jacobian, residual, False)

    def impossible(self, names: Sequence[str]) -> bool:
        """Whether it is sure that no values of these definitions meet all targets: the outputs are affine in them."""
        arrays = [self.values[n] for n in names]
        count = sum(a.size for a in arrays)
        if not self.targets or not 0 < count <= LARGEST or not all(np.isfinite(a).all() for a in arrays):
            return False
        program = downstream(self.program, tuple(names), tuple(self.targets))
        at = np.concatenate([a.ravel() for a in arrays])
        jacobian, start = self._jacobian(program, names, at, 1.0), self._outputs(program, names, at[None])[0]
        residual = self.scaled(self.targets) - start
        if not np.isfinite(jacobian).all() or not np.isfinite(start).all():
            return False
        unmet = _far(jacobian @ _least(jacobian, residual), residual) > EXACT
        return unmet and self._flat(program, names, at, jacobian, start)

    def _newton(self, program: Program, names: Sequence[str], at: Array, target: Array) -> Array | None:
        """Values that meet the targets, by Newton's method; a step that does not help is halved."""
        here, left = at, self._left(program, names, at, target)
        for _ in range(STEPS):
            slope = self._jacobian(program, names, here, _STEP)
            now = self._outputs(program, names, here[None])[0]
            if not np.isfinite(slope).all() or not np.isfinite(now).all():
                return None
            delta = _least(slope, target - now)
            for share in (1.0, 0.5, 0.25, 0.1):
                further = self._left(program, names, here + share * delta, target)
                if further < 0.9 * left:
                    break
            else:
                return None
            here, left = here + share * delta, further
            if left <= EXACT:
                return here
        return None

    def _left(self, program: Program, names: Sequence[str], at: Array, target: Array) -> float:
        """How far the outputs are from the targets at these values."""
        now = self._outputs(program, names, at[None])[0]
        return float(np.abs(target - now).max(initial=0.0)) if np.isfinite(now).all() else float("inf")

    def _flat(self, program: Program, names: Sequence[str], at: Array, jacobian: Array, start: Array) -> bool:
        """Whether the outputs are affine in these values."""
        move = np.random.default_rng(5).normal(size=at.shape)
        there = self._outputs(program, names, (at + move)[None])[0]
        return bool(np.isfinite(there).all()) and _far(there - start, jacobian @ move) <= 1e-9

    def _jacobian(self, program: Program, names: Sequence[str], at: Array, step: float) -> Array:
        """The slopes of the gradients in each element, outputs by elements; ``step`` 1 where they are known to be linear."""
        ahead = at + step * np.eye(at.size)
        found = self._outputs(
            program, names, np.concatenate([at[None], ahead] if step == 1 else [at - step * np.eye(at.size), ahead])
        )
        if step == 1:
            return np.asarray((found[1:] - found[:1]).T)
        half = at.size
        return np.asarray(((found[half:] - found[:half]) / (2 * step)).T)

    def _outputs(self, program: Program, names: Sequence[str], at: Array) -> Array:
        """The outputs, scaled, for each row of values."""
        given = dict(self.values)
        offset = 0
        for n in names:
            shape = self.values[n].shape
            length = int(np.prod(shape, dtype=int))
            given[n] = at[:, offset : offset + length].reshape(len(at), *shape)
            offset += length
        found = evaluate(program, {a.name: given[a.name] for a in program.arguments}, {**self.sizes, PROBES: len(at)})
        rows = []
        for o, target in self.targets.items():
            value = found.get(o, given.get(o))
            assert value is not None
            many = o in found or o in names
            flat = (
                np.asarray(value, dtype=float).reshape(len(at), -1)
                if many
                else np.broadcast_to(np.ravel(value), (len(at), np.size(value)))
            )
            rows.append(flat / _scale(target))
        return np.concatenate(rows, axis=1)

    def scaled(self, outputs: Mapping[str, Array]) -> Array:
        """Outputs as one vector, each in units of its target."""
        return np.concatenate([np.ravel(outputs[o]) / _scale(t) for o, t in self.targets.items()])


def downstream(program: Program, names: tuple[str, ...], outputs: tuple[str, ...]) -> Program:
    """What of a Program depends on these definitions, for many values of them at once; all else is read."""
    probe = Index("probe", size(PROBES))
    moved = set(names)
    kept: list[Definition] = []

    def change(t: Term) -> Term:
        return Ref(t.name, (i_poly(probe), *t.at)) if isinstance(t, Ref) and t.name in moved else t

    for group in program.groups:
        if any(d.name in names for d in group):
            continue
        if any(not d.term.names.isdisjoint(moved) for d in group) and all(d.kind == "float" for d in group):
            moved |= {d.name for d in group}
            kept += group
    definitions = tuple(
        replace(d, indices=(probe, *d.indices), term=transform(d.term, change), paths=(), spelling=None) for d in kept
    )
    wanted = tuple(o for o in outputs if o in {d.name for d in definitions})
    made = {d.name for d in definitions}
    arguments = [
        Input(d.name, ((as_poly(size(PROBES)), *d.dims) if d.name in names else d.dims), d.kind)
        for d in program.definitions
        if d.name not in made
    ]
    many = as_poly(size(PROBES))
    given = [replace(a, dims=(many, *a.dims)) if a.name in names else a for a in program.arguments]
    whole = Program((*given, *arguments), definitions, wanted).needed(wanted)
    used = set(names).union(*(d.term.names for d in whole.definitions), *(p.names for d in whole.definitions for p in d.dims))
    return replace(whole, arguments=tuple(a for a in whole.arguments if a.name in used))


def _scale(target: Array) -> float:
    return float(np.abs(target).max(initial=0.0)) or 1.0


def _far(a: Array, b: Array) -> float:
    """How far two vectors are apart, in units of the larger."""
    scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
    return float(np.abs(a - b).max(initial=0.0)) / scale if scale else 0.0


def _least(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.lstsq(a, b, rcond=1e-11)[0])


def _split(at: Array, names: Sequence[str], like: Sequence[Array]) -> dict[str, Array]:
    found, offset = {}, 0
    for n, a in zip(names, like):
        found[n] = at[offset : offset + a.size].reshape(a.shape)
        offset += a.size
    return found
