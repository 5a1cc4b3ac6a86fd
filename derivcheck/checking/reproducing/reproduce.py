"""A short file that shows a failure with torch alone, to attach to a bug report."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import replace
from typing import Any

import torch

from derivcheck.checking.backward.found import as_it_is, intermediates, parse_backward, runner
from derivcheck.checking.report.row import Row
from derivcheck.checking.reproducing.carry import Carrier
from derivcheck.checking.reproducing.snippets import statements_for
from derivcheck.checking.reproducing.spelling import EMBEDDED, number
from derivcheck.checking.second import MARK
from derivcheck.checking.subject import wide
from derivcheck.checking.subject.elsewhere import small
from derivcheck.checking.subject.subject import Subject
from derivcheck.checking.verdict.derived import Sample, derived
from derivcheck.checking.verdict.judge import judge
from derivcheck.codegen.file.source import source
from derivcheck.errors import DerivcheckError, InputError
from derivcheck.notation.program.program import Program

RESERVED = ("show", "forward", "forward_and_gradients", "floating")


def reproduction(s: Subject, backward: Any, row: Row, seed: int) -> str:
    """The text of the file for one faulty row.

    Raises:
        InputError: code that cannot be copied, nor imported from a file; a finding that torch alone cannot show.
    """
    if s.nested.structure:
        which = next(iter(s.nested.structure))
        raise InputError(f"no reproducer can be written: {which} holds tensors inside; give each as an input of its own")
    if inner := sorted(intermediates(s, backward)):
        raise InputError(f"no reproducer can be written: the backward takes {inner[0]}, which the forward computes on its way")
    sample, row = _small(s, backward, row)
    return _Reproduction(sample.subject or s, backward, row, sample, seed).text()


class _Reproduction:
    """One file in the making: the code under test, then a function that runs it on the data and asserts."""

    def __init__(self, s: Subject, backward: Any, row: Row, sample: Sample, seed: int) -> None:
        self.s, self.backward, self.row, self.sample, self.seed = s, backward, row, sample, seed
        self.data = {**sample.tensors, **sample.upstream}
        self.local = {*self.data, *s.passed}
        self.file = Carrier((*RESERVED, *statements_for(wide, "Widening")))

    def text(self) -> str:
        """The whole file."""
        if self.row.name not in {*self.s.wrt, *self.sample.found} and not self._of_value() and self.row.verdict == "shape":
            raise InputError(f"no reproducer can be written: torch alone does not show {self.row.sentence()}")
        data = self._data()
        call = self._call()
        finding = self._finding(call)
        body = "\n".join([*data, *finding])
        for name in sorted(set(re.findall(r"§(\w+)", body))):  # variables of this function: no input is called so
            body = re.sub(rf"§{name}\b", self._new(name), body)
        where = f", shown by {self.row.where}" if self.row.where else ""
        title = f"{self.s.name}: {self.row.sentence()}{where}.".replace("\\", "\\\\").replace('"', "'")
        shown = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
        code = self.file.text()
        return (
            f'"""{title}"""\n\nfrom __future__ import annotations\n\n{code}\n\n\n'
            f'def show():\n{shown}\n\n\nif __name__ == "__main__":\n    show()\n'
        )

    # -- data --------------------------------------------------------------------------------
    def _data(self) -> list[str]:
        lines = [f"torch.manual_seed({self.seed})"]
        if self._double():
            lines.append("torch.set_default_dtype(torch.float64)")
        seen: dict[int, str] = {}
        for name, t in self.data.items():
            lines.append(f"{name} = {seen[id(t)] if id(t) in seen else self.file.expression(t)}")
            seen.setdefault(id(t), name)
        lines += [f"{name} = {self._apart(self.file.expression(value))}" for name, value in self.s.passed.items()]
        return lines

    def _double(self) -> bool:
        return self.row.verdict != "dtype" and any(t.dtype is torch.float64 for t in self.data.values())

    def _apart(self, expression: str) -> str:
        """An expression whose names no local variable hides."""
        root = expression.split(".")[0].split("(")[0].strip()
        if root.isidentifier() and root in self.local:
            name = next(n for n in (f"{root}_{k}" for k in range(2, 99)) if n not in self.local and n not in self.file.bound)
            self.file.bound[name] = None
            self.file.parts.append(f"{name} = {root}")
            return name + expression[len(root) :]
        return expression

    def _new(self, name: str) -> str:
        """A local variable that nothing else is called."""
        while name in self.local:
            name += "_"
        self.local.add(name)
        return name

    # -- what is run ---------------------------------------------------------------------------
    def _call(self) -> list[str]:
        """Lines that leave the gradients in a variable ``gradients``, or the outputs in ``outputs``."""
        s, backward = self.s, self.backward
        if self.row.name.endswith(MARK):
            return self._twice_differentiated()
        if self._of_value():
            return [f"§outputs = {self._forward()}", *self._flat("§outputs")]
        if backward is None and s.call is None:
            text, given = _without_head(s.derivation.source()), [a.name for a in s.derivation.adjoint.arguments]
            return [f"§gradients = {self._generated(text, 'forward_and_gradients', given)}[1]"]
        if isinstance(backward, (str, Program)):
            program = _whole(s, backward)
            named = ", ".join(f"{o!r}" for o in program.outputs)
            value = self._generated(_without_head(source(program)), "forward", list(program.inputs))
            return [
                f"§gradients = dict(zip([{named}], [{value}]))"
                if len(program.outputs) == 1
                else f"§gradients = dict(zip([{named}], {value}))"
            ]
        if backward is not None:
            called = self._apart(self.file.expression(backward))
            ups = list(self.sample.upstream)
            given = [*self.sample.tensors, *s.passed, *(ups if len(ups) > 1 else ())]
            arguments = [f"{n}={n}" for n in _accepted(backward, given, s.held)]
            if _accepted(backward, ["grad_output"]):
                arguments.insert(0, f"grad_output={ups[0] if len(ups) == 1 else self._tuple(ups)}")
            return [f"§gradients = {called}({', '.join(arguments)})"]
        return self._own()

    def _generated(self, text: str, name: str, given: list[str]) -> str:
        """A call of code that derivcheck generates for a Program."""
        self.file.parts.append(text)
        called = self._apart(name)
        return f"{called}({', '.join(f'{n}={n}' for n in given if n in self.data)})"

    def _own(self) -> list[str]:
        """The forward's own backward."""
        s, ups = self.s, list(self.sample.upstream)
        leaves = [n for n in s.wrt if n in self.data]
        lines = [f"{n}.requires_grad_()" for n in leaves]
        lines += [f"§outputs = {self._forward()}", *self._flat("§outputs")]
        if s.function is not None and self.row.verdict in ("shape", "dtype"):  # before the engine sums and casts it
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

    def _twice_differentiated(self) -> list[str]:
        """The gradient of an autograd.Function's own gradient."""
        s = self.s
        wrt, ups = list(s.wrt), [n for n in self.sample.tensors if n not in s.tensors]
        both = [*wrt, *ups]
        return [
            *(f"{n}.requires_grad_()" for n in both),
            f"§outputs = {self._forward()}",
            *self._flat("§outputs"),
            f"§inputs = {self._list(wrt)}",
            f"§first = torch.autograd.grad(§outputs, §inputs, {self._list(ups)}, create_graph=True, allow_unused=True)",
            f"§second = {self._list(list(self.sample.upstream))}",
            "§pairs = [(f, g) for f, g in zip(§first, §second) if f is not None and f.requires_grad]",
            f"§inputs += {self._list(ups)}",
            "§gradients = torch.autograd.grad([f for f, _ in §pairs], §inputs, [g for _, g in §pairs], allow_unused=True)",
            "§gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(§inputs, §gradients)]",
            f"§gradients = dict(zip({both!r}, §gradients))",
        ]

    def _forward(self) -> str:
        s = self.s
        given = [n for n in s.order if n in self.data or n in s.passed]
        if s.function is not None:
            return f"{self._apart(self.file.expression(s.function))}.apply({', '.join(given)})"
        if s.module is not None:
            called = self._apart(self.file.module(s.module))
            state = {n.replace(".", "_"): n for n, _ in (*s.module.named_parameters(), *s.module.named_buffers())}
            held = ", ".join(f"{dotted!r}: {n}" for n, dotted in state.items() if n in self.data and n not in given)
            return f"torch.func.functional_call({called}, {{{held}}}, {self._tuple(given)})"
        called = self._apart(self.file.expression(s.forward))
        names = [*(n for n in self.sample.tensors if n not in s.held), *s.passed]
        return f"{called}({', '.join(f'{n}={n}' for n in names)})"

    def _flat(self, name: str) -> list[str]:
        """The floating-point tensors of an output, in order."""
        called = self._apart(self.file.helper(floating))
        return [f"{name} = {called}({name})"]

    def _list(self, names: list[str]) -> str:
        return f"[{', '.join(names)}]"

    def _tuple(self, names: list[str]) -> str:
        return f"({', '.join(names)}{',' * (len(names) == 1)})"

    def _of_value(self) -> bool:
        return self.row.name == "value" or self.row.name.startswith("value ")

    # -- what is asserted ------------------------------------------------------------------------
    def _finding(self, call: list[str]) -> list[str]:
        row = self.row
        run = self._situated(call)
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
            before, version = self._new(f"{n}_before"), self._new("version")
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
        key = self._key()
        place = f'§gradients.get("{key}")' if not self._of_value() else f"§outputs[{self._output()}]"
        found = self._new("found")
        return [*run, f"{found} = {place}", *self._asserted(found)]

    def _situated(self, call: list[str]) -> list[str]:
        """The call as the situation has it: with another run before it, without a graph, casts taken as float64."""
        sample, lines = self.sample, list(call)
        if self._double() and self.s.widened and self.backward is not None:
            self.file.imports["from torch.overrides import TorchFunctionMode"] = None
            self.file.parts.extend(statements_for(wide, "Widening").values())
            lines = ["with Widening():", *(f"    {line}" for line in "\n".join(lines).split("\n"))]
        if sample.leaves:
            leaves = [n for n in self.s.wrt if n in sample.tensors]
            lines = [
                *(f"{n}.requires_grad_()" for n in leaves),
                "with torch.no_grad():",
                *(f"    {line}" for line in "\n".join(lines).split("\n")),
            ]
        if sample.before is not None:
            before = {n: t for given in sample.before for n, t in given.items() if n in self.data and _own_memory(self.data[n])}
            right = self._new("right")
            lines = [
                f"{right} = [t.clone() for t in {self._tuple(list(before))}]",
                *(f"{n}.copy_({self.file.expression(t)})" for n, t in before.items()),
                *lines,
                f"for §t, §r in zip({self._tuple(list(before))}, {right}):  # the same memory, with the right numbers",
                "    §t.detach().copy_(§r)",
                *lines,
            ]
        return lines

    def _key(self) -> str:
        """The name under which the backward returned it: an input's gradient may be called in several ways."""
        name, sample = self.row.name.removesuffix(MARK), self.sample
        if self.backward is None or name in self.s.derivation.adjoint.names and name not in self.s.wrt:
            return name
        returned = as_it_is(self.s, self.backward, sample.tensors, sample.upstream)
        also = (n for n in returned if self.s.derivation.gradient_named(n) == self.row.bar)
        return name if name in returned else next(also, name)

    def _output(self) -> int:
        program = self.s.derivation.program
        floats = [o for o in program.outputs if program.kind(o) == "float"]
        return floats.index(self.row.name.removeprefix("value ")) if self.row.name != "value" else 0

    def _asserted(self, found: str) -> list[str]:
        row = self.row
        shown = f'print(f"found {{None if {found} is None else (tuple({found}.shape), {found}.dtype)}}, expected a gradient")'
        if row.verdict in ("missing", "shape", "dtype"):
            if row.verdict == "missing":
                return [shown, f"assert {found} is not None, {row.note!r}"]
            if row.verdict == "dtype":
                wanted = self.sample.tensors[row.name].dtype if row.name in self.sample.tensors else self.sample.right.dtype
                return [
                    f"print(f\"found {{getattr({found}, 'dtype', type({found}).__name__)}}, expected {wanted}\")",
                    f"assert getattr({found}, 'dtype', None) is {wanted}, {row.note!r}",
                ]
            shape = tuple(self.sample.right.value(row.bar).shape)
            return [
                f'print(f"found {{tuple({found}.shape)}}, expected {shape}")',
                f"assert tuple({found}.shape) == {shape}, {row.note!r}",
            ]
        if row.worst_index is None or row.expected is None or row.found is None:
            row = self._at_the_largest()
        assert row.worst_index is not None and row.expected is not None
        value, expected = self._new("value"), self._new("expected")
        if _within(row):
            return self._as_a_whole(found, value, expected)
        at = list(row.worst_index)
        what = "the output" if self._of_value() else "the derivative of Σ grad_output · output"
        element = f"{found}.reshape({(1,) * len(at)})" if "was taken as" in row.note else found
        return [
            f"{expected} = {number(row.expected)}  # {what} in {row.name}{at}",
            f"{value} = {element}[{', '.join(map(str, at))}].item()" if at else f"{value} = {element}.item()",
            f'print(f"found {{{value}:.17g}}, expected {{{expected}:.17g}}")',
            f"assert abs({value} - {expected}) <= {number(max(row.tolerance, 5e-324))}",
        ]

    def _at_the_largest(self) -> Row:
        """The row with a place, where it has none: what is missing is most missed where the gradient is largest."""
        right, bar = self.sample.right, self.row.bar
        value, tolerance = right.value(bar), right.tolerance(bar)
        at = tuple(int(k) for k in torch.unravel_index(value.abs().argmax(), value.shape))
        return replace(self.row, worst_index=at, found=0.0, expected=float(value[at]), tolerance=float(tolerance[at]))

    def _as_a_whole(self, found: str, value: str, expected: str) -> list[str]:
        """Half precision: no element is beyond its own bound, the error as a whole is."""
        right, bar = self.sample.right, self.row.bar
        limit = right.typical.limit(bar, right.value(bar), right.tolerance(bar)) if right.typical is not None else None
        if limit is None:
            raise InputError(f"no reproducer can be written: torch alone does not show {self.row.sentence()}")
        return [
            f"{expected} = {self.file.expression(right.value(bar))}",
            f"{value} = torch.linalg.vector_norm({found}.double() - {expected}).item()",
            f'print(f"found an error of {{{value}:.3g}}, expected at most {limit:.3g}")',
            f"assert {value} <= {number(limit)}",
        ]


def floating(out: Any) -> list[torch.Tensor]:
    """The floating-point tensors of an output, in order."""
    if isinstance(out, torch.Tensor):
        return [out] if out.is_floating_point() else []
    parts = out.values() if isinstance(out, dict) else out if isinstance(out, (tuple, list)) else ()
    return [t for part in parts for t in floating(part)]


def _within(row: Row) -> bool:
    """Whether the worst element is within its bound, so that it shows nothing."""
    assert row.found is not None and row.expected is not None
    return math.isfinite(row.found) and abs(row.found - row.expected) <= row.tolerance


def _own_memory(t: torch.Tensor) -> bool:
    return not any(k == 0 and n > 1 for k, n in zip(t.stride(), t.shape))


def _whole(s: Subject, backward: str | Program) -> Program:
    """A backward in index notation, with the forward's definitions that it reads."""
    program = backward if isinstance(backward, Program) else parse_backward(s, backward)
    forward, adjoint = s.derivation.program, s.derivation.adjoint
    inner = {a.name for a in program.arguments} & {d.name for d in forward.definitions}
    outputs = tuple(d.name for d in program.definitions)
    if not inner:
        return replace(program, outputs=outputs)
    before = forward.needed(inner).definitions
    return Program(adjoint.arguments, (*before, *program.definitions), outputs)


def _without_head(text: str) -> str:
    """A generated file without its docstring and its import of torch."""
    code = text.split('"""', 2)[2] if text.startswith('"""') else text
    return "\n" + "\n".join(line for line in code.strip().split("\n") if line != "import torch").strip() + "\n\n"


def _small(s: Subject, backward: Any, row: Row) -> tuple[Sample, Row]:
    """The failure at small sizes, where the data that showed it is too large to read and the backward fails there too."""
    sample: Sample = row.sample
    if sum(t.numel() for t in sample.tensors.values()) <= EMBEDDED or sample.situated:
        return sample, row
    try:
        found = small(s, sample.upstream, sample.right.sizes, torch.Generator().manual_seed(0))
        if found is not None:
            right = derived(s, *found, sample.right.dtype)
            rows, gave = judge(s, runner(s, backward), *found, right)
            for r in rows:
                if r.name == row.name and r.faulty:
                    return Sample(*found, right, gave.gradients), r
    except (DerivcheckError, RuntimeError, ValueError, IndexError, TypeError):
        pass
    return sample, row


def _accepted(backward: Any, names: list[str], held: frozenset[str] = frozenset()) -> list[str]:
    """The names that a backward is called with; what the forward holds itself only where it has a parameter of that name."""
    try:
        parameters = inspect.signature(backward).parameters.values()
    except (TypeError, ValueError):
        return names
    loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return [n for n in names if loose and n not in held or n in {p.name for p in parameters}]
