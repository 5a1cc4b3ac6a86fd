"""Layers with their published backwards, and mistakes that people make in them: what docs, tests and benchmarks share.

``make docs`` writes ``docs/gallery/`` from it; a layer is an entry in the file of its family.
"""

from __future__ import annotations

from examples.gallery import (
    activations,
    attention,
    cells,
    convolution,
    geometry,
    linear,
    losses,
    norms,
    preferences,
    recurrences,
    splatting,
)
from examples.gallery.layer import Layer, Mistake

FAMILIES: dict[str, tuple[Layer, ...]] = {
    "Linear maps": linear.LAYERS,
    "Activations and gates": activations.LAYERS,
    "Norms": norms.LAYERS,
    "Attention": attention.LAYERS,
    "Convolution and pooling": convolution.LAYERS,
    "Cells": cells.LAYERS,
    "Recurrences": recurrences.LAYERS,
    "Losses": losses.LAYERS,
    "Losses that compare": preferences.LAYERS,
    "Geometry and filters": geometry.LAYERS,
    "Splatting": splatting.LAYERS,
}
LAYERS: dict[str, Layer] = {layer.name: layer for family in FAMILIES.values() for layer in family}

__all__ = ["FAMILIES", "LAYERS", "Layer", "Mistake"]
