"""How a derivation is read: LaTeX, Markdown, HTML, text for the terminal, and one gradient explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Unpack

from derivcheck.notation.program.program import Program

if TYPE_CHECKING:
    from derivcheck.notes.explained.explanation import Explanation
    from derivcheck.notes.pages.style import Options


class Readings:
    """What can be read off a forward and its gradient; a :class:`~derivcheck.derived.Derivation` has it."""

    program: Program
    wrt: tuple[str, ...]
    name: str

    @property
    def adjoint(self) -> Program:
        """The gradient as a Program."""
        raise NotImplementedError

    def source(self) -> str:
        """The generated code."""
        raise NotImplementedError

    def to_latex(
        self,
        style: str = "index",
        lang: str = "en",
        sizes: Mapping[str, int] | None = None,
        full: bool = False,
        **more: Unpack[Options],
    ) -> str:
        """The derivation in LaTeX.

        Args:
            style: ``index`` (for every size), ``matrix``, or ``scalar`` (written out element by element at small ``sizes``).
            lang: ``en`` or ``zh``.
            sizes: sizes by name, for ``scalar``; default 2 for each size of the parameters.
            only: names whose gradients are shown, with the steps that lead to them; default all.
            detail: ``names``, as a textbook does: what the code does not name is written into its use while the line stays
                short, and a gradient ends with its closed form; ``operators``: a line per operator, the chain rule spelt out;
                ``result``: the forward, and the gradients in closed form.
            full: a whole document that compiles (xelatex for ``zh`` and for names beyond ASCII), not one ``align*``.

        Raises:
            InputError: an unknown style, language, detail or size.

        >>> import derivcheck as dc
        >>> print(dc.derive("y[n] := sum(k: A[n,k]*x[k])", wrt=["x"]).to_latex(style="matrix"))
        \\begin{align*}
        &\\text{Forward} \\\\
        y &= A x \\\\
        &\\text{Gradients by the chain rule} \\\\
        \\frac{\\partial \\mathcal{L}}{\\partial x} &= A^{\\top} \\bar{y}
        \\end{align*}
        """
        from derivcheck.notes.pages.latex import to_latex  # loaded when asked for
        from derivcheck.notes.pages.style import Style  # loaded when asked for

        return to_latex(self.program, self.adjoint, Style(style, lang, sizes, **more), full)

    def to_markdown(
        self, style: str = "index", lang: str = "en", sizes: Mapping[str, int] | None = None, **more: Unpack[Options]
    ) -> str:
        """The derivation as Markdown with LaTeX formulas, and the generated code; arguments and errors as :meth:`to_latex`."""
        from derivcheck.notes.pages.markdown import to_markdown  # loaded when asked for
        from derivcheck.notes.pages.style import Style  # loaded when asked for

        return to_markdown(self.program, self.adjoint, Style(style, lang, sizes, **more), self.source())

    def to_html(
        self, style: str = "index", lang: str = "en", sizes: Mapping[str, int] | None = None, **more: Unpack[Options]
    ) -> str:
        """The derivation as one HTML page with MathML, which needs no network; arguments and errors as :meth:`to_latex`."""
        from derivcheck.notes.pages.html import to_html  # loaded when asked for
        from derivcheck.notes.pages.style import Style  # loaded when asked for

        return to_html(self.program, self.adjoint, Style(style, lang, sizes, **more), self.source(), self.name)

    def explain(self, name: str, lang: str = "en") -> Explanation:
        """Why the gradient in ``name`` is what it is: sentences for a student, and a picture with the ways in colour.

        ``str()`` is the text, ``.figure()`` a matplotlib Figure, ``.save("weight.png")`` writes it, ``.paths`` are the ways by
        name; a notebook shows picture and text.

        Args:
            name: one of :attr:`wrt`.
            lang: ``en`` or ``zh``.

        Raises:
            InputError: a name without a gradient, or another language.

        >>> import derivcheck as dc
        >>> e = dc.derive("y[n] := sum(k: A[n,k]*x[k]); L := sum(n: y[n]^2)", dims={"A": "N K", "x": "K"}).explain("x")
        >>> print(e)
        x[k] stands in the line of y[n]:
            y[n] = Σ_k A[n,k] · x[k]
        y[n] stands in L itself; the derivative is read off:
            ∂L/∂y[n] = 2 · y[n]
        x[k] reaches L through y[n] for every n; so the derivatives along the way are
        multiplied and summed over n:
            ∂L/∂x[k] = Σ_n ∂L/∂y[n] · ∂y[n]/∂x[k]
        Here ∂y[n]/∂x[k] = A[n,k].
        Put in:
            ∂L/∂x[k] = Σ_n ∂L/∂y[n] · A[n,k] = 2 · Σ_n y[n] · A[n,k]
        >>> e.paths
        (('x', 'y', 'L'),)
        """
        from derivcheck.notes.explained.explanation import explained  # loaded when asked for

        return explained(self.program, name, self.wrt, lang)

    def _repr_latex_(self) -> str:
        return self.to_latex()

    def _repr_html_(self) -> str:
        """The formulas alone: a notebook's cell is no page, and :meth:`source` prints the code."""
        from derivcheck.notes.pages.html import to_html_piece  # loaded when asked for

        return to_html_piece(self.program, self.adjoint)

    def __str__(self) -> str:
        from derivcheck.notes.pages.unicode import derivation_text  # loaded when asked for

        return derivation_text(self.program, self.adjoint)
