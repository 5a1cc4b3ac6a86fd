"""How a derivation is shown: the options of the notes, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from derivcheck.derivation.sweep import bar_names
from derivcheck.errors import InputError
from derivcheck.notation.program.program import Program
from derivcheck.notes.abridged.abridge import Shown, shown
from derivcheck.notes.pages.captions import captions

STYLES = ("index", "matrix", "scalar")
DETAILS = ("operators", "names", "result")


class Options(TypedDict, total=False):
    """Further options of :meth:`~derivcheck.derived.Derivation.to_latex`, ``to_markdown`` and ``to_html``, by keyword.

    An option that stands here and in :class:`Style` reaches all three.
    """

    only: Iterable[str]
    detail: str


@dataclass(frozen=True)
class Style:
    """How a derivation is shown.

    Attributes:
        style: ``index`` (for every size), ``matrix``, or ``scalar`` (element by element at small ``sizes``).
        lang: ``en`` or ``zh`` for the words.
        sizes: sizes by name, for ``scalar``; default 2 for each size of the parameters.
        only: the names whose gradients are shown, with the steps that lead to them; default all.
        detail: ``names``, as a textbook does: a value that the code does not name is written into its use while the line
            stays short; ``operators``: a line per operator, with the chain rule spelt out; ``result``: the gradients alone.

    Raises:
        InputError: an unknown style, language or detail.
    """

    style: str = "index"
    lang: str = "en"
    sizes: Mapping[str, int] | None = None
    only: Iterable[str] = ()
    detail: str = "names"
    words: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", captions(self.lang))
        if self.style not in STYLES:
            raise InputError(f"style is {self.style!r}; expected one of {', '.join(STYLES)}")
        if self.detail not in DETAILS:
            raise InputError(f"detail is {self.detail!r}; expected one of {', '.join(DETAILS)}")
        object.__setattr__(self, "only", (self.only,) if isinstance(self.only, str) else tuple(self.only))

    def shown(self, forward: Program, adjoint: Program) -> Shown:
        """What is shown of a derivation.

        Raises:
            InputError: ``sizes`` or ``only`` names what is not there.
        """
        known = set(forward.sizes()) | set(adjoint.sizes())
        for name, value in (self.sizes or {}).items():
            if name not in known:
                raise InputError(f"sizes names {name!r}; the sizes are {', '.join(forward.sizes()) or 'none'}")
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"sizes: {name} is {value!r}; expected a whole number of at least 1")
        bars = {name: bar for name, bar in bar_names(forward).items() if bar in adjoint.outputs}
        for name in self.only:
            if name not in bars:
                raise InputError(f"only names {name!r}; gradients are {', '.join(bars) or 'none'}")
        return shown(forward, adjoint.needed(bars[n] for n in self.only) if self.only else adjoint, self.detail)
