"""Code that travels: a function, a class or a value as text, with the imports, constants, helpers and classes that it uses.

What a library defines is imported from there; what the user wrote is copied.  Where something cannot be copied (a generator, an
operator that was registered), the user's file is imported from where it stands.
"""

from __future__ import annotations

import builtins
import copy
import functools
import importlib
import inspect
import re
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from derivcheck.checking.reproducing.snippets import Snippet, attributes_of, class_snippet, function_snippet
from derivcheck.checking.reproducing.spelling import CannotCarry, Literals
from derivcheck.errors import InputError

PUBLIC = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft", "math", "operator")
INSTALLED = ("site-packages", "dist-packages")
MISSING = object()  # a name that is taken and stands for nothing of the user's
HELPERS = ("stored", "restored", "restored_module")
ATOMS = (bool, int, float, complex, str, bytes, type(None))


class Carrier:
    """Gathers definitions, in order, that together need torch alone.

    >>> carrier = Carrier()
    >>> carrier.expression(functools.partial(torch.add, alpha=2))
    'functools.partial(add, alpha=2)'
    >>> print(carrier.text())
    import functools
    import torch
    from torch import add
    """

    def __init__(self, reserved: tuple[str, ...] = ()) -> None:
        self.imports: dict[str, None] = {"import torch": None}
        self.parts: list[str] = []
        self.bound: dict[str, Any] = {"torch": torch, **dict.fromkeys((*HELPERS, *reserved), MISSING)}
        self.names: dict[int, str] = {}
        self.kept: list[Any] = []  # an id stands for its object as long as that lives
        self.spelling = Literals(self)

    def text(self) -> str:
        """The imports and the definitions."""
        plain = sorted(self.imports, key=lambda line: (line.startswith("from"), line))
        return re.sub(r"\n{4,}", "\n\n\n", "\n".join([*plain, "", *self.parts])).strip()

    def expression(self, value: Any) -> str:
        """What denotes the value in the file; what it needs is defined before.

        Raises:
            InputError: it cannot be copied, nor imported.
        """
        return self._said(lambda: self.of(value))

    def _said(self, spelled: Callable[[], str]) -> str:
        try:
            return spelled()
        except (CannotCarry, RecursionError) as e:
            raise InputError(f"no reproducer can be written: {e}; define what is checked at the top of a file") from None

    def of(self, value: Any) -> str:
        """As :meth:`expression`, for what is inside."""
        if id(value) in self.names:
            return self.names[id(value)]
        if isinstance(value, types.ModuleType):
            raise CannotCarry(f"the module {value.__name__} is passed on as a value")
        if inspect.ismethod(value) and not inspect.isclass(value.__self__):
            return f"{self.of(value.__self__)}.{value.__func__.__name__}"
        spelled = self.spelling.of(value)
        if spelled is not None:
            return spelled
        if inspect.ismethod(value):
            return f"{self.of(value.__self__)}.{value.__func__.__name__}"
        if isinstance(value, type) or callable(value) and (hasattr(value, "__name__") or hasattr(value, "__wrapped__")):
            return self._code(value)
        return self.spelling.instance(value)

    def need(self, module: str) -> str:
        """The name of a library's module, imported."""
        self.imports[f"import {module}"] = None
        self.bound.setdefault(module.partition(".")[0], sys.modules[module.partition(".")[0]])
        return module

    def helper(self, function: Callable[..., Any]) -> str:
        """A function of derivcheck's own, copied."""
        name = function.__name__
        if self.bound.get(name, MISSING) is MISSING:
            self.bound[name] = function
            self._add(re.sub(r"  # type: ignore.*", "", inspect.getsource(function)))
        return name

    def define(self, name: str, value: Any, text: str) -> None:
        """Give a value a name at the top of the file."""
        called = self._free(name, value)
        self.bound[called] = value
        self._called(value, called)
        self._add(f"{called} = {text}")

    def _called(self, value: Any, name: str) -> None:
        if not isinstance(value, ATOMS):
            self.names.setdefault(id(value), name)
            self.kept.append(value)

    def module(self, module: torch.nn.Module) -> str:
        """A module whose tensors are given when it is called.

        Raises:
            InputError: as :meth:`expression`.
        """
        return self._said(lambda: self.spelling.module(module, hollow=True))

    # -- functions and classes -----------------------------------------------------------
    def _code(self, value: Any) -> str:
        """A function or class by import, through its owner, or as text; the file that it stands in, where it cannot be
        copied."""
        inner = inspect.unwrap(value)
        if _of_library(inner):
            return self._imported(value)
        outer = _owner(value)
        if outer is not None:
            return f"{self.of(outer)}.{value.__name__}"
        state = self._state()
        try:
            return self._copied(value)
        except (CannotCarry, RecursionError) as e:
            self._restore(state)
            return self._from_file(value, e)

    def _imported(self, value: Any) -> str:
        """The name of what a library defines."""
        name = getattr(value, "__name__", "")
        if getattr(torch.Tensor, name, None) is value:
            return f"torch.Tensor.{name}"
        own = getattr(value, "__module__", None) or ""
        for module, path in (*((m, name) for m in PUBLIC), (own, getattr(value, "__qualname__", name))):
            if module and path and "<" not in path and _reached(module, path) is value:
                root, _, rest = path.partition(".")
                found = self._import_from(module, root, _reached(module, root))
                return f"{found}.{rest}" if rest else found
        raise CannotCarry(f"{name or value!r} is found in no module")

    def _import_from(self, module: str, name: str, value: Any) -> str:
        called = self._free(name, value)
        if called not in self.bound:
            self.bound[called] = value
            self.imports[f"from {module} import {name}" + (f" as {called}" if called != name else "")] = None
        return called

    def _copied(self, value: Any) -> str:
        """The text of a function or class, in a scope of its own where names in it mean something else elsewhere in the
        file."""
        snippet = class_snippet(value) if isinstance(value, type) else function_snippet(value)
        called = self._free(snippet.name, value)
        self.bound[called] = value
        self._called(value, called)
        inside = [line for n, found in snippet.uses.items() if found is not value for line in self._given(n, found, snippet)]
        if not inside and called == snippet.name:
            self._add(snippet.text)
        else:  # names that mean something else elsewhere in the file, or a name that is taken
            body = textwrap.indent("\n".join([*inside, snippet.text.strip("\n"), f"return {snippet.name}"]), "    ")
            scope = self._free(f"scope_of_{called}", MISSING)
            self._add(f"def {scope}():\n{body}\n\n\n{called} = {scope}()")
        for name, later in snippet.later.items():
            self._add(f"{called}.{name} = {self.of(later)}")
        return called

    def _given(self, name: str, value: Any, snippet: Snippet) -> list[str]:
        """Make a name that a snippet uses mean this value: in the file, else by lines inside the snippet's own scope."""
        if name in self.bound and _agree(self.bound[name], value):
            if isinstance(value, types.ModuleType):
                self._extend(name, value, snippet)
            return []
        if isinstance(value, types.ModuleType):
            return self._module(name, value, snippet)
        try:
            if name in self.bound:
                return [f"{name} = {self.of(value)}"]
            found = self.of(value)
            if name in self.bound:  # a definition that bears the name itself
                return [] if _agree(self.bound[name], value) else [f"{name} = {found}"]
        except CannotCarry:
            if name in snippet.optional:
                return []
            raise
        self.define(name, value, found)
        return []

    # -- modules ---------------------------------------------------------------------------
    def _module(self, name: str, module: types.ModuleType, snippet: Snippet) -> list[str]:
        """A module that code names: an import of a library, or a class with the members that are used of the user's own."""
        if name in self.bound:
            raise CannotCarry(f"{name} means two things")
        self.bound[name] = module
        path = module.__name__
        if _file_of_library(getattr(module, "__file__", None), path):
            self.imports[f"import {path}" + ("" if path == name else f" as {name}")] = None
        else:
            self._add(f"class {name}:\n    pass")
            self._extend(name, module, snippet)
        return []

    def _extend(self, name: str, module: types.ModuleType, snippet: Snippet) -> None:
        """What a snippet takes from a module of the user's, as attributes of a class of that name."""
        if _file_of_library(getattr(module, "__file__", None), module.__name__):
            return
        found = attributes_of(snippet.text, name)
        if found is None:
            raise CannotCarry(f"the module {name} is passed on as a value")
        for attribute in found:
            line = f"{name}.{attribute} = "
            if not any(part.strip().startswith(line) for part in self.parts):
                value = getattr(module, attribute)
                text = self.of(value)
                self._add(line + (f"staticmethod({text})" if inspect.isfunction(value) else text))

    # -- the user's file ---------------------------------------------------------------------
    def _from_file(self, value: Any, why: Exception) -> str:
        """Import it from the user's file, as it cannot be copied."""
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        names = vars(module) if module is not None else getattr(inspect.unwrap(value), "__globals__", {})
        file = names.get("__file__")
        name = next((n for n, v in names.items() if v is value and n.isidentifier()), None)
        if not file or not Path(file).is_file() or name is None:
            raise CannotCarry(str(why))
        dotted = names.get("__name__", "")
        path = Path(file).resolve()
        if dotted == "__main__" or "." not in dotted and path.stem != "__init__":
            folder, dotted = path.parent, path.stem
        else:
            folder = path.parents[len(dotted.split(".")) - (path.stem != "__init__")]
        self.need("sys")
        line = f"sys.path.insert(0, {str(folder)!r})  # {' '.join(str(why).split())}"
        if line not in self.parts:
            self.parts.insert(0, line)
        called = self._free(name, value)
        if called not in self.bound:
            self.bound[called] = value
            self._add(f"from {dotted} import {name}" + (f" as {called}" if called != name else ""))
        self._called(value, called)
        return called

    # -- names ---------------------------------------------------------------------------------
    def _free(self, name: str, value: Any) -> str:
        """The name, or one like it that means nothing else yet."""
        called, k = name, 2
        while called in self.bound and (self.bound[called] is not value or value is MISSING):
            called, k = f"{name}_{k}", k + 1
        return called

    def _add(self, part: str) -> None:
        part = part.strip("\n")
        self.parts.append(f"\n\n{part}\n\n" if "\n" in part else part)

    def _state(self) -> tuple[Any, ...]:
        return tuple(copy.copy(x) for x in (self.imports, self.parts, self.bound, self.names))

    def _restore(self, state: tuple[Any, ...]) -> None:
        self.imports, self.parts, self.bound, self.names = state


def _agree(a: Any, b: Any) -> bool:
    """Whether two values may share a name."""
    return a is b or type(a) is type(b) and isinstance(a, ATOMS) and repr(a) == repr(b)


def _reached(module: str, path: str) -> Any:
    try:
        return functools.reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError):
        return MISSING


def _owner(value: Any) -> Any:
    """The class in which a function or class stands, or None."""
    outer, dot, name = getattr(value, "__qualname__", "").rpartition(".")
    if not dot or outer.endswith("<locals>"):
        return None
    names: Mapping[str, Any] = getattr(inspect.unwrap(value), "__globals__", None) or vars(
        sys.modules.get(value.__module__, builtins)
    )
    found = names.get(outer.partition(".")[0])
    for part in outer.split(".")[1:]:
        found = getattr(found, part, None)
    return found if isinstance(found, type) and getattr(found, name, None) is value else None


def _of_library(value: Any) -> bool:
    """Whether Python or an installed package defines it."""
    code = getattr(value, "__code__", None)
    if code is not None:
        return _file_of_library(code.co_filename, value.__module__ or "")
    if not isinstance(value, type):
        return not hasattr(value, "__dict__") or _file_of_library(
            getattr(sys.modules.get(type(value).__module__), "__file__", None), type(value).__module__
        )
    module = sys.modules.get(value.__module__)
    file = getattr(module, "__file__", None)
    if not hasattr(module, value.__qualname__.partition(".")[0]):  # another module of that name is loaded as well
        file = next((f.__code__.co_filename for f in vars(value).values() if inspect.isfunction(f)), file)
    return _file_of_library(file, value.__module__)


def _file_of_library(file: str | None, module: str) -> bool:
    root = module.partition(".")[0]
    if root == "derivcheck":
        return True
    if not file or file.startswith("<frozen "):
        return root in sys.stdlib_module_names and root != "__main__" or root in sys.builtin_module_names
    places = [sysconfig.get_path(p) for p in ("stdlib", "platstdlib")]
    return any(p in INSTALLED for p in Path(file).parts) or any(Path(file).is_relative_to(p) for p in places)
