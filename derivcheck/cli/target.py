"""What a TARGET on the command line stands for.

``torch.nn:Linear(3, 2)``, ``package.module:name``, ``path/to/file.py:name``, or index text.  Arguments are Python
literals, read by a parser and never run.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from derivcheck.errors import InputError
from derivcheck.kernels.cuda.read import cuda
from derivcheck.notation.text.latex.equations import is_latex

KERNELS = (".cu", ".cuh", ".c", ".h")


def load_target(text: str, option: str = "TARGET") -> Any:
    """The object that a TARGET names: a class is called with its arguments (none where there are none) if it is a module's.

    Raises:
        InputError: no such file or module, one that does not import, or no such name (the nearest is offered).

    >>> load_target("torch.nn:Linear(3, 2, bias=False)")
    Linear(in_features=3, out_features=2, bias=False)
    """
    place, rest = _split(text)
    if not place or not rest:
        raise InputError(
            f"{option} {text!r} names nothing; expected package.module:name, path/to/file.py:name, or index text with :="
        )
    name, arguments, keywords = _call(rest, text, option)
    if place.endswith(KERNELS):
        if arguments:
            raise InputError(f"{option} {text!r}: give parameters by name, as in {name}(degree=3)")
        return cuda(Path(place), name, **(keywords or {}))
    found: Any = _module(place, option)
    for part in name.split("."):
        if not hasattr(found, part):
            raise InputError(f"{option} {text!r}: {place} has no {part!r}{_instead(part, found)}")
        found = getattr(found, part)
    if isinstance(found, type) and (arguments is not None or _is_module(found)):
        try:
            return found(*(arguments or ()), **(keywords or {}))
        except Exception as e:
            raise InputError(f"{option} {text!r}: {found.__name__} cannot be made with these arguments: {e}") from e
    if arguments is not None:
        raise InputError(f"{option} {text!r}: {name} is not a class; leave the arguments out")
    return found


def files_of(*targets: str) -> list[Path]:
    """The files that TARGETs name; of a module, once it is loaded."""
    places = [_split(text)[0] for text in targets if not is_index_text(text)]
    modules = [getattr(sys.modules.get(place), "__file__", None) for place in places]
    return [*(Path(p) for p in places if p), *(Path(f) for f in modules if f)]


def defined_at(target: Any) -> tuple[str, int]:
    """The file and the line where the code under test is defined: a Function's backward, a module's class, a function."""
    for found in (getattr(target, "backward", None) if isinstance(target, type) else None, target, type(target)):
        code: Any = inspect.unwrap(found) if callable(found) else found
        try:
            return str(inspect.getsourcefile(code)), inspect.getsourcelines(code)[1]
        except (TypeError, OSError):
            continue
    return "", 0


def _instead(name: str, place: Any) -> str:
    """The name of ``place`` that was perhaps meant, or the few callables that it defines itself."""
    near = difflib.get_close_matches(name, [n for n in vars(place) if not n.startswith("_")], 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    own = [n for n, v in vars(place).items() if callable(v) and getattr(v, "__module__", "") == place.__name__]
    return f"; it has {', '.join(own)}" if 0 < len(own) <= 8 else ""


def is_index_text(text: str) -> bool:
    """Whether a TARGET is a Program written in index notation or in LaTeX."""
    return ":=" in text or is_latex(text) and "=" in text


def _split(text: str) -> tuple[str, str]:
    """The module or file, and what stands after the colon."""
    for ending in (".py", *KERNELS):
        if f"{ending}:" in text:
            place, _, rest = text.partition(f"{ending}:")
            return place + ending, rest
    head, bracket, tail = text.partition("(")
    place, _, name = head.rpartition(":")
    return place, name + bracket + tail


def _call(text: str, whole: str, option: str) -> tuple[str, list[Any] | None, dict[str, Any] | None]:
    """A name, and the literals of the call that follows it, if any."""
    if "(" not in text:
        if not all(part.isidentifier() for part in text.split(".")):
            raise InputError(f"{option} {whole!r}: {text!r} is not a name")
        return text, None, None
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if (
            not isinstance(node, ast.Call)
            or not isinstance(node.func, (ast.Name, ast.Attribute))
            or any(k.arg is None for k in node.keywords)
        ):
            raise ValueError
        arguments = [ast.literal_eval(a) for a in node.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
    except (SyntaxError, ValueError):
        raise InputError(
            f"{option} {whole!r}: expected a name with plain values as its arguments, as in torch.nn:Linear(3, 2, bias=False)"
        ) from None
    return ast.unparse(node.func), arguments, keywords


def _module(place: str, option: str) -> ModuleType:
    """A module by path or by name; whatever its import raises is an error about the input."""
    if place.endswith(".py") or "/" in place:
        return _file(Path(place), option)
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f"{option} {place!r} is neither a module's name nor a path that ends in .py")
    if "" not in sys.path:
        sys.path.insert(0, "")  # modules beside the user, as for python -m
    try:
        return importlib.import_module(place)
    except Exception as e:
        raise InputError(f"{option}: module {place!r} does not import: {_what(e)}") from e


def _file(path: Path, option: str) -> ModuleType:
    """A Python file as a module, run with its folder on the path; a module that had its name has it again afterwards."""
    if not path.is_file():
        raise InputError(f"{option}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{option}: {path} is not a Python file; expected a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    kept = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # dataclasses and pickles of the file look it up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as e:
        advice = "; name it package.module:name" if "relative import" in str(e) else ""
        raise InputError(f"{option}: {path} does not import: {_what(e)}{advice}") from e
    finally:
        sys.path.remove(str(path.parent.resolve()))
        if kept is not None:
            sys.modules[path.stem] = kept
    return module


def _is_module(cls: type) -> bool:
    return any(base.__module__ == "torch.nn.modules.module" and base.__name__ == "Module" for base in cls.__mro__)


def _what(e: BaseException) -> str:
    line = f", line {e.lineno}" if isinstance(e, SyntaxError) and e.lineno else ""
    text = e.msg if isinstance(e, SyntaxError) else str(e)
    return f"{type(e).__name__}: {(text.splitlines() or [''])[0]}{line}"
