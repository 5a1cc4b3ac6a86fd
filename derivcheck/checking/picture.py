"""``|error| / bound`` of each gradient as an image, for people who would rather look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from derivcheck.checking.report import Report


def images(report: Report) -> dict[str, Any]:
    """name -> ``|error| / bound`` of a faulty gradient as a float64 array of two dimensions."""
    out = {}
    for row in report:
        if row.sample is None:
            continue
        right, found = row.sample.right, row.sample.found.get(row.name)
        bar = row.name if row.name in right.pairs and f"{row.name}_bar" not in right.pairs else f"{row.name}_bar"
        if found is None or bar not in right.pairs or tuple(found.shape) != tuple(right.value(bar).shape):
            continue
        ratio = (found.detach().double().cpu() - right.value(bar)).abs() / right.tolerance(bar).clamp(min=5e-324)
        flat = ratio.reshape(-1, ratio.shape[-1]) if ratio.ndim else ratio.reshape(1, 1)
        out[row.name] = flat.numpy()
    return out
