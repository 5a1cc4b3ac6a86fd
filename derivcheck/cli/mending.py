"""The fix of a wrong gradient on the screen, and in the user's own file where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from derivcheck.diagnosis.repair.fix import Fix


def mend(found: Fix | None, write: bool, console: Console) -> None:
    """Print the fix of the wrong gradients as a unified diff, and make it where that is asked for."""
    if found is None:
        console.print("no fix was found; derivcheck code prints a gradient that is derived", markup=False)
        return
    console.print(f"fix: {found.words} ({found.known})\n{found.diff()}", markup=False, soft_wrap=True)
    for other in found.alternatives:
        console.print(f"or else: {other.words} ({other.known})\n{other.diff()}", markup=False, soft_wrap=True)
    if write:
        for file, backup in found.write().items():
            console.print(f"wrote {file}; as it was: {backup}", markup=False, soft_wrap=True)
