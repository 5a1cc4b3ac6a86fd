"""Layers with their published backwards, and mistakes that people make in them: what docs, tests and benchmarks share.

``make docs`` writes ``docs/gallery/`` from it; a layer is an entry in the file of its family.
"""

from __future__ import annotations

from examples.gallery import (
    activations,
    attention,
    cells,
    convolution,
    gaussians,
    geometry,
    linear,
    losses,
    norms,
    preferences,
    recurrences,
    splatting,
)
from examples.gallery.layer import Layer, Mistake

_MODULES = {
    "Linear maps": linear,
    "Activations and gates": activations,
    "Norms": norms,
    "Attention": attention,
    "Convolution and pooling": convolution,
    "Cells": cells,
    "Recurrences": recurrences,
    "Losses": losses,
    "Losses that compare": preferences,
    "Geometry and filters": geometry,
    "Gaussians": gaussians,
    "Splatting": splatting,
}
FAMILIES: dict[str, tuple[Layer, ...]] = {title: module.LAYERS for title, module in _MODULES.items()}
LAYERS: dict[str, Layer] = {layer.name: layer for family in FAMILIES.values() for layer in family}
FILES: dict[str, str] = {layer.name: f"{m.__name__.rpartition('.')[2]}.py" for m in _MODULES.values() for layer in m.LAYERS}

__all__ = ["FAMILIES", "FILES", "LAYERS", "Layer", "Mistake"]
