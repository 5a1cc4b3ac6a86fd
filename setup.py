"""The package's page, which pyproject.toml cannot write: README.md without links into the repository, dead outside of it."""

import re
from pathlib import Path

from setuptools import setup


def page(readme: str) -> str:
    """Pictures of the repository are left out, its files are named: they come with the source distribution."""
    readme = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", readme)

    def named(link: "re.Match[str]") -> str:
        text, target = link.groups()
        return f"`{target}`" if text == target else f"{text} (`{target}`)"

    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)", named, readme)


if __name__ == "__main__":
    readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    setup(long_description=page(readme), long_description_content_type="text/markdown")
