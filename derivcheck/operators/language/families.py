"""The files of the catalogue: importing one registers its rows."""

from __future__ import annotations

from importlib import import_module

FAMILIES: tuple[str, ...] = (
    "sums.contractions",
    "pointwise.arithmetic",
    "pointwise.elementwise",
    "pointwise.bounds",
    "pointwise.activations",
    "pointwise.comparisons",
    "shapes.creation",
    "layers.convolutions",
    "layers.normalisations",
    "layers.pooling",
    "sums.reductions",
    "sums.distances",
    "sums.covariance",
    "shapes.views",
    "shapes.reshapes",
    "shapes.slices",
    "shapes.joining",
    "shapes.part_writes",
    "sums.scans",
    "shapes.padding",
    "pointwise.special",
    "sums.sorting",
    "sums.linear_algebra",
    "indexing.gathering",
    "indexing.scattering",
    "indexing.bags",
    "sums.softmaxes",
    "layers.attention",
    "layers.images",
    "layers.grids",
    "layers.recurrent",
    "losses.pointwise_losses",
    "losses.class_losses",
    "refused",
)


def load() -> None:
    """Import every family."""
    for family in FAMILIES:
        import_module(f"derivcheck.operators.{family}")
