"""Values as Python expressions: numbers, tensors, containers, instances of the user's classes."""

from __future__ import annotations

import base64
import collections
import dataclasses
import enum
import functools
import inspect
import math
import textwrap
import types
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

EMBEDDED = 600  # elements that are written out as numbers; of more, the bytes are
WIDE = 80  # characters of numbers beyond which each row has a line of its own
LARGEST = 1 << 20  # elements beyond which a file would not be short any more
AS_THEY_PRINT = (torch.dtype, torch.layout, torch.memory_format, torch.Size)
COLLECTIONS = (collections.deque, collections.defaultdict, collections.OrderedDict, collections.Counter)
HELD = frozenset(torch.nn.Module().__dict__)  # what every module has


class CannotCarry(Exception):
    """Something that cannot be written as text."""


def number(x: float | complex) -> str:
    """A number that reads back as itself.

    >>> number(0.1), number(-math.inf), number(1j)
    ('0.1', "float('-inf')", 'complex(0.0, 1.0)')
    """
    if isinstance(x, complex):
        return f"complex({number(x.real)}, {number(x.imag)})"
    return repr(x) if math.isfinite(x) else f"float({str(x)!r})"


def stored(text: str, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """The tensor whose bytes are kept in the text.

    >>> stored("eNpjYGiwZ2BgcAAABIMBAA==", torch.float32, 2)
    tensor([1., 2.])
    """
    return torch.frombuffer(bytearray(zlib.decompress(base64.b64decode(text))), dtype=dtype).reshape(shape)


def restored(kind: Any, values: dict[str, Any]) -> Any:
    """An instance with these attributes, made without its __init__."""
    made = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def restored_module(kind: Any, training: bool, values: Any, parameters: Any, buffers: Any, children: Any) -> Any:
    """A module with these attributes, made without its own __init__."""
    module = object.__new__(kind)
    torch.nn.Module.__init__(module)
    module.__dict__.update(values, training=training)
    for name, parameter in parameters.items():
        module.register_parameter(name, parameter)
    for name, buffer in buffers.items():
        module.register_buffer(name, buffer)
    for name, child in children.items():
        module.add_module(name, child)
    return module


class ReproducerFile(Protocol):
    """The file that the expressions stand in (a :class:`~derivcheck.checking.reproducing.carry.Carrier`)."""

    names: dict[int, str]

    def of(self, value: Any) -> str:
        """The expression of any value."""

    def need(self, module: str) -> str:
        """Import a module."""

    def helper(self, function: Callable[..., Any]) -> str:
        """Copy one of the functions above."""

    def define(self, name: str, value: Any, text: str) -> None:
        """Give a value a name at the top of the file."""


class Literals:
    """Values as expressions."""

    def __init__(self, carrier: ReproducerFile) -> None:
        self.carrier = carrier
        self.open: set[int] = set()

    def of(self, value: Any) -> str | None:
        """The expression; None for what is a function, a class or an instance of one."""
        if value is None or value is Ellipsis or value is NotImplemented or type(value) in (bool, int, str, bytes):
            return repr(value)
        if type(value) in (float, complex):
            return number(value)
        if isinstance(value, enum.Enum):
            kind = self.carrier.of(type(value))
            known = value.name in type(value).__members__
            return f"{kind}[{value.name!r}]" if known else f"{kind}({self.carrier.of(value.value)})"
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, AS_THEY_PRINT):
            return repr(value)
        if isinstance(value, torch.device):
            return f"torch.{value!r}"
        if isinstance(value, torch._ops.OpOverload):
            return f"torch.ops.{value}"
        if isinstance(value, torch._ops.OpOverloadPacket):
            return f"torch.ops.{value._qualified_op_name.replace('::', '.')}"
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf":
            self.carrier.need("numpy")
            array = np.asarray(value)
            text = f"numpy.array({self.of(array.tolist())}, dtype={str(array.dtype)!r})"
            return text if isinstance(value, np.ndarray) else f"{text}[()]"
        if id(value) in self.open:
            raise CannotCarry(f"a {type(value).__name__} contains itself")
        self.open.add(id(value))
        try:
            return self._container(value)
        finally:
            self.open.discard(id(value))

    def _container(self, value: Any) -> str | None:
        """Python's own containers and partials as expressions; None for anything else."""
        of = self.carrier.of
        if type(value) is list:
            return f"[{', '.join(map(of, value))}]"
        if type(value) is tuple:
            return f"({', '.join(map(of, value))}{',' * (len(value) == 1)})"
        if type(value) is dict:
            return self.mapping(value)
        if type(value) in (set, frozenset):
            return f"{type(value).__name__}([{', '.join(sorted(map(of, value)))}])"
        if type(value) in (slice, range):
            parts = (value.start, value.stop, value.step)
            return f"{type(value).__name__}({', '.join(map(of, parts))})"
        if type(value) in COLLECTIONS:
            self.carrier.need("collections")
            inside = self.mapping(value) if isinstance(value, dict) else of(list(value))
            more = f"{of(value.default_factory)}, " if isinstance(value, collections.defaultdict) else ""
            last = f", maxlen={value.maxlen}" if isinstance(value, collections.deque) else ""
            return f"collections.{type(value).__name__}({more}{inside}{last})"
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return f"{of(type(value))}({', '.join(map(of, value))})"
        if type(value) is functools.partial:
            self.carrier.need("functools")
            keywords = [f"{n}={of(v)}" for n, v in value.keywords.items()]
            return f"functools.partial({', '.join([of(value.func), *map(of, value.args), *keywords])})"
        if type(value) is types.SimpleNamespace:
            self.carrier.need("types")
            return f"types.SimpleNamespace({', '.join(f'{n}={of(v)}' for n, v in vars(value).items())})"
        return None

    def mapping(self, value: Mapping[Any, Any]) -> str:
        """A dict."""
        return "{" + ", ".join(f"{self.carrier.of(k)}: {self.carrier.of(v)}" for k, v in value.items()) + "}"

    def instance(self, value: Any) -> str:
        """An instance of a class, with its attributes."""
        kind = type(value)
        if isinstance(value, torch.nn.Module):
            return self.module(value)
        if kind.__module__ in ("fractions", "decimal", "pathlib", "datetime"):
            self.carrier.need(kind.__module__)
            return f"{kind.__module__}.{value!r}"
        state = _state(value)
        if id(value) in self.open or state is None or kind.__module__ == "builtins":
            raise CannotCarry(f"a {kind.__name__} cannot be written as text")
        if kind.__module__.partition(".")[0] in ("torch", "numpy"):
            raise CannotCarry(f"a {kind.__module__}.{kind.__name__} cannot be written as text")
        self.open.add(id(value))
        try:
            name = self.carrier.of(kind)
            if _plain_dataclass(value):
                given = ", ".join(f"{f.name}={self.carrier.of(getattr(value, f.name))}" for f in dataclasses.fields(value))
                return f"{name}({given})"
            return f"{self.carrier.helper(restored)}({name}, {self.mapping(state)})"
        finally:
            self.open.discard(id(value))

    def module(self, module: torch.nn.Module, hollow: bool = False) -> str:
        """An ``nn.Module``; ``hollow``: its tensors are given when it is called, their shapes are enough."""
        if isinstance(module, torch.jit.ScriptModule):
            raise CannotCarry(f"a scripted module ({type(module).__name__}) has no source")

        def held(tensors: Mapping[str, torch.Tensor | None]) -> str:
            texts = {n: self._hollow(t) if hollow and t is not None else self.carrier.of(t) for n, t in tensors.items()}
            return "{" + ", ".join(f"{n!r}: {text}" for n, text in texts.items()) + "}"

        children = (f"{n!r}: {None if m is None else self.module(m, hollow)}" for n, m in module._modules.items())
        state = {n: v for n, v in vars(module).items() if n not in HELD}
        parts = [
            self.carrier.of(type(module)),
            repr(module.training),
            self.mapping(state),
            held(module._parameters),
            held(module._buffers),
            "{" + ", ".join(children) + "}",
        ]
        return f"{self.carrier.helper(restored_module)}({', '.join(parts)})"

    def _hollow(self, t: torch.Tensor) -> str:
        """A tensor of that shape; one that two modules share stays one."""
        if id(t) not in self.carrier.names:
            text = f"torch.empty({tuple(t.shape)}, dtype={t.dtype})"
            if isinstance(t, torch.nn.Parameter):
                text = f"torch.nn.Parameter({text}, {t.requires_grad})"
            self.carrier.define("placeholder", t, text)
        return self.carrier.names[id(t)]

    def tensor(self, t: torch.Tensor) -> str:
        """A tensor with its values, type and strides."""
        if t.layout is not torch.strided or t.is_quantized or t.is_meta:
            raise CannotCarry(f"a {str(t.layout).removeprefix('torch.')} tensor cannot be written as text")
        if isinstance(t, torch.nn.Parameter):
            return f"torch.nn.Parameter({self._laid_out(t.detach())}, {t.requires_grad})"
        return self._laid_out(t.detach()) + ".requires_grad_()" * (t.requires_grad and t.is_leaf)

    def _laid_out(self, t: torch.Tensor) -> str:
        """A tensor with its strides, where they are not the usual ones: kernels may read memory."""
        t = t.cpu()
        text, dtype = self._values(t), f"dtype={t.dtype}"
        if any(k == 0 and n > 1 for k, n in zip(t.stride(), t.shape)):
            small = t[tuple(slice(0, 1) if k == 0 and n > 1 else slice(None) for k, n in zip(t.stride(), t.shape))]
            return f"{self._values(small)}.expand({tuple(t.shape)})"
        if not t.is_contiguous() or t.storage_offset():
            last = t.storage_offset() + sum((n - 1) * k for n, k in zip(t.shape, t.stride())) + 1
            memory = f"torch.full(({last},), torch.nan, {dtype})" if t.is_floating_point() else f"torch.zeros({last}, {dtype})"
            return f"{memory}.as_strided({tuple(t.shape)}, {tuple(t.stride())}, {t.storage_offset()}).copy_({text})"
        return text

    def _values(self, t: torch.Tensor) -> str:
        """The elements: few of them as a list, many as compressed bytes, too many not at all."""
        if t.numel() > LARGEST:
            raise CannotCarry(f"a tensor of {t.numel()} elements is too large to be written out: take smaller sizes")
        if t.numel() <= EMBEDDED and not t.dtype.is_complex:
            shape = f".reshape({tuple(t.shape)})" if not t.numel() and t.ndim > 1 else ""
            numbers = str(self.of(t.tolist()))
            rows = numbers.replace("], [", "],\n[").split("\n") if len(numbers) > WIDE else [numbers]
            lines = "\n    ".join(line for row in rows for line in textwrap.wrap(row, 110))
            return f"torch.tensor({lines}, dtype={t.dtype}){shape}"
        self.carrier.need("base64")
        self.carrier.need("zlib")
        bytes_ = t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        text = base64.b64encode(zlib.compress(bytes_, 9)).decode()
        parts = "\n".join(f'    "{text[k : k + 100]}"' for k in range(0, len(text), 100))
        shape = "".join(f", {n}" for n in t.shape)
        return f"{self.carrier.helper(stored)}(\n{parts}, {t.dtype}{shape}\n)"


def _state(value: Any) -> dict[str, Any] | None:
    """The attributes of an instance, those in slots among them; None where it has no place for any."""
    slots = [s for c in type(value).__mro__ for s in _names(c.__dict__.get("__slots__", ()))]
    if not slots and not hasattr(value, "__dict__"):
        return None
    held = {s: getattr(value, s) for s in slots if s not in ("__dict__", "__weakref__") and hasattr(value, s)}
    return {**held, **getattr(value, "__dict__", {})}


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _plain_dataclass(value: Any) -> bool:
    """Whether the constructor of a dataclass takes its fields and does nothing else."""
    kind = type(value)
    if not dataclasses.is_dataclass(value) or hasattr(kind, "__post_init__"):
        return False
    fields = dataclasses.fields(value)
    takes = [*inspect.signature(kind).parameters]
    return takes == [f.name for f in fields] and set(_state(value) or ()) <= set(takes)
