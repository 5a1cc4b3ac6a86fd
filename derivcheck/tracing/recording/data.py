"""What a recording holds: the operators that one run of the code called, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from derivcheck.display import file_name
from derivcheck.tracing.watching.log import Log


@dataclass(frozen=True)
class CallSite:
    """A place in the user's code: which file and line, in which call of which function.

    ``span`` is the expression at hand: first and last line, first and last column, where Python knows it.
    """

    file: str
    line: int
    function: str
    call: int
    instruction: int
    span: tuple[int | None, int | None, int | None, int | None] | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """``file.py:line``."""
        return f"{file_name(self.file)}:{self.line}"


@dataclass(frozen=True)
class Tensor:
    """A tensor in a recording, by its number."""

    number: int


@dataclass(frozen=True)
class Meta:
    """What is known of a tensor without its data."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def kind(self) -> str:
        """``float``, ``int``, ``bool`` or ``complex``."""
        if self.dtype.is_floating_point:
            return "float"
        if self.dtype.is_complex:
            return "complex"
        return "bool" if self.dtype is torch.bool else "int"


@dataclass
class Call:
    """One operator call: arguments with tensors by number, what came out, where in the user's code.

    ``given`` holds the numbers that the code itself passed, in order, those made of sizes among them.
    """

    func: Any
    args: Any
    kwargs: dict[str, Any]
    out: Any
    stop: bool
    frames: tuple[CallSite, ...]
    given: tuple[Any, ...] = ()

    @property
    def operator(self) -> str:
        """``aten.linear.default``."""
        return operator_name(self.func)

    @property
    def place(self) -> str | None:
        """``file.py:line`` of the innermost user frame."""
        return self.frames[0].place if self.frames else None


@dataclass
class Recording:
    """The operators that one run of the code called.

    Attributes:
        metas: shape and dtype of each tensor, by number.
        inputs: tensor number of each input, by name.
        constants: real tensors that the code holds, by number.
        output: the returned structure, with tensors by number.
        functions: the custom ``autograd.Function`` classes that were met, with their places.
        torch_calls: the torch functions that the code itself called, in order.
        assumptions: what the code's own checks of its data were taken to find.
        unseen: places where the code changes a tensor in place under ``no_grad``.
        reads: the sizes that the code read, by where it did.
        asks_for_types: whether code that read them may mind that they are no plain ``int``.
        chosen_by: what the code read of a tensor's type or device and may have chosen by, with the value and the line.
        log: what the code did with them.
        written: numbers of inputs whose values the code changes in place, with the value that they end with.
    """

    calls: list[Call] = field(default_factory=list)
    metas: list[Meta] = field(default_factory=list)
    inputs: dict[str, int] = field(default_factory=dict)
    constants: dict[int, torch.Tensor] = field(default_factory=dict)
    output: Any = None
    functions: dict[str, str | None] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    torch_calls: list[str] = field(default_factory=list)
    assumptions: dict[str, None] = field(default_factory=dict)
    unseen: dict[str, None] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    asks_for_types: bool = False
    chosen_by: dict[tuple[str, str], str] = field(default_factory=dict)
    log: Log = field(default_factory=Log)

    def same(self, other: Recording) -> bool:
        """Whether the same operators were called with the same arguments, and gave the same structure."""
        mine, theirs = ([(c.func, c.stop, repr(c.args), repr(c.kwargs)) for c in r.calls] for r in (self, other))
        return mine == theirs and repr(self.output) == repr(other.output) and list(self.constants) == list(other.constants)


def operator_name(func: Any) -> str:
    """``aten.linear.default`` of an overload."""
    return str(func)


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in an argument or a result, in order."""
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [t for v in inner for t in tensors_in(v)]
