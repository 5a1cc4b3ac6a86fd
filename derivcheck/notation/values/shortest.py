"""Numbers in as many digits as tell them apart."""

from __future__ import annotations

LEAST, MOST = 6, 17  # 17 digits tell any two float64 apart


def told_apart(a: float, b: float, least: int = LEAST) -> tuple[str, str]:
    """Two numbers, written to the first digit in which they differ, and one more.

    >>> told_apart(0.5, 0.25)
    ('0.5', '0.25')
    >>> told_apart(0.13480512, 0.13480517)
    ('0.13480512', '0.13480517')
    >>> told_apart(1 + 2**-30, 1.0)
    ('1.0000000009', '1')
    """
    digits = next((d for d in range(least, MOST) if f"{a:.{d}g}" != f"{b:.{d}g}"), MOST)
    digits = digits if digits == least else min(digits + 1, MOST)
    return f"{a:.{digits}g}", f"{b:.{digits}g}"
