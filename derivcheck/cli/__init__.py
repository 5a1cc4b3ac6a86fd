"""The command ``derivcheck``."""

from __future__ import annotations


def main() -> None:
    """Entry point of the command; exits 0 (holds), 1 (a gradient is wrong), 2 (bad usage or input) or 3 (undecided)."""
    from derivcheck.cli.app import app

    app(prog_name="derivcheck")
