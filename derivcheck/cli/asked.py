"""What a command is asked, as the options say it: texts that are read when the command runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from derivcheck.errors import InputError


@dataclass(frozen=True)
class Source:
    """What to derive: a TARGET with its loss, dimensions and constants."""

    target: str
    loss: str = ""
    dims: str = ""
    const: Sequence[str] = ()
    wrt: Sequence[str] = ()


@dataclass(frozen=True)
class TargetPair:
    """A backward that is said to be the gradient of a TARGET; none is the forward's own."""

    target: str
    backward: str = ""
    dims: str = ""
    where: str = ""
    const: Sequence[str] = ()
    wrt: Sequence[str] = ()


@dataclass(frozen=True)
class CheckedOn:
    """What a check runs on, and how much it asks."""

    reference: str = ""
    sizes: str = ""
    dtype: str = "float64"
    device: str = "cpu"
    seed: int = 0
    strict: bool = False


@dataclass(frozen=True)
class Fixing:
    """Whether an edit that mends the backward is looked for, and made in the user's own file."""

    fix: bool = False
    write: bool = False

    def usable(self) -> None:
        """Refuse to make what is not looked for."""
        if self.write and not self.fix:
            raise InputError("--write makes the edit that --fix finds; give both")


@dataclass(frozen=True)
class CheckShown:
    """What comes out of a check beside its exit status, on the screen and in files."""

    format: str = "table"
    junit: Path | None = None
    reproducer: Path | None = None
    force: bool = False
    verbose: bool = False

    @property
    def as_json(self) -> bool:
        """Whether plain data are printed."""
        return self.format == "json"
