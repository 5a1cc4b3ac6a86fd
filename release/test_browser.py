"""Pages that derivcheck writes, in a browser without a network: what they measure there is written into the title and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import derivcheck as dc
from release.conftest import run, tool

LOOK = """<script>
const formulas = [...document.querySelectorAll("math")], root = document.documentElement;
const button = document.querySelector("button[data-copy]");
document.title = JSON.stringify({
  formulas: formulas.length,
  shown: formulas.filter(m => m.getBoundingClientRect().width > 1).length,
  equals: new Set([...document.querySelectorAll(".right")].map(c => Math.round(c.getBoundingClientRect().left))).size,
  wide: root.scrollWidth - root.clientWidth,
  paper: getComputedStyle(document.body).backgroundColor,
  offered: button ? document.getElementById(button.dataset.copy).textContent : "",
});
</script>"""
FRAME = """<!doctype html><title></title><body><iframe src="page.html" style="width:375px;height:2000px;border:0"></iframe>
<script>addEventListener("load", () => { document.title = frames[0].document.title; });</script>"""


def looked_at(page: str, folder: Path, width: int = 0, *options: str) -> dict[str, Any]:
    """What a browser measures of a page; in a frame of ``width`` pixels where that is given."""
    browser = tool("chromium", "chromium-browser", "google-chrome", "chrome")
    (folder / "page.html").write_text(page + LOOK, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.replace("375", str(width)), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", f"--user-data-dir={folder}/user"]
    address = (folder / ("frame.html" if width else "page.html")).as_uri()
    shown = run(browser, *flags, *options, "--dump-dom", address, folder=folder, seconds=120).stdout
    found: dict[str, Any] = json.loads(shown.partition("<title>")[2].partition("</title>")[0].replace("&amp;", "&"))
    return found


@pytest.mark.parametrize("width", [0, 375])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page(lang: str, width: int, tmp_path: Path) -> None:
    page = dc.derive(nn.LayerNorm(5), torch.ones(3, 5)).to_html(lang=lang)
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page, "it loads nothing"
    seen = looked_at(page, tmp_path, width)
    assert seen["formulas"] == seen["shown"] > 5
    assert seen["equals"] == 1, "the equals signs of a page stand below each other"
    assert seen["wide"] == 0, "a long formula scrolls by itself, not the page"
    assert seen["offered"].startswith("\\begin{align*}")


def test_a_page_at_night(tmp_path: Path) -> None:
    page = dc.derive(nn.Linear(2, 1), loss=nn.MSELoss()).to_html()
    light, dark = (looked_at(page, tmp_path, 0, f"--blink-settings=preferredColorScheme={k}")["paper"] for k in (1, 0))
    assert light == "rgb(255, 255, 255)" and dark != light


def test_a_screenshot(tmp_path: Path) -> None:
    browser = tool("chromium", "chromium-browser", "google-chrome", "chrome")
    (tmp_path / "page.html").write_text(dc.derive(nn.Linear(2, 1), loss=nn.MSELoss()).to_html(), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user", "--window-size=900,1200"]
    run(browser, *flags, f"--screenshot={tmp_path}/page.png", (tmp_path / "page.html").as_uri(), folder=tmp_path, seconds=120)
    assert (tmp_path / "page.png").stat().st_size > 20_000, "an empty page is some 5,000 bytes"


def test_a_notebooks_display_leaves_the_notebook_alone(tmp_path: Path) -> None:
    d = dc.derive(nn.Linear(2, 1), loss=nn.MSELoss())
    report = dc.check(d, {"input": torch.ones(3, 2), "target": torch.ones(3, 1)})
    alone = "<!doctype html><title></title><h1>Notes</h1><p>text</p><pre>code</pre><table><tr><td>1</table>"
    size = """<script>document.title = JSON.stringify(["h1", "p", "pre", "td"].map(tag => {
        const s = getComputedStyle(document.querySelector(tag));
        return [s.fontSize, s.color, s.backgroundColor, s.padding];
    }))</script>"""
    browser = tool("chromium", "chromium-browser", "google-chrome", "chrome")
    found = []
    for k, page in enumerate((alone, alone + d._repr_html_() + report._repr_html_())):
        (tmp_path / f"{k}.html").write_text(page + size, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user", "--dump-dom"]
        dom = run(browser, *flags, (tmp_path / f"{k}.html").as_uri(), folder=tmp_path, seconds=120).stdout
        found.append(dom.partition("<title>")[2].partition("</title>")[0])
    assert found[0] == found[1] != ""
