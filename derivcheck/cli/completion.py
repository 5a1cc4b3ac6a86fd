"""Completion in a shell, by typer's own scripts: they ask the command itself what may follow."""

from __future__ import annotations

import os

from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

ASKED = "_DERIVCHECK_COMPLETE"


def script(shell: str) -> str:
    """What a shell has to source."""
    return str(get_completion_script(prog_name="derivcheck", complete_var=ASKED, shell=shell))


def answer() -> None:
    """Where a shell asks what may follow, let typer answer in that shell's words."""
    if ASKED in os.environ:
        completion_init()
