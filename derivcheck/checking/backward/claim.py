"""The backward under test as a Program of its own: its arithmetic says how much it may round."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from derivcheck.checking.backward.found import Run, parse_backward
from derivcheck.checking.subject.subject import Subject, Tensors, Upstream
from derivcheck.checking.subject.wide import computing_in
from derivcheck.errors import DerivcheckError
from derivcheck.notation.program.program import Program
from derivcheck.notation.values.measure import sizes_of
from derivcheck.tracing.dispatched import traced_with_gradients
from derivcheck.tracing.trace import trace


@dataclass(frozen=True)
class ClaimedProgram:
    """A backward as a Program.

    Attributes:
        outputs: the definition that is each input's gradient.
        held: the tensors that the code holds itself, which are inputs of the Program.
    """

    program: Program
    outputs: Mapping[str, str]
    held: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def given(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
        """The inputs of the Program; None where it is not the backward at these sizes."""
        every = {**tensors, **self.held}
        try:
            given = {a.name: every[a.name] for a in self.program.arguments}
            sizes = sizes_of(self.program, given)
            return given if self.program.admits(sizes) else None
        except (DerivcheckError, KeyError):
            return None


class Claims:
    """The backward's Program, looked for when it is first asked for."""

    def __init__(self, s: Subject, backward: Any) -> None:
        self.s, self.backward = s, backward
        self._everywhere: list[ClaimedProgram | None] = []
        self._here: dict[tuple[Any, ...], ClaimedProgram | None] = {}  # by what is asked and the shapes

    def at(self, s: Subject, run: Run, tensors: Tensors, upstream: Upstream) -> ClaimedProgram | None:
        """The backward as a Program that is it at these tensors' sizes; None where it cannot be traced.

        Args:
            s: the subject as it is run.
            run: the backward as it is run, its upstream gradients apart.
        """
        every = {**tensors, **upstream}
        if self.backward is not None:
            if not self._everywhere:
                self._everywhere.append(_traced(lambda: self._written(run, tensors, upstream)))
            found = self._everywhere[0]
            if found is not None and found.given(every) is not None:
                return found
        if isinstance(self.backward, (str, Program)):
            return None
        key = (s.wrt, *((n, tuple(t.shape)) for n, t in every.items()))
        if key not in self._here:
            self._here[key] = _traced(lambda: _engine(run, tensors, upstream, s.wrt))
        return self._here[key]

    def _written(self, run: Run, tensors: Tensors, upstream: Upstream) -> ClaimedProgram:
        """The Program of a backward: index text is one, torch code is traced as a function of its tensors and grad_output."""
        s, backward = self.s, self.backward
        if isinstance(backward, (str, Program)):
            program = closed(s, parse_backward(s, backward))
            own = s.derivation
            inputs = dict(zip(own.adjoint.outputs, own.wrt))
            return ClaimedProgram(program, {inputs.get(own.gradient_named(o) or o, o): o for o in program.outputs})
        gradients, returned = _flat(inspect.unwrap(run), tensors, upstream, s.wrt)
        every: dict[str, Any] = {**tensors, **upstream}

        def named(**given: Any) -> tuple[Any, ...]:
            return tuple(gradients(given))

        named.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in every]
        )
        with computing_in(_type(every)):
            d = trace(named, every)
        return ClaimedProgram(d.program, dict(zip(returned, d.program.outputs)), d.values)


def closed(s: Subject, program: Program) -> Program:
    """A backward in index notation with the forward's definitions that it reads."""
    forward = s.derivation.program
    inner = {a.name for a in program.arguments} & {d.name for d in forward.definitions}
    if not inner:
        return program
    before = forward.needed(inner)
    arguments = {a.name: a for a in (*before.arguments, *program.arguments) if a.name not in inner}
    return replace(program, arguments=tuple(arguments.values()), definitions=(*before.definitions, *program.definitions))


def _type(tensors: Mapping[str, torch.Tensor]) -> torch.dtype:
    """float64 where some tensor is, as ``widened`` has it; any other type is left as it is."""
    return torch.float64 if any(t.dtype is torch.float64 for t in tensors.values()) else torch.float32


def _flat(
    run: Run, tensors: Tensors, upstream: Upstream, wrt: tuple[str, ...]
) -> tuple[Callable[[dict[str, Any]], list[Any]], list[str]]:
    """The run as a function of all its tensors, and the names of the gradients that it then returned."""
    returned: list[str] = []

    def gradients(every: dict[str, Any]) -> list[Any]:
        out = run({n: every[n] for n in tensors}, {n: every[n] for n in upstream})
        returned[:] = [n for n in wrt if isinstance(out.get(n), torch.Tensor)]
        return [out[n] for n in returned]

    return gradients, returned


def _engine(run: Run, tensors: Tensors, upstream: Upstream, wrt: tuple[str, ...]) -> ClaimedProgram:
    """The backward as torch's engine runs it, at these shapes."""
    gradients, returned = _flat(run, tensors, upstream, wrt)
    found = traced_with_gradients(gradients, {**tensors, **upstream})
    return ClaimedProgram(found.program, dict(zip(returned, found.program.outputs)), found.values)


def _traced(attempt: Callable[[], ClaimedProgram]) -> ClaimedProgram | None:
    try:
        return attempt()
    except Exception:  # whatever the code does where it is traced: then its rounding is not known
        return None
