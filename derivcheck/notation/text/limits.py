"""How large what is written may be.  Beyond these limits index text is refused in a sentence: it would take for ever, or
end in an error of Python's."""

from __future__ import annotations

import math
import sys
import unicodedata
from fractions import Fraction

from derivcheck.errors import NotationError
from derivcheck.notation.integers.polynomials import Poly

#: Characters of a text: read in about a second.
TEXT = 200_000
#: Characters of a name: messages and generated lines stay readable.
NAME = 128
#: Characters of a number as it is written; what float64 can tell apart needs no more.
LITERAL = 700
#: Numerators and denominators: generated code computes in float64.
LARGEST = int(sys.float_info.max)
#: Integers in sizes and positions: torch's are of 64 bits.
INTEGER = 2**63 - 1
#: Dimensions of a tensor: torch's own limit.
RANK = 64
#: Levels of functions, brackets and positions inside one another: Python's stack holds a thousand calls.
DEPTH = 64
#: Addends of one sum: deriving 512 squares takes a second or two, and the time grows with the square.
ADDENDS = 512
#: Factors of one product: its gradient has as many addends of as many factors.
FACTORS = 32
#: The exponent of a size, an index or a sum of such: (2^63)^16 is a float64.
EXPONENT = 16
#: Terms of an integer expression once it is multiplied out, and the characters that spell it.
MONOMIALS, SPELLING = 256, 4000


class Beyond(NotationError):
    """Index text that is well formed and beyond a limit."""


def literal(text: str) -> str:
    """What is the matter with a number as it is written; "" where nothing is."""
    exponent = text.lower().partition("e")[2].lstrip("+-")
    if len(text) > LITERAL:
        return f"a number of {len(text)} characters; expected at most {LITERAL}"
    if len(exponent) > 4 or abs(int(exponent or 0)) > 999:  # before a million zeros are written out
        return f"the number {shortened(text)} is beyond float64's range, 1e-308 to 1.8e308"
    return number(Fraction(text))


def number(value: Fraction) -> str:
    """What is the matter with a number; "" where nothing is."""
    if max(abs(value.numerator), value.denominator) <= LARGEST:
        return ""
    size = value.numerator.bit_length() - value.denominator.bit_length()
    if abs(size) >= 1020:  # float64 ends at 2^1024; closer, a rounded power of ten would mislead
        return f"the number is about 1e{round(size * math.log10(2))}, beyond float64's range, 1e-308 to 1.8e308"
    return "the number is a quotient of integers beyond float64's range, 1.8e308; expected fewer digits"


def power(value: Fraction, exponent: int) -> str:
    """What would be the matter with a power of a number, before it is computed; "" where nothing would be."""
    bits = max(value.numerator.bit_length(), value.denominator.bit_length()) - 1
    if bits * abs(exponent) <= 1024:
        return ""
    return "the power is a number beyond float64's range, 1e-308 to 1.8e308"


def integer(p: Poly) -> str:
    """What is the matter with an integer expression; "" where nothing is."""
    if any(abs(c) > INTEGER for _, c in p.terms):
        return "an integer beyond 64 bits; sizes and positions are below 2^63"
    if len(p.terms) > MONOMIALS or len(str(p)) > SPELLING:
        return f"multiplied out, the integer expression has more than {MONOMIALS} terms or {SPELLING} characters"
    return ""


def integer_power(base: Poly, exponent: int) -> str:
    """What would be the matter with a power of an integer expression, before it is computed; "" where nothing would be."""
    c = base.constant
    if c is not None:
        return "" if abs(c) < 2 or exponent < 64 else "an integer beyond 64 bits; sizes and positions are below 2^63"
    if exponent > EXPONENT:
        return f"the exponent of an integer expression is {shortened(str(exponent))}; expected at most {EXPONENT}"
    if math.comb(len(base.terms) + exponent - 1, exponent) > MONOMIALS:
        return f"multiplied out, the integer expression has more than {MONOMIALS} terms"
    return ""


def name(text: str) -> str:
    """What is the matter with a name; "" where nothing is."""
    if len(text) > NAME:
        return f"a name of {len(text)} characters; expected at most {NAME}"
    same = unicodedata.normalize("NFKC", text)
    return "" if same == text else f"Python reads the name {text!r} as {same!r}; expected that spelling"


def shortened(text: str, most: int = 60) -> str:
    """Text in a message: its beginning, where it is long."""
    return text if len(text) <= most else f"{text[:most]}…"
