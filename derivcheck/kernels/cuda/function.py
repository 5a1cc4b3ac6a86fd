"""A ``__device__`` function as a function of named tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from derivcheck.errors import InputError
from derivcheck.kernels.cuda.interpreter.scopes import declared_name
from derivcheck.kernels.cuda.reading import FunctionRead, Reading, Shapes
from derivcheck.kernels.cuda.source.syntax import Function, Sources
from derivcheck.kernels.cuda.values.results import stacked
from derivcheck.kernels.cuda.values.values import FLOATS, ReadsBefore
from derivcheck.kernels.lines import OwnLines


class DeviceFunction:
    """A function of CUDA source as a function of named tensors; :func:`derivcheck.cuda` makes it.

    A scalar parameter is a tensor over the threads, with the dimensions ``batch`` (``N`` where nothing else is said); a
    ``vec3`` has a dimension of 3 more, a ``mat3`` two (columns first, as in memory and as ``m[i][j]`` is written), memory
    behind a pointer those that its positions need.  What the function writes through references and pointers is a result,
    beside what it returns.

    Attributes:
        name, file: what was read.
        fixed: the values of parameters, and of what the template leaves open, that were given.
        batch: the names of the dimensions of the threads.
    """

    def __init__(self, sources: Sources, function: Function, fixed: Mapping[str, Any], batch: str) -> None:
        """``fixed`` are parameters with a value of their own, which are then no inputs; ``batch`` names the leading
        dimensions."""
        self.sources, self.function, self.batch = sources, function, tuple(batch.split())
        self.name, self.file, self.fixed = function.name, function.file, dict(fixed)
        self.__name__ = function.name.rpartition("::")[2]
        self.__doc__ = f"{function.name} of {function.file}, line {function.line}."
        self._shapes: Shapes | None = None
        self._assumed = False  # the shapes are those of the source before an edit
        self.subject = FunctionRead(sources, function, self.fixed, self.batch)
        known = {declared_name(p.child_by_field_name("declarator")) for p in function.parameters}
        known |= {n for n, _, _ in function.template}
        for n in fixed:
            if n not in known:
                raise InputError(f"{self.name} has no parameter {n!r}; it has {', '.join(sorted(known))}")

    def given(self, **fixed: Any) -> DeviceFunction:
        """The same function with more of its parameters given."""
        return DeviceFunction(self.sources, self.function, {**self.fixed, **fixed}, " ".join(self.batch))

    @contextmanager
    def reading(self, old: Function, new: Function) -> Iterator[None]:
        """While this lasts, the function, or one that it calls, is another; what it reads and writes is taken to be the same
        until it fails."""
        table, key = self.sources.functions, old.name
        before = table[key], self.function, self.subject, self._shapes, self._assumed
        table[key] = [new if f is old else f for f in table[key]]
        if self.function is old:
            self.function = new
            self.subject = FunctionRead(self.sources, new, self.fixed, self.batch)
        self._shapes = self._of_edited(self._shapes)
        self._assumed = self._shapes is not None
        try:
            yield
        finally:
            table[key], self.function, self.subject, self._shapes, self._assumed = before

    def _of_edited(self, shapes: Shapes | None) -> Shapes | None:
        """The shapes of an edited source, as far as those of the source before tell them: most edits leave them as they are."""
        return shapes

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the parameters that can be given a value."""
        return frozenset(declared_name(p.child_by_field_name("declarator")) for p in self.function.parameters)

    @property
    def shapes(self) -> Shapes:
        """What the function reads and writes."""
        if self._shapes is None:
            self._shapes = self._probed()
        return self._shapes

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the tensors that it takes."""
        return tuple(self.shapes.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its results, in order: what it returns is ``result``."""
        return tuple(self.shapes.outputs)

    @property
    def wrt(self) -> tuple[str, ...]:
        """The inputs that are floating-point numbers."""
        return self.shapes.floating

    @property
    def dims(self) -> dict[str, str]:
        """The dimensions of its inputs, as :func:`derivcheck.derive` takes them."""
        return {n: " ".join((*self.batch, *map(str, s))) for n, s in self.shapes.inputs.items()}

    def line(self, output: str, at: tuple[int, ...] = ()) -> str | None:
        """The lines that write an element of an output, last one last: ``proj.cu:57``."""
        shape = self.shapes.outputs.get(output, ())
        found = [line for path, line in self.shapes.writers.get(output, ()) if _meets(path, at, len(shape))]
        return ", ".join(dict.fromkeys(found)) or None

    @property
    def own_lines(self) -> OwnLines:
        """Where it stands: what a forward says is right, whatever is wrong in a backward."""
        node = self.function.node
        return OwnLines(self.function.file, self.function.name, self.function.line, int(node.end_point[0]) + 1)

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature([inspect.Parameter(n, kind) for n in self.inputs])

    @property
    def variables(self) -> frozenset[str]:
        """The variables that the body declares, outside of inner blocks."""
        body = self.function.node.child_by_field_name("body")
        found = [n for n in body.named_children if n.type == "declaration"] if body is not None else []
        return frozenset(declared_name(d) for n in found for d in n.children_by_field_name("declarator"))

    def __repr__(self) -> str:
        return f"<{self.name} of {self.file}:{self.function.line}>"

    # -- running ---------------------------------------------------------------------------

    def __call__(self, **inputs: Any) -> Any:
        """The results: a tensor, or a tuple of them in the order of ``outputs``."""
        found = tuple(self.results(**inputs).values())
        return found[0] if len(found) == 1 else found

    def results(self, **inputs: Any) -> dict[str, torch.Tensor]:
        """The results by name."""
        return self.saved((), **inputs)[0]

    def saved(self, names: Iterable[str], **inputs: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The results, and the variables of the body by name, as they are at its end."""
        try:
            return self._saved(names, inputs)
        except Exception:
            if not self._assumed:
                raise
            self._shapes, self._assumed = None, False
            return self._saved(names, inputs)

    def _saved(
        self, names: Iterable[str], inputs: Mapping[str, Any]
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The same, with the shapes that are known."""
        missing = [n for n in self.shapes.inputs if n not in inputs]
        if missing:
            raise InputError(f"{self.name} needs {', '.join(map(repr, missing))}")
        unknown = [n for n in inputs if n not in self.shapes.inputs]
        if unknown:
            raise InputError(f"{self.name} takes no {unknown[0]!r}; it takes {', '.join(self.inputs)}")
        run = Reading(self.subject, inputs, self.shapes)
        like = run.like()
        FLOATS.append(like.dtype)
        try:
            value = run.run()
            results = {n: stacked(v, s, like) for n, v, s in run.outputs(value)}
            local = {n: stacked(v, s, like) for n, v, s in run.locals(names)}
        finally:
            FLOATS.pop()
        return results, local

    def _probed(self) -> Shapes:
        """Read the body once with a number for each element: what is read before it is written is an input, too."""
        also: dict[str, None] = {}
        while True:
            run = Reading(self.subject, None, None, tuple(also))
            try:
                value = run.run()
            except ReadsBefore as e:
                also[e.name] = None
                continue
            return run.found(value)


def _meets(path: tuple[int, ...], at: tuple[int, ...], rank: int) -> bool:
    """Whether a write to a part of a result reaches an element of it; memory behind a pointer has a position more."""
    own = path[len(path) - rank :] if len(path) > rank else path
    return all(a == b for a, b in zip(own, at))
