"""About how long a term is on a page, before its names and letters are chosen."""

from __future__ import annotations

import re
from functools import lru_cache

from derivcheck.notation.terms.nodes import Term
from derivcheck.notes.symbols.symbol import Symbol
from derivcheck.notes.symbols.symbols import Symbols
from derivcheck.notes.writing.ink import Unicode

_PEN = Unicode(Symbols({"grad_output": Symbol("y", bars=1)}, {}, {}, False, Symbol("L")))
_POSITION = re.compile(r"(?<=[\w\d]) ([+-]) (?=[^\[\]]*\])")


@lru_cache(maxsize=8192)
def length(term: Term) -> int:
    """About how many characters it is printed with; primes are not counted."""
    return len(written(term).replace("′", ""))


def written(term: Term) -> str:
    """How it is printed, more or less: without spaces around a dot and in a position."""
    return _POSITION.sub(r"\1", _PEN.term(term).replace(" · ", "·"))
