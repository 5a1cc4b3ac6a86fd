"""Every layer of the gallery holds, every mistake in it is found, and every page of docs/gallery/ is what is said today."""

from __future__ import annotations

import pytest

from docs.make.gallery import FOLDER, pages, table
from examples.gallery import LAYERS, Layer, Mistake
from tests.test_gallery import FEW, found, holds, name_of
from tests.test_pages import difference

MISTAKES = [(layer, m) for layer in LAYERS.values() for m in layer.mistakes]


@pytest.mark.parametrize("layer", [layer for layer in LAYERS.values() if layer.name not in FEW], ids=name_of)
def test_a_right_backward_holds(layer: Layer) -> None:
    holds(layer)


@pytest.mark.parametrize(("layer", "mistake"), [(a, m) for a, m in MISTAKES if a.name not in FEW], ids=name_of)
def test_a_mistake_is_found(layer: Layer, mistake: Mistake) -> None:
    found(layer, mistake)


def test_the_pages() -> None:
    made = list(pages(list(LAYERS.values())))
    stored = {p.layer: (FOLDER / f"{LAYERS[p.layer].slug}.md").read_text(encoding="utf-8") for p in made}
    changed = [p.layer for p in made if difference(stored[p.layer], p.text)]
    assert changed == [], "run `make docs` and read the difference"
    assert difference((FOLDER / "README.md").read_text(encoding="utf-8"), table(made)) == ""
