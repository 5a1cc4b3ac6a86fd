"""Pages that are written by code: ``make docs`` writes ``docs/gallery/`` from ``examples/gallery/``."""
