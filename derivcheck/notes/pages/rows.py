"""A formula as the rows of an alignment: a row breaks before an addend; a long one where a person would break it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from derivcheck.notes.pages.breaks import broken
from derivcheck.notes.writing.steps import Formula

_WIDTH = 70  # visible characters that a row is filled to
_COMMAND = re.compile(
    r"\\(?:frac|left|right|mathcal|mathrm|mathit|operatorname|hat|bar|partial|text|mathbf|[bB]ig[lr])\b|[{}_^\\]"
)


def visible(text: str) -> int:
    """About how many characters a reader sees."""
    return len(_COMMAND.sub("", text).replace(" ", ""))


def formula_rows(f: Formula) -> list[str]:
    """A formula as rows of an alignment, long sums broken before their signs."""
    rows: list[str] = []
    for k, pieces in enumerate(f.rights):
        lead = (f.left if k == 0 else "") + " &= "
        chunks = [c for j, p in enumerate(pieces) for c in broken(p, r"\quad" if j else lead)]
        rows.append(lead + chunks[0])
        for before, chunk in zip(_open_brackets(chunks), chunks[1:]):
            if visible(rows[-1]) + visible(chunk) > _WIDTH:
                rows.append((r"&\qquad " if before else r"&\quad ") + chunk)
            else:
                rows[-1] += f" {chunk}"
    if f.where:
        if visible(rows[-1]) + visible(f.where) > _WIDTH:
            rows[-1] += ","
            rows.append("&" + f.where.removeprefix(", "))
        else:
            rows[-1] += f.where
    if f.note:
        note = rf"\text{{({f.note})}}"
        wide = sum(1 if c.isascii() else 2 for c in f.note)
        if visible(rows[-1]) + wide > _WIDTH:
            rows.append(rf"&\quad {note}")
        else:
            rows[-1] += rf" \quad {note}"
    return [r.strip() for r in rows]


def one_line(f: Formula) -> str:
    """The rows as one line, without what aligns them and without the note: what is printed, as it is read."""
    text = " ".join(formula_rows(f)).replace("&", "").replace(r"\qquad ", "")
    return text.removesuffix(rf"\text{{({f.note})}}").strip().removesuffix(r"\quad").strip() if f.note else text.strip()


def _open_brackets(chunks: list[str]) -> Iterator[int]:
    """How many cut brackets are open after each chunk."""
    depth = 0
    for c in chunks:
        depth += len(re.findall(r"\\[bB]igl\b", c)) - len(re.findall(r"\\[bB]igr\b", c))
        yield depth
