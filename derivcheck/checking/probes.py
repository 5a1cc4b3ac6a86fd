"""Hostile probes."""

from __future__ import annotations

from typing import Any


def probe(s: Any, run: Any, rows: Any, upstream: Any, right: Any, dtype: Any, seed: int) -> list[str]:
    return []
