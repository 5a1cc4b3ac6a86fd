"""The lines that run the code under test and leave its gradients in a variable."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import torch

from derivcheck.checking.backward.claim import closed
from derivcheck.checking.backward.found import parse_backward
from derivcheck.checking.reproducing.script import Script, listed, tupled
from derivcheck.checking.second import MARK
from derivcheck.codegen.file.source import source
from derivcheck.notation.program.program import Program


def call(script: Script) -> list[str]:
    """Lines that leave the gradients in a variable ``gradients``, or the outputs in ``outputs``."""
    s, backward = script.s, script.backward
    if script.row.name.endswith(MARK):
        return _twice_differentiated(script)
    if script.of_value:
        return [f"§outputs = {_forward(script)}", *_flat(script, "§outputs")]
    if backward is None and s.call is None:
        text, given = _without_head(s.derivation.source()), [a.name for a in s.derivation.adjoint.arguments]
        return [f"§gradients = {_generated(script, text, 'forward_and_gradients', given)}[1]"]
    if isinstance(backward, (str, Program)):
        written = parse_backward(s, backward)
        program = replace(closed(s, written), outputs=tuple(d.name for d in written.definitions))
        named = ", ".join(f"{o!r}" for o in program.outputs)
        value = _generated(script, _without_head(source(program)), "forward", list(program.inputs))
        return [
            f"§gradients = dict(zip([{named}], [{value}]))"
            if len(program.outputs) == 1
            else f"§gradients = dict(zip([{named}], {value}))"
        ]
    if backward is not None:
        called = script.apart(script.file.expression(backward))
        ups = list(script.evidence.upstream)
        given = [*script.evidence.tensors, *s.passed, *(ups if len(ups) > 1 else ())]
        arguments = [f"{n}={n}" for n in _accepted(backward, given, s.held)]
        if _accepted(backward, ["grad_output"]):
            arguments.insert(0, f"grad_output={ups[0] if len(ups) == 1 else tupled(ups)}")
        return [f"§gradients = {called}({', '.join(arguments)})"]
    return _own(script)


def _generated(script: Script, text: str, name: str, given: list[str]) -> str:
    """A call of code that derivcheck generates for a Program."""
    script.file.parts.append(text)
    called = script.apart(name)
    return f"{called}({', '.join(f'{n}={n}' for n in given if n in script.data)})"


def _own(script: Script) -> list[str]:
    """The forward's own backward."""
    s, ups = script.s, list(script.evidence.upstream)
    leaves = [n for n in s.wrt if n in script.data]
    lines = [f"{n}.requires_grad_()" for n in leaves]
    lines += [f"§outputs = {_forward(script)}", *_flat(script, "§outputs")]
    if s.function is not None and script.row.verdict in ("shape", "dtype"):  # before the engine sums and casts it
        order = [n for n in s.order if n in s.tensors or n in s.passed]
        run = f"§outputs[0].grad_fn.apply({', '.join(ups)})"
        first = [f"{run}  # the first of two runs through one graph"] if s.retained else []
        return [
            *lines,
            *first,
            f"§returned = {run}",
            "§returned = §returned if isinstance(§returned, tuple) else (§returned,)",
            f"§gradients = dict(zip({order!r}, §returned))",
        ]
    used = [(k, n) for k, n in enumerate(ups) if n not in s.unused]
    picked = "§outputs" if len(used) == len(ups) else f"[{', '.join(f'§outputs[{k}]' for k, _ in used)}]"
    given = f"[{', '.join(n for _, n in used)}]"
    run = "torch.autograd.grad([o for o, _ in §pairs], §inputs, [g for _, g in §pairs], allow_unused=True"
    return [
        *lines,
        f"§pairs = [(o, g) for o, g in zip({picked}, {given}) if o.requires_grad]",
        f"§inputs = [{', '.join(leaves)}]",
        *([f"§once = {run}, retain_graph=True)"] if s.retained else []),
        f"§gradients = {run})",
        f"§gradients = dict(zip({leaves!r}, §gradients))",
    ]


def _twice_differentiated(script: Script) -> list[str]:
    """The gradient of an autograd.Function's own gradient."""
    s = script.s
    wrt, ups = list(s.wrt), [n for n in script.evidence.tensors if n not in s.tensors]
    both = [*wrt, *ups]
    return [
        *(f"{n}.requires_grad_()" for n in both),
        f"§outputs = {_forward(script)}",
        *_flat(script, "§outputs"),
        f"§inputs = {listed(wrt)}",
        f"§first = torch.autograd.grad(§outputs, §inputs, {listed(ups)}, create_graph=True, allow_unused=True)",
        f"§second = {listed(list(script.evidence.upstream))}",
        "§pairs = [(f, g) for f, g in zip(§first, §second) if f is not None and f.requires_grad]",
        f"§inputs += {listed(ups)}",
        "§gradients = torch.autograd.grad([f for f, _ in §pairs], §inputs, [g for _, g in §pairs], allow_unused=True)",
        "§gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(§inputs, §gradients)]",
        f"§gradients = dict(zip({both!r}, §gradients))",
    ]


def _forward(script: Script) -> str:
    """The expression that calls the forward: ``apply`` of a Function, ``functional_call`` of a module, a function by name."""
    s = script.s
    given = [n for n in s.order if n in script.data or n in s.passed]
    if s.function is not None:
        return f"{script.apart(script.file.expression(s.function))}.apply({', '.join(given)})"
    if s.module is not None:
        called = script.apart(script.file.module(s.module))
        state = {n.replace(".", "_"): n for n, _ in (*s.module.named_parameters(), *s.module.named_buffers())}
        held = ", ".join(f"{dotted!r}: {n}" for n, dotted in state.items() if n in script.data and n not in given)
        return f"torch.func.functional_call({called}, {{{held}}}, {tupled(given)})"
    called = script.apart(script.file.expression(s.forward))
    names = [*(n for n in script.evidence.tensors if n not in s.held), *s.passed]
    return f"{called}({', '.join(f'{n}={n}' for n in names)})"


def _flat(script: Script, name: str) -> list[str]:
    """The floating-point tensors of an output, in order."""
    called = script.apart(script.file.helper(floating))
    return [f"{name} = {called}({name})"]


def floating(out: Any) -> list[torch.Tensor]:
    """The floating-point tensors of an output, in order."""
    if isinstance(out, torch.Tensor):
        return [out] if out.is_floating_point() else []
    parts = out.values() if isinstance(out, dict) else out if isinstance(out, (tuple, list)) else ()
    return [t for part in parts for t in floating(part)]


def _without_head(text: str) -> str:
    """A generated file without its docstring and its import of torch."""
    code = text.split('"""', 2)[2] if text.startswith('"""') else text
    return "\n" + "\n".join(line for line in code.strip().split("\n") if line != "import torch").strip() + "\n\n"


def _accepted(backward: Any, names: list[str], held: frozenset[str] = frozenset()) -> list[str]:
    """The names that a backward is called with; what the forward holds itself only where it has a parameter of that name."""
    try:
        parameters = inspect.signature(backward).parameters.values()
    except (TypeError, ValueError):
        return names
    loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return [n for n in names if loose and n not in held or n in {p.name for p in parameters}]
