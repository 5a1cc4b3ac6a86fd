"""Hypothesis strategies for the inputs of a gradient check: shapes, types, layouts and data that find bugs.

They need ``hypothesis``, which is not a dependency of derivcheck: ``pip install hypothesis``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from hypothesis import strategies as st

from derivcheck.errors import InputError
from derivcheck.notation.integers.polynomials import Poly
from derivcheck.notation.text.dims import parse_dims

LAYOUTS = ("contiguous", "transposed", "strided", "expanded", "offset")
DATA = ("normal", "offset", "constant", "wide", "sparse", "ties")
_SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 13)


def laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values in another memory layout.

    Args:
        tensor: any shape.
        layout: ``contiguous``; ``transposed`` (the last two dimensions swapped in memory); ``strided`` (every second element
            of a larger buffer); ``expanded`` (stride 0 along the first dimension: its rows all become the first one);
            ``offset`` (a view that starts inside its storage).

    >>> laid_out(torch.arange(6.0).reshape(2, 3), "transposed").is_contiguous()
    False
    """
    if layout == "contiguous":
        return tensor.contiguous()
    if layout == "transposed":
        return tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor.contiguous()
    if layout == "strided":
        return torch.stack([tensor, torch.zeros_like(tensor)], dim=-1)[..., 0]
    if layout == "expanded":
        return tensor[:1].expand(tensor.shape) if tensor.dim() and tensor.shape[0] else tensor
    if layout == "offset":
        flat = torch.cat([torch.zeros_like(tensor.reshape(-1)[:1]), tensor.reshape(-1)])
        return flat[flat.numel() - tensor.numel() :].reshape(tensor.shape)
    raise InputError(f"there is no layout {layout!r}; there are {', '.join(LAYOUTS)}")


def layouts() -> st.SearchStrategy[str]:
    """A name of a memory layout for :func:`laid_out`."""
    return st.sampled_from(LAYOUTS)


def dtypes(
    names: Iterable[torch.dtype] = (torch.float64, torch.float32, torch.bfloat16, torch.float16),
) -> st.SearchStrategy[torch.dtype]:
    """A floating-point type."""
    return st.sampled_from(list(names))


def sizes(largest: int = 13) -> st.SearchStrategy[int]:
    """A size that tells things apart: 1, primes, powers of two, odd tails."""
    return st.sampled_from([s for s in _SIZES if s <= largest])


def values(
    shape: Iterable[int], dtype: torch.dtype = torch.float64, data: str | None = None
) -> st.SearchStrategy[torch.Tensor]:
    """A tensor of that shape.

    Args:
        shape: its sizes.
        dtype: a floating-point type.
        data: ``normal``, ``offset`` (by 1000), ``constant``, ``wide`` (1e-6 … 1e6, less where the type holds less), ``sparse``
            (mostly zeros) or ``ties`` (few distinct values); None draws one.
    """
    if data is not None and data not in DATA:
        raise InputError(f"there is no kind of data {data!r}; there are {', '.join(DATA)}")
    kinds = st.sampled_from(DATA) if data is None else st.just(data)
    return st.builds(lambda seed, kind: _tensor(tuple(shape), dtype, kind, seed), st.integers(0, 2**31 - 1), kinds)


def _tensor(shape: tuple[int, ...], dtype: torch.dtype, kind: str, seed: int) -> torch.Tensor:
    """Numbers of a kind that breaks kernels: far from zero, constant, over many decades, mostly zero, tied."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=g, dtype=torch.float64)
    if kind == "offset":
        x = x + 1000
    elif kind == "constant":
        x = torch.full(shape, float(torch.randn((), generator=g, dtype=torch.float64)), dtype=torch.float64)
    elif kind == "wide":
        decades = min(6.0, math.log10(torch.finfo(dtype).max) / 2)
        x = x * 10 ** (torch.rand(shape, generator=g, dtype=torch.float64) * 2 * decades - decades)
    elif kind == "sparse":
        x = x * (torch.rand(shape, generator=g) < 0.2)
    elif kind == "ties":
        x = x.round()
    return x.to(dtype)


@st.composite
def inputs(
    draw: st.DrawFn,
    dims: Mapping[str, str],
    dtype: torch.dtype = torch.float64,
    data: str | None = None,
    layout: str | None = None,
    largest: int = 13,
    fixed: Mapping[str, int] | None = None,
) -> dict[str, torch.Tensor]:
    """Named tensors whose dimensions agree, for ``dc.check(f, inputs)``.

    Args:
        dims: named dimensions as ``derive`` takes them: ``{"x": "N in", "W": "out in", "ids": "int<V: N>"}``.
        dtype: the type of the floating-point tensors.
        data: see :func:`values`; None draws one per tensor.
        layout: see :func:`laid_out`; None draws one per tensor.
        largest: the largest size drawn.
        fixed: sizes that are not drawn (``{"kh": 3}``).

    Raises:
        InputError: a layout or kind of data that there is not.

    >>> drawn = inputs({"x": "N in", "W": "out in"}).example()  # doctest: +SKIP
    """
    shapes: dict[str, tuple[Poly, ...]] = {}
    bounds: dict[str, str | None] = {}
    for name, text in dims.items():
        integer = re.fullmatch(r"\s*int\s*<\s*(\w+)\s*:\s*(.*)", text.rstrip("> "))
        bounds[name] = integer.group(1) if integer else None
        shapes[name] = parse_dims(integer.group(2) if integer else text)
    named = sorted(
        {s for shape in shapes.values() for p in shape for s in p.sizes()}
        | {b for b in bounds.values() if b and not b.isdigit()}
    )
    chosen = dict(fixed or {})
    for s in named:
        if s not in chosen:
            chosen[s] = draw(sizes(largest), label=s)
    found: dict[str, Any] = {}
    for name, polys in shapes.items():
        shape = tuple(p.at(chosen) for p in polys)
        bound = bounds[name]
        if bound is not None:
            below = int(bound) if bound.isdigit() else chosen[bound]
            seed = draw(st.integers(0, 2**31 - 1))
            found[name] = torch.randint(0, below, shape, generator=torch.Generator().manual_seed(seed))
        else:
            found[name] = laid_out(draw(values(shape, dtype, data), label=name), layout or draw(layouts()))
    return found
