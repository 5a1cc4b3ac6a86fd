"""Where a written formula may go on in the next line: at its operators, never inside a bracket."""

from __future__ import annotations


def pieces(text: str) -> tuple[str, ...]:
    """A sum of matrices in pieces that may stand on lines of their own: what is within brackets stays together.

    >>> pieces(r"A B + \\left(C - D\\right) E - F_{i + 1}")
    ('A B', '+ \\\\left(C - D\\\\right) E', '- F_{i + 1}')
    """
    depth, start, out = 0, 0, []
    for k, c in enumerate(text):
        depth += (c in "({[⟨") - (c in ")}]⟩")
        if depth == 0 and k > start and text[k - 1 : k + 2] in (" + ", " - "):
            out.append(text[start : k - 1])
            start = k
    return (*out, text[start:])
