"""Pages that derivcheck writes, in a browser without a network: every formula has a size."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import derivcheck as dc
from release.conftest import run, tool

LOOK = """<script>
const formulas = [...document.querySelectorAll("math")];
document.title = "formulas " + formulas.length + ", shown " + formulas.filter(m => m.getBoundingClientRect().width > 1).length;
</script>"""


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page(lang: str, tmp_path: Path) -> None:
    browser = tool("chromium", "chromium-browser", "google-chrome", "chrome")
    page = dc.derive(nn.Linear(2, 1), loss=nn.MSELoss()).to_html(lang=lang)
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page, "it loads nothing"
    (tmp_path / "page.html").write_text(page + LOOK, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user", "--dump-dom"]
    shown = run(browser, *options, (tmp_path / "page.html").as_uri(), folder=tmp_path, seconds=120).stdout
    title = shown.partition("<title>")[2].partition("</title>")[0]
    total, visible = (int(part.split()[1]) for part in title.split(", "))
    assert total == visible > 5, title
