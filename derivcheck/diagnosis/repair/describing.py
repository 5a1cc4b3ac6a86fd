"""What is missing from a line, in words: in the user's own names; a function that a fix brings along is said in the field's."""

from __future__ import annotations

import re
from collections.abc import Collection

from derivcheck.diagnosis.repair.comparing import Hit

_NAME = re.compile(r"[A-Za-z_]\w*")
# What reads as language to everybody who writes torch code.
USUAL = frozenset("torch F T sum mean keepdim True False dim None shape exp log sqrt where".split())


def described(hit: Hit, text: str, coefficient: str, own: Collection[str]) -> str:
    """What is missing, in words.

    Args:
        text: what stands there.
        coefficient: what the missing is to be multiplied by, in words.
        own: the names in the user's code.
    """
    product = " * ".join(p.inner for p in hit.parts)
    part = _shown(hit, product, own)
    plain = coefficient.removeprefix("-")
    times = "" if plain == "1" else f", {plain if hit.form == 'addend' else coefficient} times"
    sign = ", with the sign turned" if coefficient.startswith("-") and hit.form != "addend" else ""
    if hit.form == "factor" and not product:
        return f"`{text}` has the wrong sign" if coefficient == "-1" else f"the factor {coefficient} is missing at `{text}`"
    if hit.form == "square" or hit.form == "factor" and product == text and coefficient == "1":
        return f"a square is missing at `{text}`{times}"
    if hit.form == "branch":
        mask, other = (_shown(hit, p.text, own, p.words) for p in hit.parts)
        return f"`{text}` holds where {mask}, and {other} elsewhere: the mask is missing"
    if hit.form == "addend":
        minus = "-" if coefficient.startswith("-") else ""
        said = f"`{minus}{part[1:]}" if part.startswith("`") else f"{'minus ' if minus else ''}{part}"
        return f"the addend {said} is missing beside `{text}`{times}"
    if hit.form == "share":
        said = f"`{text} * {part[1:]}" if part.startswith("`") else f"`{text}` times {part}"
        return f"the addend {said} is missing beside `{text}`{times}{sign}"
    return {
        "one": f"`1 +` and the factor {part} are missing at `{text}`",
        "factor": f"the factor {part} is missing at `{text}`",
        "divisor": f"`{text}` has to be divided by {part}",
        "place": f"`{text}` stands where {part} is meant",
    }[hit.form] + f"{times}{sign}"


def _shown(hit: Hit, code: str, own: Collection[str], words: str | None = None) -> str:
    """An expression with what the field calls it; without its code where that has names that the user did not write."""
    words = next((p.words for p in hit.parts if p.words), "") if words is None else words
    head, _, of = words.partition(" of ")
    if "(" in of and not all(n in own or n in USUAL for n in _NAME.findall(of)):  # code, with a function of another's
        words = head
    if all(n in own or n in USUAL for n in _NAME.findall(code)):
        return f"`{code}`" + (f" ({words})" if words else "")
    return words or "what the fix puts there"
