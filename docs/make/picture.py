"""The picture of a page in the README: ``python -m docs.make.picture`` (needs a Chromium)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from examples.gallery import LAYERS

FILE = Path(__file__).parents[1] / "page.png"
LAYER, SIZE = "layer norm", "760,820"


def main() -> int:
    """Write docs/page.png."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        print("no Chromium is installed: docs/page.png stays as it is")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(LAYERS[LAYER].derivation.to_html(), encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/user"]
        subprocess.run(
            [browser, *flags, f"--window-size={SIZE}", f"--screenshot={folder}/page.png", page.as_uri()],
            check=True,
            capture_output=True,
            timeout=300,
        )
        shutil.copyfile(Path(folder) / "page.png", FILE)
    print(f"{FILE}: {FILE.stat().st_size // 1024} KB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
