"""Writes the golden files anew (``make golden``): read what changed before it is committed."""

from __future__ import annotations

import derivcheck as dc
from tests.codegen.golden_layers import GOLDEN, LAYERS


def text(name: str) -> str:
    """The generated source of a layer."""
    layer = LAYERS[name]
    return dc.derive(layer.forward, dims=layer.dims).source()


if __name__ == "__main__":
    for name in LAYERS:
        (GOLDEN / f"{name}.py").write_text(text(name), encoding="utf-8")
