"""``[tool.derivcheck]`` of pyproject.toml: what options are where the command line does not say otherwise.

A key of ``[tool.derivcheck]`` is an option of any command, one of ``[tool.derivcheck.check]`` that command's alone: it wins.
"""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from typer.models import OptionInfo

from derivcheck.errors import InputError, perhaps

FILE, TABLE = "pyproject.toml", "tool.derivcheck"
ONCE = ("force", "write", "resume")  # what is asked for each time, on the command line
_KINDS: tuple[tuple[type, tuple[type, ...], str], ...] = (
    (bool, (bool,), "true or false"),
    (int, (int,), "a whole number"),
    (float, (int, float), "a number"),
    (Path, (str,), "a path"),
)


@dataclass(frozen=True)
class Option:
    """An option of a command, as a key of the file stands for it.

    Attributes:
        parameter: the function's parameter.
        key: the option without its dashes.
        type: of one value.
        several: whether it is repeatable.
        choices: the values that it takes, where these are few.
    """

    parameter: str
    key: str
    type: type
    several: bool
    choices: tuple[str, ...]


def options_of(command: Callable[..., Any]) -> dict[str, Option]:
    """The options of a command by their keys."""
    found = {}
    for name, hint in typing.get_type_hints(command, include_extras=True).items():
        info = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, OptionInfo)), None)
        if info is None:
            continue
        declared = (info.default, *(info.param_decls or ()))  # typer keeps the first name as the default
        names = [d.partition("/")[0] for d in declared if isinstance(d, str) and d.startswith("--")]
        key = names[0].removeprefix("--") if names else name.replace("_", "-")
        kind = typing.get_args(hint)[0]
        if isinstance(kind, types.UnionType):
            kind = next(k for k in typing.get_args(kind) if k is not types.NoneType)
        several = typing.get_origin(kind) is list
        choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
        found[key] = Option(name, key, str if several or choices else kind, several, choices)
    return found


def read_settings(folder: Path, commands: Mapping[str, Callable[..., Any]]) -> dict[str, dict[str, Any]]:
    """The defaults of each command's parameters, from the nearest pyproject.toml with a ``[tool.derivcheck]``.

    Args:
        folder: where to look first; then in the folders above it.

    Raises:
        InputError: a file that is no TOML, a key that is no option, a value that an option does not take.
    """
    found = _nearest(folder)
    if found is None:
        return {}
    path, table = found
    own = {n: v for n, v in table.items() if n in commands and isinstance(v, dict)}
    shared = {k: v for k, v in table.items() if k not in own}
    options = {name: options_of(c) for name, c in commands.items()}
    _known(path, TABLE, shared, [*dict.fromkeys(k for each in options.values() for k in each), *commands])
    out = {}
    for name, those in options.items():
        _known(path, f"{TABLE}.{name}", own.get(name, {}), those)
        out[name] = {
            those[_key(k)].parameter: _value(path, f"[{where}] {k}", v, those[_key(k)])
            for where, values in ((TABLE, shared), (f"{TABLE}.{name}", own.get(name, {})))
            for k, v in values.items()
            if _key(k) in those
        }
    return out


def _nearest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file and its table, in this folder or in the nearest above it."""
    for path in (place / FILE for place in (folder, *folder.parents)):
        try:
            with path.open("rb") as f:
                tool = tomllib.load(f).get("tool")
        except OSError:
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise InputError(f"{path} is no TOML ({e}); mend it, or leave it out with derivcheck --no-config") from None
        table = tool.get("derivcheck") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return path, table
        if table is not None:
            raise InputError(f"{path}: {TABLE} is {table!r}; expected a table of options, [{TABLE}]")
    return None


def _key(key: str) -> str:
    return key.replace("_", "-")


def _known(path: Path, table: str, keys: Collection[str], known: Collection[str]) -> None:
    """Refuse a key that is no option there, or one that is asked for each time."""
    for key in keys:
        if _key(key) in ONCE:
            raise InputError(f"{path}: [{table}] has {key!r}, which is asked for each time, on the command line; leave it out")
        if _key(key) not in known:
            near = perhaps(_key(key), [k for k in known if k not in ONCE])
            which = "an option of any command" if table == TABLE else f"an option of derivcheck {table.rpartition('.')[2]}"
            raise InputError(f"{path}: [{table}] has {key!r}, which is not {which}{near or '; --help lists them'}")


def _value(path: Path, where: str, value: Any, option: Option) -> Any:
    """A value as the option takes it; a path is meant from the file's folder."""
    allowed, wanted = next(((types_, words) for kind, types_, words in _KINDS if option.type is kind), ((str,), "text"))
    values = value if option.several and isinstance(value, list) else [value]
    for v in values:
        if not isinstance(v, allowed) or isinstance(v, bool) and option.type is not bool:
            raise InputError(f"{path}: {where} is {v!r}; expected {'a list of texts' if option.several else wanted}")
        if option.choices and v not in option.choices:
            near = perhaps(str(v), option.choices)
            raise InputError(f"{path}: {where} is {v!r}; expected {' or '.join(option.choices)}{near}")
    made = [str(path.parent / v) for v in values] if option.type is Path else values
    return made if option.several else made[0]
