"""An audit as one HTML page that loads nothing: dark and light, readable on a telephone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def page(found: Any) -> str:
    """The page of an :class:`~derivcheck.audit.outcome.Audit`; the worst first.

    >>> from derivcheck.audit.outcome import Audit
    >>> "No hand-written backward was met" in page(Audit("train.py", 2))
    True
    """
    return str(_template().render(audit=found)) + "\n"


@lru_cache(maxsize=1)
def _template() -> Any:
    from jinja2 import Environment, PackageLoader  # loaded for a page alone

    loader = PackageLoader("derivcheck.audit", "")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template("page.html.jinja")
