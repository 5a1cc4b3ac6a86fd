"""What is said while torch and SymPy are loaded, which takes seconds the first time."""

from __future__ import annotations

import importlib
import os
import sys

import typer

HEAVY = ("torch", "sympy")


def load() -> None:
    """Load them, on a terminal under a spinner; nothing is said where they are there already."""
    if not sys.stderr.isatty() or all(m in sys.modules for m in HEAVY):
        return
    from rich.console import Console  # on a terminal alone

    with Console(stderr=True).status("loading torch", spinner="dots"):
        for module in HEAVY:
            importlib.import_module(module)


def begin(text: str) -> None:
    """The first line of a command that takes its time, before anything is loaded; of several ranks the first says it."""
    if os.environ.get("RANK", "0") == "0":
        typer.echo(text)
        sys.stdout.flush()
