"""Sizes in words."""

from __future__ import annotations


def shown(symbol: str) -> str:
    """``x.shape[0]`` for the size ``x.0``; a size that the user named is called that.

    >>> shown("x.0"), shown("N")
    ('x.shape[0]', 'N')
    """
    if "." not in symbol:
        return symbol
    name, axis = symbol.rsplit(".", 1)
    axis = axis.split("__")[0]  # a multiple of a number
    return f"{name}.shape[{axis}]" if axis.isdigit() else f"{name}.{axis}"
