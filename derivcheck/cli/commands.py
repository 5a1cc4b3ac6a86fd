"""The commands about one TARGET: derive, code, check, prove, notes.  Each returns the exit status."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import torch
from rich.console import Console
from rich.syntax import Syntax

from derivcheck.checking.check import check
from derivcheck.cli.inputs import declared, derivation_of, random_inputs, read_constants, read_dims, read_sizes
from derivcheck.cli.status import HOLDS, UNDECIDED, WRONG
from derivcheck.cli.target import files_of, is_index_text, load_target
from derivcheck.derive import derive
from derivcheck.errors import InputError
from derivcheck.files import Outputs, marked, marked_pdf
from derivcheck.kernels.cuda.function import DeviceFunction
from derivcheck.notation.program.program import Program
from derivcheck.tracing.modules import trace_module
from derivcheck.tracing.trace import TraceOptions

if TYPE_CHECKING:
    from derivcheck.checking.report.report import Report
    from derivcheck.diagnosis.repair.fix import Fix


def show_derivation(target: str, loss: str, dims: str, const: Sequence[str]) -> int:
    """Print the derivation."""
    Console(highlight=False).print(str(derivation_of(target, loss, dims, const)), markup=False, soft_wrap=True)
    return HOLDS


def show_code(target: str, loss: str, dims: str, const: Sequence[str], out: Path | None, force: bool) -> int:
    """Print or write the generated code."""
    outputs = _asked(out, target, loss, force=force)
    return _deliver(derivation_of(target, loss, dims, const).source(), out, outputs, "python")


def write_notes(
    target: str,
    loss: str,
    dims: str,
    const: Sequence[str],
    format: str,
    style: str,
    lang: str,
    sizes: str,
    detail: str,
    out: Path | None,
    force: bool,
) -> int:
    """Print or write notes."""
    if format == "pdf" and out is None:
        raise InputError("a PDF is written, not printed; name a file with --out")
    outputs = _asked(out, target, loss, force=force)
    d = derivation_of(target, loss, dims, const)
    options: dict[str, Any] = {"style": style, "lang": lang, "sizes": read_sizes(sizes) or None, "detail": detail}
    if format == "pdf" and out is not None:
        from derivcheck.notes.pages.pdf import pdf  # loaded when asked for

        outputs.write({out: marked_pdf(pdf(d.to_latex(full=True, **options)))})
        print(f"wrote {out}")
        return HOLDS
    if format == "latex":
        text = d.to_latex(full=True, **options)
    elif format == "html":
        text = d.to_html(**options)
    else:
        text = d.to_markdown(**options)
    return _deliver(text, out, outputs, format)


def run_check(
    target: str,
    backward: str,
    reference: str,
    dims: str,
    where: str,
    const: Sequence[str],
    sizes: str,
    dtype: str,
    device: str,
    seed: int,
    as_json: bool,
    junit: Path | None,
    reproducer: Path | None,
    strict: bool,
    fix: bool,
    write: bool,
    force: bool,
) -> int:
    """Check a gradient on random inputs; 0 passed, 1 a gradient is wrong, 3 neither, or not all was reached with ``strict``."""
    _both(fix, write)
    asked = [(p, option) for p, option in ((junit, "--junit"), (reproducer, "--reproducer")) if p is not None]
    outputs = Outputs(asked, partial(files_of, target, backward, reference), force)
    outputs.ask()
    constants = read_constants(const) or {}
    means = load_target(reference, "--reference") if reference else None
    named, forward = read_dims(dims), target if is_index_text(target) else load_target(target)
    values: Mapping[str, Any] = {}
    if isinstance(forward, torch.nn.Module):
        if means is None:  # its sizes are asked for; a Function of its own is what is checked
            traced = trace_module(forward, inputs=constants, dims=named, options=TraceOptions("forward"))
            program, values = traced.program, traced.values
        else:
            d = derive(means, dims=named, constants=constants)
            program, values = d.program, d.values
    elif isinstance(forward, str):
        forward = derive(forward, dims=named)
        program = forward.program
    elif named or isinstance(forward, DeviceFunction):
        if isinstance(forward, DeviceFunction):
            forward = forward.given(**{n: v for n, v in constants.items() if n in forward.parameters})
            named, constants = (
                {**forward.dims, **(named or {})},
                {n: v for n, v in constants.items() if n not in forward.parameters},
            )
        program = declared(named or {})
    else:
        raise InputError(f"{target!r} is a function: name its dimensions with --dims, as in 'x: N in; W: out in'")
    chosen = _fixed(program, values) | read_sizes(sizes)
    tensors = random_inputs(program, chosen, seed, frozenset(values) | frozenset(constants), where, constants)
    under_test = None if not backward else backward if is_index_text(backward) else load_target(backward, "--backward")
    report = check(
        forward,
        {**tensors, **constants},
        backward=under_test,
        reference=means,
        dtype=getattr(torch, dtype),
        device=device,
        seed=seed,
        strict=strict,
        dims=named,
        where=where or None,
    )
    console = Console(highlight=False)
    found = next((r.fix for r in report if r.faulty and r.fix is not None), None) if fix else None  # before its lines are told
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, allow_nan=False))
    else:
        console.print(report)
        for note in report.notes:
            console.print(note, markup=False)
        if not report.passed:
            console.print(str(report), markup=False, soft_wrap=True)
    texts = {} if junit is None else {junit: marked(_junit(target, report), "xml")}
    if reproducer is not None and report.faulty:
        try:
            texts[reproducer] = marked(report.reproducer(), "python")
        except InputError as e:  # the gradient is wrong all the same
            Console(stderr=True, highlight=False).print(f"derivcheck: {e}", markup=False, soft_wrap=True)
    outputs.write(texts)
    if fix and report.faulty:
        _mend(found, write, Console(stderr=as_json, highlight=False))
    return HOLDS if report.passed else WRONG if report.faulty else UNDECIDED


def _both(fix: bool, write: bool) -> None:
    if write and not fix:
        raise InputError("--write makes the edit that --fix finds; give both")


def _mend(found: Fix | None, write: bool, console: Console) -> None:
    """Print the fix of the wrong gradients as a unified diff, and make it where that is asked for."""
    if found is None:
        console.print("no fix was found; derivcheck code prints a gradient that is derived", markup=False)
        return
    console.print(f"fix: {found.words} ({found.known})\n{found.diff()}", markup=False, soft_wrap=True)
    for other in found.alternatives:
        console.print(f"or else: {other.words} ({other.known})\n{other.diff()}", markup=False, soft_wrap=True)
    if write:
        for file, backup in found.write().items():
            console.print(f"wrote {file}; as it was: {backup}", markup=False, soft_wrap=True)


def run_proof(
    target: str,
    backward: str,
    dims: str,
    where: str,
    const: Sequence[str],
    invariants: Sequence[str],
    as_json: bool,
    fix: bool,
    write: bool,
) -> int:
    """Prove a hand-written gradient: 0 proved, 1 refuted, 3 undecided."""
    _both(fix, write)
    from derivcheck.prove import prove  # the proofs are loaded where one is asked for

    forward = target if is_index_text(target) else load_target(target)
    under_test = backward if is_index_text(backward) else load_target(backward, "BACKWARD")
    proof = prove(
        forward, under_test, dims=read_dims(dims), constants=read_constants(const), where=where or None, invariant=invariants
    )
    found = proof.fix if fix and proof.status == "refuted" else None  # before its lines are told
    if as_json:
        print(json.dumps(proof.to_dict(), indent=2))
    else:
        Console(highlight=False).print(str(proof), markup=False, soft_wrap=True)
    if fix and proof.status == "refuted":
        _mend(found, write, Console(stderr=as_json, highlight=False))
    return {"proved": HOLDS, "refuted": WRONG}.get(proof.status, UNDECIDED)


def _fixed(program: Program, values: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that a module's own tensors have."""
    found: dict[str, int] = {}
    for a in program.arguments:
        for p, n in zip(a.dims, getattr(values.get(a.name), "shape", ())):
            if str(p) in program.sizes():
                found[str(p)] = n
    return found


def _asked(out: Path | None, *targets: str, force: bool) -> Outputs:
    """The file of --out, asked for before the work."""
    outputs = Outputs([] if out is None else [(out, "--out")], partial(files_of, *targets), force)
    outputs.ask()
    return outputs


def _deliver(text: str, out: Path | None, outputs: Outputs, kind: str) -> int:
    """Write the text to a file with our mark, or show it, in colours on a terminal."""
    if out is not None:
        outputs.write({out: marked(text, kind)})
        print(f"wrote {out}")
        return HOLDS
    console = Console(highlight=False)
    if console.is_terminal and kind == "python":
        console.print(Syntax(text, "python", background_color="default", word_wrap=True))
    else:
        print(text)
    return HOLDS


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
