"""A derivation's LaTeX document as a PDF, through an installed TeX."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from derivcheck.errors import InputError

NAME, SECONDS = "derivation", 120
RUN = ("-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape")
# Each way with the program that it needs beside it.  pdflatex has no letters beyond Latin.
WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tectonic": ("", ("--untrusted",)),
    "latexmk": ("xelatex", ("-xelatex", *RUN)),
    "xelatex": ("", RUN),
    "lualatex": ("", RUN),
    "pdflatex": ("", RUN),
}


def pdf(document: str) -> bytes:
    """The PDF of a whole LaTeX document; everything else that TeX writes is thrown away.

    Args:
        document: what ``to_latex(full=True)`` gives.

    Raises:
        InputError: no TeX is installed, or the one that is stops or lacks a package; its own words are in the sentence.
    """
    way = _installed(ascii_alone=document.isascii())
    with tempfile.TemporaryDirectory(prefix="derivcheck-") as folder:
        source = Path(folder, f"{NAME}.tex")
        source.write_text(document, encoding="utf-8")
        try:
            done = subprocess.run(
                [*way, source.name], cwd=folder, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL, check=False
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{Path(way[0]).name} had not ended after {SECONDS} s; write --format latex and run it there"
            ) from None
        made = source.with_suffix(".pdf")
        if done.returncode != 0 or not made.exists():
            raise InputError(f"{Path(way[0]).name} stopped: {_why(done.stdout + done.stderr)}; --format latex writes its input")
        return made.read_bytes()


def _installed(ascii_alone: bool) -> list[str]:
    """The command of the first way that is installed."""
    ways = [n for n in WAYS if ascii_alone or n != "pdflatex"]
    for name in ways:
        beside, options = WAYS[name]
        if (program := shutil.which(name)) and (not beside or shutil.which(beside)):
            return [program, *options]
    raise InputError(f"a PDF needs TeX, and none of {', '.join(ways)} is installed; install one, or write --format latex")


def _why(said: bytes) -> str:
    """TeX's own error in one line."""
    text = said.decode("utf-8", "replace")
    found = re.search(r"^(?:! |error: )(.+)", text, re.MULTILINE)
    return found[1].strip().rstrip(".") if found else (text.strip().splitlines() or ["it said nothing"])[-1]
