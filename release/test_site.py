"""The site: every page is made without a warning, its links lead somewhere, and it loads nothing from a network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import derivcheck
from release.conftest import ROOT, run

pytest.importorskip("sphinx", reason="sphinx is not installed")
pytest.importorskip("myst_nb", reason="myst-nb is not installed")
pytest.importorskip("furo", reason="furo is not installed")


class Links(HTMLParser):
    """The names of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        self.names |= {given[k] for k in ("id", "name") if k in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given or (tag == "link" and "href" in given):
            self.loads.append(given.get("src", given.get("href", "")))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", out, folder=ROOT)
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {p.resolve(): Links(p.read_text(encoding="utf-8")) for p in site.rglob("*.html")}


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    broken = [f"{p.relative_to(site.resolve())}: {link}" for p, page in pages.items() for link in _broken(p, page, pages)]
    assert len(pages) > 20 and not broken


def _broken(path: Path, page: Links, pages: dict[Path, Links]) -> Iterator[str]:
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not to.exists() or (parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].names):
            yield link


def test_it_loads_nothing_from_a_network(site: Path, pages: dict[Path, Links]) -> None:
    assert not [x for page in pages.values() for x in page.loads if urlsplit(x).netloc]
    for sheet in site.rglob("*.css"):
        assert "url(http" not in sheet.read_text(encoding="utf-8").replace('"', "").replace("'", ""), sheet


def test_the_reference_has_every_public_name(pages: dict[Path, Links]) -> None:
    (reference,) = (page for p, page in pages.items() if p.name == "reference.html")
    assert {f"derivcheck.{n}" for n in derivcheck.__all__ if not n.startswith("__")} <= reference.names


def test_formulas_are_mathml(site: Path) -> None:
    page = (site / "examples" / "tutorial.html").read_text(encoding="utf-8")
    assert page.count("<math") > 10 and "MathJax" not in page and r"\begin{align" not in page
