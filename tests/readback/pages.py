"""The pages of a derivation, by style, detail and ink."""

from __future__ import annotations

from collections.abc import Callable

from tests.readback.corpus import Source
from tests.readback.page import Page
from tests.readback.text import TextPage

PAGES: dict[str, Callable[[Source], Page | TextPage]] = {
    "index, LaTeX": lambda s: Page(s, "latex", "index"),
    "index, Unicode": lambda s: Page(s, "unicode", "index"),
    "index text": TextPage,
    "operators, LaTeX": lambda s: Page(s, "latex", "index", "operators"),
    "operators, Unicode": lambda s: Page(s, "unicode", "index", "operators"),
    "result, LaTeX": lambda s: Page(s, "latex", "index", "result"),
    "result, Unicode": lambda s: Page(s, "unicode", "index", "result"),
    "scalar": lambda s: Page(s, "latex", "scalar"),
    "matrix": lambda s: Page(s, "latex", "matrix"),
}
