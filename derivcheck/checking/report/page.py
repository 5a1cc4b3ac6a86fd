"""One HTML page of many reports, for a test run: failures first, readable without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from derivcheck.notation.values.shortest import told_apart


def page(reports: Iterable[Mapping[str, Any]]) -> str:
    """The reports of a run (``Report.to_dict()``, with ``test`` the test's name) as one HTML page.

    >>> "no gradient was checked" in page([])
    True
    """
    rows = sorted(reports, key=lambda r: (r["passed"], str(r.get("test", ""))))
    failed = sum(not r["passed"] for r in rows)
    return str(_template().render(reports=rows, failed=failed))


@lru_cache(maxsize=1)
def _template() -> Any:
    """The page's template, with numbers in three digits."""
    from jinja2 import Environment, PackageLoader  # loaded for a page alone

    environment = Environment(
        loader=PackageLoader("derivcheck.checking.report", ""), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda x: x if x is None or isinstance(x, str) else f"{x:.3g}"
    environment.filters["apart"] = _apart
    return environment.get_template("page.html.jinja")


def _apart(pair: tuple[Any, Any]) -> str:
    """What was found and what was expected, told apart (infinities and NaN are text there)."""
    found, expected = told_apart(float(pair[0]), float(pair[1]), 3)
    return f"found {found}, expected {expected}"
