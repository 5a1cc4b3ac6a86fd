"""The command ``derivcheck``.

``app`` has the commands with their options and loads nothing heavy; read it first.  ``asked`` are the options as values, which
``inputs`` and ``target`` read: the small languages of dimensions and constants, and what a TARGET stands for.  ``commands`` and
``check`` do what is asked of one TARGET; ``run`` is the main job, with its ``screen`` and its ``outcome``.  ``status`` has the
exit statuses.
"""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Entry point of the command; exits 0 (holds), 1 (a gradient is wrong), 2 (bad usage or input) or 3 (undecided)."""
    from derivcheck.cli.app import app  # typer is loaded when a command runs
    from derivcheck.cli.completion import answer  # and so it is here

    answer()

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what is being written is cleared away
    app(prog_name="derivcheck")
