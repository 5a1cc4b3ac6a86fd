"""A fingerprint of code and data: equal ones mean that the same is computed of the same.

It follows a function to all of the user's code that it calls, and to every value that this code reads: closures, defaults,
globals, attributes of modules, classes with their bases, instances with their state.  An installed library counts by its
version.  What cannot be followed (compiled code, custom operators, files, the clock, the environment) raises :class:`Unsure`:
then nothing is remembered.
"""

from __future__ import annotations

import dis
import hashlib
import importlib.util
import logging
import struct
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import torch

from derivcheck.pytest_plugin.parts import Unsure, codes, content, contents, inside, of_user, state_of
from derivcheck.pytest_plugin.whose import BUILTINS, DRAWS, IMPURE, READS, hash_of, is_library, library_module, python_module

MANY, LARGE = 200_000, 1 << 28  # values and bytes beyond which it costs more than a check
_PLAIN = (bool, int, complex, str, bytes, bytearray, type(None), type(Ellipsis), type(NotImplemented), range, slice, Fraction)
_TORCH = (torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format)
_SKIPPED = frozenset(
    "__dict__ __weakref__ __doc__ __module__ __qualname__ __annotations__ __firstlineno__ __static_attributes__ _abc_impl "
    "_backward_cls __orig_bases__ __parameters__ __abstractmethods__".split()
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_COMPILED = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_CALLED = ("LOAD_ATTR", "LOAD_METHOD")


class Fingerprint:
    """A hash of values as they are added; ``digest`` at the end.

    Args:
        drawing: of a test that makes its data: what draws at random is followed as any other code.
    """

    def __init__(self, drawing: bool = False) -> None:
        """Of nothing yet."""
        self._hash = hashlib.blake2b(digest_size=20)
        self._seen: dict[tuple[int, bool], int] = {}
        self._alive: list[Any] = []  # an id is good as long as its object lives
        self._storages: dict[int, int] = {}
        self._met: set[tuple[int, frozenset[str]]] = set()
        self._bytes = 0
        self._kinds = False
        self._impure = IMPURE - DRAWS if drawing else IMPURE
        self._reads = READS - DRAWS if drawing else READS

    def digest(self) -> str:
        """The fingerprint of all that was added."""
        return self._hash.hexdigest()

    def add(self, value: Any, kinds: bool = False) -> None:
        """A value with all that it holds; with ``kinds`` a floating-point tensor counts by its kind, not by its numbers.

        Raises:
            Unsure: it cannot be followed.
        """
        self._kinds = kinds
        try:
            self._value(value)
        except RecursionError:
            raise Unsure("data that are nested too deeply") from None
        finally:
            self._kinds = False

    def _say(self, *words: Any) -> None:
        for w in words:
            text = str(w).encode("utf-8", "surrogatepass")
            self._hash.update(struct.pack("<q", len(text)) + text)

    @contextmanager
    def _strictly(self) -> Iterator[None]:
        """Within, numbers count."""
        before, self._kinds = self._kinds, False
        try:
            yield
        finally:
            self._kinds = before

    def _value(self, v: Any) -> None:
        """One value, once: the second time it is told as the one that was."""
        kind = type(v)
        if kind in _PLAIN or kind in _TORCH:
            self._say(kind.__name__, repr(v))
            return
        if kind is float:
            self._say("float", v.hex())
            return
        key = (id(v), self._kinds)
        if key in self._seen:
            self._say("again", self._seen[key])
            return
        self._seen[key] = len(self._alive)
        self._alive.append(v)
        if len(self._alive) > MANY:
            raise Unsure("more data than a check costs")
        self._object(v)

    def _object(self, v: Any) -> None:
        """A value that holds others."""
        if isinstance(v, torch.Tensor):
            self._tensor(v)
        elif isinstance(v, type):
            with self._strictly():
                self._class(v)
        elif isinstance(v, types.FunctionType):
            with self._strictly():
                self._function(v)
        elif isinstance(v, types.ModuleType):
            if not library_module(v, v.__name__):
                raise Unsure(f"the module {v.__name__}, which is handed on as a value")
            self._library(v.__name__, "")
        elif (inner := inside(v)) is not None:
            self._say(type(v).__name__)
            self._all(inner)
        elif isinstance(v, types.BuiltinFunctionType):
            self._builtin(v)
        elif isinstance(v, _COMPILED):
            self._class(v.__objclass__)
            self._say(v.__name__)
        elif isinstance(v, _SLOTS):
            self._say("slot", v.__name__)
        elif not self._array(v):
            self._instance(v)

    def _all(self, values: Iterable[Any]) -> None:
        values = list(values)
        self._say(len(values))
        for v in values:
            self._value(v)

    def _tensor(self, t: torch.Tensor) -> None:
        """A dense tensor: its kind, where its memory is shared, and its numbers (of integers always)."""
        if type(t) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer) or t.layout is not torch.strided:
            raise Unsure(f"a tensor of class {type(t).__name__}")
        if t.grad_fn is not None or t._backward_hooks or t.grad is not None:
            raise Unsure("a tensor with a history or hooks")
        storage = self._storages.setdefault(t.untyped_storage().data_ptr(), len(self._storages))
        self._alive.append(t)
        where = storage if t.numel() else 0
        self._say(type(t).__name__, t.dtype, t.device, tuple(t.shape), t.stride(), t.storage_offset(), t.requires_grad, where)
        self._say(t.is_conj(), t.is_neg(), sorted(vars(t)))
        self._all(vars(t).values())
        if self._kinds and t.is_floating_point():
            return
        self._bytes += t.numel() * t.element_size()
        if self._bytes > LARGE or t.device.type == "meta":
            raise Unsure("tensors larger than a check costs")
        flat = t.detach().cpu().contiguous().reshape(-1)
        if flat.numel():
            self._hash.update(flat.view(torch.uint8).numpy().tobytes())

    def _array(self, v: Any) -> bool:
        """A NumPy array or number, where it is one."""
        module = type(v).__module__
        if module != "numpy" or not hasattr(v, "dtype"):
            return False
        if getattr(v.dtype, "hasobject", True) or type(v).__name__ == "matrix":
            raise Unsure("a NumPy array of objects")
        self._bytes += v.nbytes
        if self._bytes > LARGE:
            raise Unsure("arrays larger than a check costs")
        self._say("numpy", type(v).__name__, v.dtype.str, v.shape, getattr(v, "strides", ()))
        self._hash.update(v.tobytes())
        return True

    def _function(self, f: types.FunctionType) -> None:
        """A function: its code, what it holds, and what it reads of the module it stands in."""
        held = [content(c) for c in f.__closure__ or ()]
        if is_library(f.__code__.co_filename):
            self._library(f.__module__ or "", f.__qualname__)
            self._all([*held, *vars(f).values()])
            return
        parts = list(codes(f.__code__))
        names = frozenset(n for c in parts for n in c.co_names)
        self._say("function", f.__qualname__)
        for c in parts:
            self._say(c.co_name, c.co_code.hex(), c.co_names, c.co_varnames, c.co_freevars, c.co_flags, c.co_argcount)
            self._say(c.co_posonlyargcount, c.co_kwonlyargcount, c.co_exceptiontable.hex())
            self._all(k for k in c.co_consts if not isinstance(k, types.CodeType))
        self._say(sorted((k, getattr(a, "dim_str", a if isinstance(a, str) else "")) for k, a in f.__annotations__.items()))
        self._all([f.__defaults__, f.__kwdefaults__, *held])
        self._state(vars(f))
        space = f.__globals__
        for n in sorted(names):
            if n in space:
                self._say("global", n)
                self._global(space[n], names)
            elif n in BUILTINS and n in vars(sys.modules["builtins"]):
                raise Unsure(f"{f.__qualname__} calls {n}")
        for c in parts:
            self._loads(c, space, names, f.__qualname__)

    def _global(self, v: Any, names: frozenset[str]) -> None:
        if isinstance(v, types.ModuleType):
            self._module(v, names)
        else:
            self._value(v)

    def _loads(self, code: types.CodeType, space: Mapping[str, Any], names: frozenset[str], where: str) -> None:
        """What a code imports inside, and that it takes nothing of the user's modules but by name."""
        steps = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "EXTENDED_ARG", "RESUME", "NOP")]
        for k, step in enumerate(steps):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(m := space.get(str(step.argval)), types.ModuleType):
                after = steps[k + 1]
                if not library_module(m, m.__name__) and after.opname not in _CALLED:
                    raise Unsure(f"{where} hands on the module {m.__name__}")
                if not library_module(m, m.__name__) and str(after.argval) not in vars(m):
                    raise Unsure(f"{m.__name__}.{after.argval}, which the module makes when it is asked")
            elif step.opname == "IMPORT_NAME":
                level, taken = steps[k - 2].argval, steps[k - 1].argval
                name = str(step.argval)
                if level:
                    name = importlib.util.resolve_name("." * int(level) + name, str(space.get("__package__")))
                self._imported(name, names, taken)

    def _imported(self, name: str, names: frozenset[str], taken: Any) -> None:
        """A module that a function imports inside."""
        module = sys.modules.get(name)
        if library_module(module, name):
            self._module(module or types.ModuleType(name), names)
        elif module is None or not taken or "*" in taken:
            raise Unsure(f"an import of {name} inside a function")
        else:
            self._module(module, names)
            for n in taken:
                inner = sys.modules.get(f"{name}.{n}")
                if inner is not None:
                    self._module(inner, names)
                elif n not in vars(module):
                    raise Unsure(f"{name}.{n}, which the module makes when it is asked")

    def _module(self, m: types.ModuleType, names: frozenset[str]) -> None:
        """What code that has these names in it may read of a module."""
        if (id(m), names) in self._met:
            return
        self._met.add((id(m), names))
        self._alive.append(m)
        library, space = library_module(m, m.__name__), vars(m)
        if library:
            self._library(m.__name__, "")
            if bad := sorted(self._reads & names & space.keys()):
                raise Unsure(f"{m.__name__}.{bad[0]}")
        else:
            if not python_module(m.__name__):
                raise Unsure(f"the compiled module {m.__name__}")
            self._say("module", m.__name__)
        for n in sorted(names & space.keys()):
            v = space[n]
            if isinstance(v, types.ModuleType):
                self._module(v, names)
            elif not library or of_user(v):
                self._say("attribute", n)
                self._value(v)

    def _library(self, module: str, name: str) -> None:
        """Something of an installed library, known by its name and version."""
        top = module.partition(".")[0]
        if top in self._impure or module in self._impure:
            raise Unsure(f"{module}{'.' if name else ''}{name}")
        if top == "triton" or module.startswith(("torch._library", "torch._ops", "torch.ops", "torch.utils.cpp_extension")):
            raise Unsure(f"a custom operator ({module})")
        self._say("library", module, name, hash_of(top))

    def _builtin(self, v: Any) -> None:
        """A compiled function: a library's by its name, one bound to an object with that."""
        owner = getattr(v, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType):
            name = str(getattr(v, "__module__", None) or getattr(owner, "__name__", "builtins"))
            if name == "builtins" and v.__name__ not in BUILTINS:
                self._say("builtin", v.__name__)
                return
            if not library_module(sys.modules.get(name), name):
                raise Unsure(f"the compiled function {v.__name__} of {name}")
            self._library(name, v.__qualname__)
            return
        self._say("bound", v.__name__)
        self._value(owner)

    def _class(self, c: type) -> None:
        """A class: the user's with its bases and all that it defines."""
        module = c.__module__
        if module == "builtins":
            self._say("builtin", c.__qualname__)
            return
        if library_module(sys.modules.get(module), module):
            self._library(module, c.__qualname__)
            return
        if not python_module(module):
            raise Unsure(f"the compiled class {c.__qualname__}")
        self._say("class", module, c.__qualname__)
        self._all([*c.__bases__, *([] if type(c) is type else [type(c)])])
        self._state({k: v for k, v in vars(c).items() if k not in _SKIPPED})

    def _state(self, state: Mapping[str, Any]) -> None:
        """Attributes, by their names."""
        self._say(len(state))
        for k in sorted(state, key=str):
            self._say(k)
            self._value(state[k])

    def _instance(self, v: Any) -> None:
        """An object: its class and its state."""
        c = type(v)
        if isinstance(v, logging.Logger):
            self._say("logger", v.name)
            return
        if c is object:
            self._say("object")
            return
        if isinstance(v, (torch.jit.ScriptModule, torch.jit.ScriptFunction, torch.Generator)):
            raise Unsure(f"a {c.__name__}")
        if c.__module__.startswith("derivcheck.") and "__reduce__" in {k for b in c.__mro__[:-1] for k in vars(b)}:
            self._say(c.__module__, c.__qualname__)
            self._all(v.__reduce__()[1])
            return
        state = state_of(v)
        if state is None:
            raise Unsure(f"a {c.__module__}.{c.__qualname__}")
        self._value(c)
        self._all(contents(v))
        self._state(state)
