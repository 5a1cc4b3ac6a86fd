"""The files of the catalogue: importing one registers its rows."""

from __future__ import annotations

from importlib import import_module

FAMILIES: tuple[str, ...] = (
    "contractions",
    "arithmetic",
    "elementwise",
    "bounds",
    "activations",
    "comparisons",
    "creation",
    "convolutions",
    "normalisations",
    "pooling",
    "reductions",
    "distances",
    "covariance",
    "views",
    "reshapes",
    "slices",
    "shapes",
    "part_writes",
    "scans",
    "padding",
    "special",
    "sorting",
    "linear_algebra",
    "gathering",
    "scattering",
    "bags",
    "softmaxes",
    "attention",
    "images",
    "grids",
    "recurrent",
    "losses",
    "class_losses",
    "refused",
)


def load() -> None:
    """Import every family."""
    for family in FAMILIES:
        import_module(f"derivcheck.operators.{family}")
