"""The site: `make site` builds it from the repository's own pages, the notebooks and the docstrings.

Nothing on it comes from a network: formulas are MathML, as in derivcheck's own pages; the theme uses the reader's fonts.
"""

from __future__ import annotations

from typing import Any

from derivcheck import __version__
from derivcheck.notes.pages.html import mathml

project = "derivcheck"
version = release = __version__
language = "en"
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/*.md", "docs/**.md", "examples/*.ipynb", "findings/README.md"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make notebooks` executes them; what they show is in the files
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_ivar = True

html_theme = "furo"
html_title = "derivcheck"
html_math_renderer = "mathml"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["math.css"]
html_show_copyright = False


def inline(writer: Any, node: Any) -> None:
    """A formula within a line."""
    _write(writer, node, f'<span class="math">{mathml(node.astext())}</span>')


def block(writer: Any, node: Any) -> None:
    """A formula on lines of its own; rows parted by ``\\\\`` are aligned."""
    text = node.astext().strip()
    if "\\\\" in text and "\\begin" not in text:
        text = f"\\begin{{aligned}}{text}\\end{{aligned}}"
    _write(writer, node, f'<div class="math" style="overflow-x: auto; margin: 1em 0">{mathml(text, tall=True)}</div>')


def _write(writer: Any, node: Any, html: str) -> None:
    from docutils.nodes import SkipNode  # Sphinx alone brings it

    writer.body.append(html)
    raise SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
