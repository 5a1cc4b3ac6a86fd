"""From a report's wrong rows to the search for the line that can be repaired, and for the fix."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any

import torch

from derivcheck.checking.backward.claim import closed
from derivcheck.checking.backward.found import Run, parse_backward, runner
from derivcheck.checking.subject.function import backward_of
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.case import as_case
from derivcheck.checking.verdict.derived import JudgedRun
from derivcheck.derived import Derivation
from derivcheck.diagnosis.case import Case
from derivcheck.diagnosis.repair.repair import Repair
from derivcheck.diagnosis.repair.subject import Backward
from derivcheck.diagnosis.repair.texts.backward import TextBackward
from derivcheck.diagnosis.repair.texts.index_text import index_piece


def repair_of(s: Subject, run: Run, backward: Any, name: str, evidence: JudgedRun) -> Repair | None:
    """The search, where the backward is Python code; None where there is none to look into."""
    code = backward if backward is not None else s.function or (type(s.module).forward if s.module is not None else s.forward)
    text = isinstance(code, str)
    if code is None or not (callable(code) or isinstance(code, type) or text) or evidence.situated or s.native:
        return None
    case = as_case(s, run, name, evidence)
    if case is None:
        return None
    tensors = evidence.tensors

    def through(way: Callable[..., Mapping[str, Any]]) -> Callable[..., Mapping[str, Any]]:
        def call(**given: torch.Tensor) -> Mapping[str, Any]:
            ups = {n: given[n] for n in evidence.upstream if n in given}
            return way({**tensors, **{n: t for n, t in given.items() if n not in ups}}, {**evidence.upstream, **ups})

        return call

    own = backward is None and s.function is not None
    written = through(backward_of(s.function, s.order, s.passed) if own else inspect.unwrap(run))
    d = s.derivation
    if tuple(d.adjoint.outputs) != tuple(f"{n}_bar" for n in d.wrt):
        d = Derivation(d.program, d.wrt, d.values, name=d.name, fixed=d.fixed)
    if isinstance(code, str):
        return _of_text(s, code, case, through)
    plain = through(_in_double(inspect.unwrap(run)))
    means = s.meaning or s.call
    meaning = None if means is None else lambda given: means({**tensors, **given})
    kept = frozenset(_codes(s, code))
    return Repair(Backward(d, through(run), code, case, kept, written, backward is None, plain, meaning))


def _of_text(s: Subject, text: str, case: Case, through: Callable[[Run], Callable[..., Mapping[str, Any]]]) -> Repair:
    """The search in a backward's index text."""
    piece = index_piece(text, lambda t: closed(s, parse_backward(s, t)), s.derivation)

    def run(tensors: Any, upstream: Any) -> Mapping[str, Any]:
        return runner(s, piece.holder.text)(tensors, upstream)

    return Repair(TextBackward(s.derivation, through(run), piece, case))


def _in_double(run: Run) -> Run:
    """The run with float64 as torch's default type."""

    def double(tensors: Any, upstream: Any) -> Mapping[str, Any]:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return run(tensors, upstream)
        finally:
            torch.set_default_dtype(before)

    return double


def _codes(s: Subject, backward: Any) -> Iterator[CodeType]:
    """The forward's own code, which says what is right; a backward of CUDA source has it with it."""
    f = s.forward
    if (own := getattr(backward, "forward_lines", None)) is not None:
        yield own
    for g in (
        f,
        s.module and type(s.module).forward,
        s.function and s.function.forward,
        s.function and s.function.setup_context,
    ):
        code = getattr(inspect.unwrap(g), "__code__", None) if callable(g) else None
        if code is not None:
            yield code
