"""docs/gallery/ is what derivcheck says today: a page for each layer, some of them compared word for word (release/: all)."""

from __future__ import annotations

import difflib
import re

import pytest

from docs.make.gallery import FOLDER
from docs.make.page import page
from examples.gallery import LAYERS

COMPARED = ("softmax", "embedding")  # all others: release/test_gallery.py
NUMBERS = re.compile(
    r"(?<=found )\S+(?=, expected)|(?<=, expected )\S+(?=;)|(?<=explains at most )\S+|(?<=worst at )\[.*?\]"
    r"|(?<=agrees on numbers at ).*|(?<=\(agrees at ).*"
)


def difference(stored: str, made: str) -> str:
    """The lines that differ, but for what another processor rounds in another way; "" where none does."""
    before, after = (NUMBERS.sub("#", text).splitlines() for text in (stored, made))
    return "\n".join(difflib.unified_diff(before, after, "stored", "made", lineterm="", n=1))


def same(name: str, made: str) -> None:
    """A page is the stored one."""
    file = FOLDER / f"{LAYERS[name].slug}.md"
    changed = difference(file.read_text(encoding="utf-8"), made)
    assert not changed, f"{file.name} is not what is said today: run `make docs` and read the difference\n{changed}"


def test_each_layer_has_a_page() -> None:
    assert {f.name for f in FOLDER.glob("*.md")} == {f"{layer.slug}.md" for layer in LAYERS.values()} | {"README.md"}
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    for layer in LAYERS.values():
        text = (FOLDER / f"{layer.slug}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {layer.title}\n") and f"({layer.slug}.md)" in table
        for part in (layer.about, layer.source, layer.forward_listing.strip(), layer.listing.strip(), *_told(layer.name)):
            assert part in text, f"{layer.slug}.md lacks {part!r}: run `make docs` and read the difference"


def _told(name: str) -> list[str]:
    return [part for m in LAYERS[name].mistakes for part in (f"### {m.name.capitalize()}", m.why)]


def test_every_mistake_is_found_on_its_page() -> None:
    rows = re.findall(r"^\| \[.*\| (\d) of (\d) \| \d of \d \| \d of \d \|$", (FOLDER / "README.md").read_text("utf-8"), re.M)
    assert len(rows) == len(LAYERS) and all(found == n for found, n in rows)


@pytest.mark.parametrize("name", COMPARED)
def test_a_page(name: str) -> None:
    same(name, page(LAYERS[name]).text)


def test_a_difference_is_seen() -> None:
    stored = (FOLDER / "softmax.md").read_text(encoding="utf-8")
    assert difference(stored, stored.replace("worst at [2, 1]", "worst at [0, 0]")) == ""
    assert "- " in difference(stored, stored.replace("sum(-1", "sum(0", 1))
    with pytest.raises(AssertionError, match="run `make docs` and read the difference"):
        same("softmax", stored.replace("Rows of", "Lines of"))
