"""``derivcheck check``: the data, the check, and what is shown and written of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import torch
from rich.console import Console

from derivcheck.checking.check import check
from derivcheck.checking.report.report import Report
from derivcheck.checking.report.review import findings, github, sarif
from derivcheck.cli.asked import CheckedOn, CheckShown, Fixing, TargetPair
from derivcheck.cli.inputs import declared, random_inputs, read_constants, read_dims, read_sizes
from derivcheck.cli.mending import mend
from derivcheck.cli.spelling import OPTIONS, spelled
from derivcheck.cli.status import HOLDS, UNDECIDED, WRONG
from derivcheck.cli.target import defined_at, files_of, is_index_text, load_target
from derivcheck.derive import derive
from derivcheck.errors import InputError
from derivcheck.files import Outputs, marked
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.notation.program.program import Program
from derivcheck.tracing.modules import trace_module
from derivcheck.tracing.program.annotations import annotated_dims
from derivcheck.tracing.trace import TraceOptions


def run_check(claim: TargetPair, on: CheckedOn, shown: CheckShown, fixing: Fixing) -> int:
    """Check a gradient on random inputs; 0 passed, 1 a gradient is wrong, 3 neither, or not all was reached with ``strict``."""
    fixing.usable()
    files = [(p, option) for p, option in ((shown.junit, "--junit"), (shown.reproducer, "--reproducer")) if p is not None]
    outputs = Outputs(files, partial(files_of, claim.target, claim.backward, on.reference), shown.force)
    outputs.ask()
    means = load_target(on.reference, "--reference") if on.reference else None
    f = _forward(claim, means)
    chosen = _fixed(f.program, f.values) | read_sizes(on.sizes)
    tensors = random_inputs(f.program, chosen, on.seed, frozenset({*f.values, *f.constants}), claim.where, f.constants)
    under_test = claim.backward or None
    if claim.backward and not is_index_text(claim.backward):
        under_test = load_target(claim.backward, "--backward")
    report = check(
        f.forward,
        {**tensors, **f.constants},
        backward=under_test,
        reference=means,
        dtype=getattr(torch, on.dtype),
        device=on.device,
        seed=on.seed,
        wrt=claim.wrt or None,
        strict=on.strict,
        dims=f.dims,
        where=claim.where or None,
    )
    # before its lines are told
    found = next((r.fix for r in report if r.faulty and r.fix is not None), None) if fixing.fix else None
    _show(report, shown, tensors, defined_at(f.forward if under_test is None else under_test))
    outputs.write(_texts(claim.target, report, shown))
    if fixing.fix and report.faulty:
        mend(found, fixing.write, Console(stderr=shown.format != "table", highlight=False))
    return HOLDS if report.passed else WRONG if report.faulty else UNDECIDED


@dataclass(frozen=True)
class _Forward:
    """The forward of a check with its Program, which says what data it takes, and the values that it brings."""

    forward: Any
    program: Program
    values: Mapping[str, Any]
    dims: dict[str, str] | None
    constants: dict[str, Any]


def _forward(claim: TargetPair, means: Any) -> _Forward:
    """The forward that a TARGET is; ``means`` is what says what it means, where it cannot be traced."""
    constants, named = read_constants(claim.const) or {}, read_dims(claim.dims)
    forward = claim.target if is_index_text(claim.target) else load_target(claim.target)
    if isinstance(forward, str):
        d = derive(forward, dims=named)
        return _Forward(d, d.program, {}, named, constants)
    module = isinstance(forward, torch.nn.Module)
    named = {**annotated_dims(forward.forward if module else forward, [*constants, *(named or {})]), **(named or {})} or None
    if module:
        if means is not None:
            d = derive(means, dims=named, constants=constants)
            return _Forward(forward, d.program, d.values, named, constants)
        # its sizes are asked for; a Function of its own is what is checked
        traced = trace_module(forward, inputs=constants, dims=named, options=TraceOptions("forward"))
        return _Forward(forward, traced.program, traced.values, named, constants)
    if isinstance(forward, DeviceFunction):
        own = {n: v for n, v in constants.items() if n in forward.parameters}
        forward, named = forward.given(**own), {**forward.given(**own).dims, **(named or {})}
        constants = {n: v for n, v in constants.items() if n not in forward.parameters}
    elif not named:
        raise InputError(f"{claim.target!r} is a function: name its dimensions with --dims, as in 'x: N in; W: out in'")
    return _Forward(forward, declared(named or {}), {}, named, constants)


def _show(report: Report, shown: CheckShown, tensors: Mapping[str, Any], place: tuple[str, int]) -> None:
    """The report as a table with its notes, and in words where it does not pass; or in another format."""
    if shown.as_json:
        print(json.dumps(report.to_dict(), indent=2, allow_nan=False))
        return
    if shown.format != "table":
        found = findings(report, place)
        holds = f"::notice title=derivcheck::{str(report).splitlines()[0]}"
        print(sarif(found).rstrip() if shown.format == "sarif" else github(found) or holds)
        return
    console = Console(highlight=False)
    console.print(report)
    said = [*report.notes, *(_more(report, tensors) if shown.verbose else ()), *([] if report.passed else [str(report)])]
    for text in said:
        console.print(spelled(text, OPTIONS), markup=False, soft_wrap="\n" in text)


def _more(report: Report, tensors: Mapping[str, Any]) -> Iterator[str]:
    """What stands behind the table: the data, what each witness covered, and which side of each condition was taken."""
    yield f"data of seed {report.seed}: " + ", ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items())
    for r in report:
        for w in r.witnesses:
            kept = "could not judge" if w.agrees is None else "agrees" if w.agrees else "does not agree"
            covered = f" ({w.note})" if w.note else ""
            yield f"{r.name}: {w.name} {kept}: {w.max_error:.1e}, bound {w.tolerance:.1e}{covered}"
    for side, by in report.reached.items():
        yield f"{side}: " + (f"taken by {by}" if by else "never taken")


def _texts(target: str, report: Report, shown: CheckShown) -> dict[Path, str]:
    """What is written: the report for a CI server, and code that shows the fault."""
    texts = {} if shown.junit is None else {shown.junit: marked(_junit(target, report), "xml")}
    if shown.reproducer is not None and report.faulty:
        try:
            texts[shown.reproducer] = marked(report.reproducer(), "python")
        except InputError as e:  # the gradient is wrong all the same
            Console(stderr=True, highlight=False).print(f"derivcheck: {e}", markup=False, soft_wrap=True)
    return texts


def _fixed(program: Program, values: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that a module's own tensors have."""
    found: dict[str, int] = {}
    for a in program.arguments:
        for p, n in zip(a.dims, getattr(values.get(a.name), "shape", ())):
            if str(p) in program.sizes():
                found[str(p)] = n
    return found


def _junit(target: str, report: Report) -> str:
    """The report as JUnit XML: a test case per gradient."""
    bad = sum(1 for r in report if not r.passed)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<testsuite name="derivcheck" tests="{len(report)}" failures="{bad}">']
    for r in report:
        case = f"  <testcase classname={quoteattr(target)} name={quoteattr(r.name)}"
        if r.passed:
            lines.append(case + "/>")
        else:
            why = f"{r.sentence()}\n{r.diagnosis or ''}"
            lines += [case + ">", f"    <failure message={quoteattr(r.sentence())}>{escape(why)}</failure>", "  </testcase>"]
    return "\n".join([*lines, "</testsuite>", ""])
