"""From a wrong row to the case that a diagnosis starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from derivcheck.checking.backward.found import Run
from derivcheck.checking.report.row import Row
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import JudgedRun
from derivcheck.diagnosis.case import Case
from derivcheck.diagnosis.diagnose import diagnose
from derivcheck.diagnosis.scene import Scene
from derivcheck.diagnosis.separated import separated
from derivcheck.diagnosis.wording import in_own_names


def case_of(s: Subject, run: Run, row: Row, evidence: JudgedRun) -> Callable[[float], Any]:
    """A function that diagnoses this row when it is called, within so many seconds."""

    def look(seconds: float) -> Any:
        """The diagnosis, its sentences in the names that the user has; None where nothing is known."""
        case = as_case(s, run, row.name, evidence)
        found = None if case is None else diagnose(case, seconds)
        if case is None or found is None:
            return None
        return replace(
            found,
            sentence=in_own_names(found.sentence, case.forward, case.adjoint),
            alternatives=tuple(in_own_names(a, case.forward, case.adjoint) for a in found.alternatives),
        )

    return look


def where_of(s: Subject, run: Run, row: Row, evidence: JudgedRun) -> Callable[[], str | None]:
    """A function that says where alone it is wrong, if a condition on the data does."""

    def look() -> str | None:
        case = as_case(s, run, row.name, evidence)
        said = None if case is None else separated(Scene(case))
        return said if case is None or said is None else in_own_names(said, case.forward, case.adjoint)

    return look


def as_case(s: Subject, run: Run, name: str, evidence: JudgedRun) -> Case | None:
    """A gradient's evidence as a diagnosis takes it; None where an input of that name stands in its way."""
    tensors, upstream, right, found = evidence.tensors, evidence.upstream, evidence.right, evidence.found
    d = s.derivation
    outputs = dict(zip(d.wrt, d.adjoint.outputs))
    if f"{name}_bar" not in d.adjoint.outputs:
        return None
    program = d.program

    def backward(
        given: Mapping[str, torch.Tensor], ups: Mapping[str, torch.Tensor], dtype: torch.dtype = right.dtype
    ) -> dict[str, torch.Tensor | None]:
        """The backward at a diagnosis' own data: back on the device and in the type that it was judged in."""
        some = next(iter(tensors.values()))

        def back(t: torch.Tensor) -> torch.Tensor:
            return t.to(some.device, dtype) if t.is_floating_point() and t.dtype != dtype else t.to(some.device)

        full = {n: t for n, t in tensors.items() if n not in given}
        return dict(run({**full, **{n: back(t) for n, t in given.items()}}, {n: back(t) for n, t in ups.items()}))

    return Case(
        name=name,
        forward=program,
        adjoint=d.adjoint,
        inputs={a.name: _double(tensors[a.name]) for a in program.arguments if a.name in tensors},
        upstream={n: _double(g) for n, g in upstream.items()},
        sizes=dict(right.sizes),
        derived={n: right.value(out) for n, out in outputs.items()},
        found={n: None if g is None else _double(g) for n in d.wrt for g in (found.get(n),)},
        tolerance={n: right.tolerance(out) for n, out in outputs.items()},
        backward=backward,
        fixed=frozenset(a.name for a in program.arguments if a.role in ("constant", "buffer")),
        double=partial(backward, dtype=torch.float64),
    )


def _double(t: torch.Tensor) -> torch.Tensor:
    t = t.detach().cpu()
    return t.double() if t.is_floating_point() else t
