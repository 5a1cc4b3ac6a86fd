"""Numbers as C++ writes them."""

from __future__ import annotations

import re
from functools import lru_cache

from derivcheck.kernels.cuda.source.types import DOUBLE, FLOAT, INT, UINT
from derivcheck.kernels.cuda.values.values import CNumber, Refused


@lru_cache(maxsize=1024)
def literal(written: str) -> CNumber:
    """The number that a literal stands for.

    >>> literal("0.5f").value, literal("0x10u").value, literal("1'000").value
    (0.5, 16, 1000)
    """
    plain = written.replace("'", "").lower()
    if plain[:1] in "+-" and plain:  # the parser takes a sign for a part of the number
        found = literal(plain[1:])
        return CNumber(-found.value, INT if found.type == UINT else found.type) if plain[0] == "-" else found
    try:
        if re.fullmatch(r"0x[0-9a-f]+[ul]*", plain):
            return CNumber(int(plain.rstrip("ul"), 16), UINT if "u" in plain[2:] else INT)
        if re.fullmatch(r"[0-9]+[ul]*", plain):
            digits = plain.rstrip("ul")
            base = 8 if len(digits) > 1 and digits[0] == "0" else 10
            return CNumber(int(digits, base), UINT if "u" in plain else INT)
        if plain.endswith("f"):
            return CNumber(float(plain[:-1]), FLOAT)
        return CNumber(float(plain.rstrip("l")), DOUBLE)
    except ValueError:
        raise Refused(f"the number {written}", "it is not read") from None
