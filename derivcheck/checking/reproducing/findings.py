"""The lines that assert what was found, and so fail."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from derivcheck.checking.backward.found import as_it_is
from derivcheck.checking.report.row import Row
from derivcheck.checking.reproducing.script import Script, tupled
from derivcheck.checking.reproducing.snippets import statements_for
from derivcheck.checking.reproducing.spelling import number
from derivcheck.checking.second import MARK
from derivcheck.checking.subject import wide
from derivcheck.errors import InputError


def finding(script: Script, call: list[str]) -> list[str]:
    """The lines that run the backward and fail as the row says: it raises, writes to an input, gives too much, or is wrong."""
    row = script.row
    run = _situated(script, call)
    if row.verdict == "raised":
        tried = "\n".join(f"    {line}" for line in "\n".join(run).split("\n"))
        return [
            "try:",
            tried,
            "except Exception as §error:",
            '    print(f"found {type(§error).__name__}, expected gradients")',
            '    raise AssertionError("the backward raises") from §error',
        ]
    if row.verdict == "changed input":
        n = row.name
        before, version = script.new(f"{n}_before"), script.new("version")
        return [
            f"{before}, {version} = {n}.clone(), {n}._version",
            *run,
            f'print(f"found {n} written to {{{n}._version - {version}}} times, expected 0")',
            f"assert torch.equal({n}.nan_to_num(), {before}.nan_to_num()) and {n}._version == {version}, {row.note!r}",
        ]
    if row.verdict == "extra":
        return [
            *run,
            f'print(f"found {{sorted(§gradients)}}, expected no {row.name}")',
            f"assert {row.name!r} not in §gradients, {row.note!r}",
        ]
    key = _key(script)
    place = f'§gradients.get("{key}")' if not script.of_value else f"§outputs[{_output(script)}]"
    found = script.new("found")
    return [*run, f"{found} = {place}", *_asserted(script, found)]


def _situated(script: Script, call: list[str]) -> list[str]:
    """The call as the situation has it: with another run before it, without a graph, casts taken as float64."""
    evidence, lines = script.evidence, list(call)
    if script.double and script.s.met.casts and script.backward is not None:
        script.file.imports["from torch.overrides import TorchFunctionMode"] = None
        script.file.parts.extend(statements_for(wide, "Widening").values())
        lines = ["with Widening():", *(f"    {line}" for line in "\n".join(lines).split("\n"))]
    if evidence.leaves:
        leaves = [n for n in script.s.wrt if n in evidence.tensors]
        lines = [
            *(f"{n}.requires_grad_()" for n in leaves),
            "with torch.no_grad():",
            *(f"    {line}" for line in "\n".join(lines).split("\n")),
        ]
    if evidence.before is not None:
        before = {
            n: t for given in evidence.before for n, t in given.items() if n in script.data and _own_memory(script.data[n])
        }
        right = script.new("right")
        lines = [
            f"{right} = [t.clone() for t in {tupled(list(before))}]",
            *(f"{n}.copy_({script.file.expression(t)})" for n, t in before.items()),
            *lines,
            f"for §t, §r in zip({tupled(list(before))}, {right}):  # the same memory, with the right numbers",
            "    §t.detach().copy_(§r)",
            *lines,
        ]
    return lines


def _key(script: Script) -> str:
    """The name under which the backward returned it: an input's gradient may be called in several ways."""
    name, evidence = script.row.name.removesuffix(MARK), script.evidence
    if script.backward is None or name in script.s.derivation.adjoint.names and name not in script.s.wrt:
        return name
    returned = as_it_is(script.s, script.backward, evidence.tensors, evidence.upstream)
    also = (n for n in returned if script.s.derivation.gradient_named(n) == script.row.bar)
    return name if name in returned else next(also, name)


def _output(script: Script) -> int:
    program = script.s.derivation.program
    floats = [o for o in program.outputs if program.kind(o) == "float"]
    return floats.index(script.row.name.removeprefix("value ")) if script.row.name != "value" else 0


def _asserted(script: Script, found: str) -> list[str]:
    """The lines that hold the gradient against its shape, its type or its worst element."""
    row = script.row
    shown = f'print(f"found {{None if {found} is None else (tuple({found}.shape), {found}.dtype)}}, expected a gradient")'
    if row.verdict in ("missing", "shape", "dtype"):
        if row.verdict == "missing":
            return [shown, f"assert {found} is not None, {row.note!r}"]
        if row.verdict == "dtype":
            wanted = (
                script.evidence.tensors[row.name].dtype if row.name in script.evidence.tensors else script.evidence.right.dtype
            )
            return [
                f"print(f\"found {{getattr({found}, 'dtype', type({found}).__name__)}}, expected {wanted}\")",
                f"assert getattr({found}, 'dtype', None) is {wanted}, {row.note!r}",
            ]
        shape = tuple(script.evidence.right.value(row.bar).shape)
        return [
            f'print(f"found {{tuple({found}.shape)}}, expected {shape}")',
            f"assert tuple({found}.shape) == {shape}, {row.note!r}",
        ]
    if row.worst_index is None or row.expected is None or row.found is None:
        row = _at_the_largest(script)
    assert row.worst_index is not None and row.expected is not None
    value, expected = script.new("value"), script.new("expected")
    if _within(row):
        return _as_a_whole(script, found, value, expected)
    at = list(row.worst_index)
    what = "the output" if script.of_value else "the derivative of Σ grad_output · output"
    element = f"{found}.reshape({(1,) * len(at)})" if "was taken as" in row.note else found
    return [
        f"{expected} = {number(row.expected)}  # {what} in {row.name}{at}",
        f"{value} = {element}[{', '.join(map(str, at))}].item()" if at else f"{value} = {element}.item()",
        f'print(f"found {{{value}:.17g}}, expected {{{expected}:.17g}}")',
        f"assert abs({value} - {expected}) <= {number(max(row.tolerance, 5e-324))}",
    ]


def _at_the_largest(script: Script) -> Row:
    """The row with a place, where it has none: what is missing is most missed where the gradient is largest."""
    right, bar = script.evidence.right, script.row.bar
    value, tolerance = right.value(bar), right.tolerance(bar)
    at = tuple(int(k) for k in torch.unravel_index(value.abs().argmax(), value.shape))
    return replace(script.row, worst_index=at, found=0.0, expected=float(value[at]), tolerance=float(tolerance[at]))


def _as_a_whole(script: Script, found: str, value: str, expected: str) -> list[str]:
    """Half precision: no element is beyond its own bound, the error as a whole is."""
    right, bar = script.evidence.right, script.row.bar
    limit = right.typical.limit(bar, right.value(bar), right.tolerance(bar)) if right.typical is not None else None
    if limit is None:
        raise InputError(f"no reproducer can be written: torch alone does not show {script.row.sentence()}")
    return [
        f"{expected} = {script.file.expression(right.value(bar))}",
        f"{value} = torch.linalg.vector_norm({found}.double() - {expected}).item()",
        f'print(f"found an error of {{{value}:.3g}}, expected at most {limit:.3g}")',
        f"assert {value} <= {number(limit)}",
    ]


def _within(row: Row) -> bool:
    """Whether the worst element is within its bound, so that it shows nothing."""
    assert row.found is not None and row.expected is not None
    return math.isfinite(row.found) and abs(row.found - row.expected) <= row.tolerance


def _own_memory(t: torch.Tensor) -> bool:
    return not any(k == 0 and n > 1 for k, n in zip(t.stride(), t.shape))
