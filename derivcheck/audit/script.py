"""A user's script or module, run as Python runs it, until enough backward passes are over."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from derivcheck.audit.observer import Observer, PassesOver
from derivcheck.audit.places import place_raised
from derivcheck.errors import InputError


@dataclass(frozen=True)
class UserScript:
    """What is run.

    Attributes:
        target: a file, or with ``module`` a module's name.
        arguments: its own, as it finds them in ``sys.argv``.
    """

    target: str
    arguments: Sequence[str] = ()
    module: bool = False

    def ask(self) -> None:
        """Whether it is there.

        Raises:
            InputError: it is not.
        """
        if not self.module:
            path = Path(self.target)
            if path.is_dir():
                raise InputError(f"{self.target} is a folder; name a script in it, or a package with -m")
            if not path.is_file():
                raise InputError(f"there is no script {self.target}; name a Python file, or a module with -m")
            return
        try:
            with self._found():
                spec = importlib.util.find_spec(self.target)
        except (ImportError, AttributeError, ValueError) as e:
            raise InputError(f"there is no module {self.target}: {e}") from None
        if spec is None:
            raise InputError(f"there is no module {self.target}; name one that `python -m {self.target}` would run")

    @property
    def package(self) -> str:
        """The folder of the package that a module belongs to, or nothing."""
        top = sys.modules.get(self.target.partition(".")[0]) if self.module else None
        file = getattr(top, "__file__", None)
        return os.path.dirname(file) + os.sep if file else ""

    @contextmanager
    def _found(self) -> Iterator[None]:
        """Modules beside it are found, as when Python runs it, and ``sys.argv`` is its own."""
        path, argv = list(sys.path), list(sys.argv)
        sys.path.insert(0, os.getcwd() if self.module else str(Path(self.target).resolve().parent))
        sys.argv = [self.target, *self.arguments]
        try:
            yield
        finally:
            sys.path[:], sys.argv = path, argv

    def run(self, observer: Observer) -> Ending:
        """Run it until it ends in whichever way."""
        with self._found():
            loader, main = self._main()
            before, sys.modules["__main__"] = sys.modules["__main__"], main
            try:
                with observer:
                    loader.exec_module(main)
            except PassesOver:
                return Ending("enough", main=main)
            except SystemExit as e:
                return Ending("exited", _status(e), place_raised(e), main)
            except KeyboardInterrupt as e:
                return Ending("interrupted", "", place_raised(e), main)
            except Exception as e:
                return Ending("raised", _sentence(e), place_raised(e), main)
            finally:
                sys.modules["__main__"] = before
                _leave_the_group()
            return Ending("ended", main=main)

    def _main(self) -> tuple[_Loader, ModuleType]:
        """The module ``__main__`` as Python makes it: processes that the script starts find its code by it."""
        main, spec = ModuleType("__main__"), None
        path = self.target
        if self.module:
            spec = importlib.util.find_spec(self.target)
            if spec is not None and spec.submodule_search_locations is not None:
                spec = importlib.util.find_spec(f"{self.target}.__main__")
            if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
                raise InputError(f"{self.target} is a package without __main__; name a module in it")
            path = spec.origin
        loader = _Loader("__main__", path)
        main.__file__, main.__loader__, main.__spec__ = path, loader, spec
        main.__package__ = None if spec is None else spec.parent
        return loader, main


class _Loader(SourceFileLoader):
    """Reads the script as any module, and writes no compiled copy of it beside it."""

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Nothing is kept."""


@dataclass(frozen=True)
class Ending:
    """How a script ended.

    Attributes:
        how: ``enough``, ``ended``, ``exited``, ``raised`` or ``interrupted``.
        what: the error, or the exit status.
        place: the user's innermost line.
        main: the module ``__main__`` that it was.
    """

    how: str
    what: str = ""
    place: str = ""
    main: ModuleType | None = None

    def sentence(self, name: str, passes: int, steps: int) -> str:
        """What is to be said of it, or nothing where enough was seen."""
        if self.how == "enough":
            return ""
        at = f" at {self.place}" if self.place else ""
        of = f"{passes} of {steps} backward passes" if passes else "the first backward pass"
        when = f"after {of}" if passes else f"before {of}"
        if self.how == "raised":
            return f"{name} raised {self.what}{at}, {when}"
        if self.how == "interrupted":
            return f"{name} was interrupted{at}, {when}"
        if self.how == "exited" and self.what != "0":
            return f"{name} exited with {self.what}{at}, {when}"
        if not passes:
            return f"{name} ended and never called backward in this process: give it arguments with which it trains, after --"
        return f"{name} ended {when}"

    @property
    def bad(self) -> bool:
        """Whether the run went wrong, whatever was seen."""
        return self.how in ("raised", "interrupted") or self.how == "exited" and self.what != "0"

    @contextmanager
    def as_main(self) -> Iterator[None]:
        """The script is ``__main__`` again: its classes are looked up there."""
        before = sys.modules["__main__"]
        if self.main is not None:
            sys.modules["__main__"] = self.main
        try:
            yield
        finally:
            sys.modules["__main__"] = before


def _leave_the_group() -> None:
    """Of ranks that run together: a process that ends within its group may be aborted by the threads of it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        with suppress(Exception):  # another rank may have gone
            distributed.destroy_process_group()


def _status(e: SystemExit) -> str:
    if e.code is None or e.code == 0:
        return "0"
    return f"status {e.code}" if isinstance(e.code, int) else f"{str(e.code).strip()!r}"


def _sentence(e: Exception) -> str:
    first = str(e).strip().splitlines()
    return f"{type(e).__name__}: {first[0]}" if first else type(e).__name__
